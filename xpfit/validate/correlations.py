"""Correlations of the errors over a catalogue, without and with the parallax (ZGR23, fig. 6)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from ..errors import InputError
from ..quality import is_basic
from ..quantities import STELLAR_PARAMETERS
from ..read.tables import float_column
from .metrics import require_columns

COLUMNS = (
    "stellar_params_icov_triu", "gaia_parallax_error", "quality_flags",
)  # fmt: skip

N_BINS = 4001
"""Of correlations between -1 and 1, from which medians follow to 0.0005."""

PARALLAX = STELLAR_PARAMETERS.index("parallax")

NO_STARS = (
    "no star of this catalogue has both a measured parallax and a spectrum that constrains all "
    "five parameters: fits of a model with luminosities have them, and published catalogues after "
    "'xpfit convert --astrometry'"
)


@dataclass(frozen=True)
class Correlations:
    """Median correlations of the errors of the five parameters.

    Attributes
    ----------
    spectrum, both : ndarray, shape (5, 5)
        Of the spectrum alone, and of spectrum and measured parallax together; in the order of
        `STELLAR_PARAMETERS`.
    n_star : int
        Stars that both are medians over.
    """

    spectrum: np.ndarray
    both: np.ndarray
    n_star: int


def without_parallax(information: np.ndarray, parallax_error: np.ndarray) -> np.ndarray:
    """Information of the spectrum alone, from that of spectrum and measured parallax.

    Parameters
    ----------
    information : ndarray, shape (n_star, 5, 5)
        Inverse covariances (ZGR23, eq. 21-22), in the order of `STELLAR_PARAMETERS`.
    parallax_error : ndarray, shape (n_star,)
        mas, of the measured parallax.

    Returns
    -------
    ndarray, shape (n_star, 5, 5)

    Notes
    -----
    Exact: the measured parallax adds 1 / sigma^2 to one element (eq. 22), also where the matrix is
    the marginal one of a model with more parameters.
    """
    spectrum = information.copy()
    spectrum[:, PARALLAX, PARALLAX] -= parallax_error**-2.0
    return spectrum


def median_correlations(tables: Iterable[Table]) -> Correlations:
    """Median correlations over a catalogue (ZGR23, fig. 6).

    Parameters
    ----------
    tables : iterable of astropy.table.Table
        Parts of a catalogue, with `COLUMNS`.

    Returns
    -------
    Correlations
        Over stars that pass the basic cut, have a measured parallax, and whose spectrum alone
        constrains all five parameters.

    Raises
    ------
    InputError
        If columns are missing, or there is no such star.
    """
    counts, n_star = np.zeros((2, 5, 5, N_BINS)), 0
    rows, columns = np.triu_indices(5)
    for table in tables:
        require_columns(table, COLUMNS)
        error = float_column(table["gaia_parallax_error"])
        triangle = np.asarray(np.ma.filled(table["stellar_params_icov_triu"].astype(float), np.nan))
        keep = np.isfinite(triangle).all(axis=1) & (error > 0) & np.isfinite(error)
        keep &= is_basic(table["quality_flags"])
        both = np.empty((int(keep.sum()), 5, 5))
        both[:, rows, columns] = both[:, columns, rows] = triangle[keep]
        spectrum = without_parallax(both, error[keep])
        good = _is_positive(spectrum)
        n_star += int(good.sum())
        for count, matrix in zip(counts, (spectrum[good], both[good]), strict=True):
            _count(count, _correlation(np.linalg.inv(matrix)))
    if not n_star:
        raise InputError(NO_STARS)
    return Correlations(*(_median(count) for count in counts), n_star)


def _is_positive(matrix: np.ndarray) -> np.ndarray:
    """Which matrices are positive definite, whatever the units of their parameters are."""
    diagonal = np.einsum("nii->ni", matrix)
    positive = (diagonal > 0).all(axis=1)
    scaled = np.broadcast_to(np.eye(5), matrix.shape).copy()
    scale = np.sqrt(diagonal[positive])
    scaled[positive] = matrix[positive] / (scale[:, :, None] * scale[:, None, :])
    return positive & (np.linalg.eigvalsh(scaled)[:, 0] > 1e-10)


def _correlation(covariance: np.ndarray) -> np.ndarray:
    """Pearson correlations, shape (n_star, 5, 5)."""
    error = np.sqrt(np.einsum("nii->ni", covariance))
    return covariance / (error[:, :, None] * error[:, None, :])


def _count(count: np.ndarray, correlation: np.ndarray) -> None:
    """Add correlations to the histograms of their elements."""
    place = np.clip(np.rint((correlation + 1.0) * 0.5 * (N_BINS - 1)), 0, N_BINS - 1).astype(int)
    for i in range(5):
        for j in range(5):
            count[i, j] += np.bincount(place[:, i, j], minlength=N_BINS)


def _median(count: np.ndarray) -> np.ndarray:
    """Medians of histograms, shape (5, 5)."""
    total = np.cumsum(count, axis=2)
    middle = np.argmax(total >= 0.5 * total[:, :, -1:], axis=2)
    return np.linspace(-1.0, 1.0, N_BINS)[middle]
