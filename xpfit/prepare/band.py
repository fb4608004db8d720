"""Coefficients of BP or RP with their covariance: validated, and truncated where asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from ..data.preparation import XPSettings
from ..errors import InputError
from ..read import XP_BANDS
from ..releases import DR3, RELEASES
from .bases import Basis, basis_of


@dataclass
class BandCoefficients:
    """Coefficients of BP or RP; zero, without covariance, where the band is missing or invalid.

    Attributes
    ----------
    coefficients : ndarray, shape (n_star, n)
    covariance : ndarray, shape (n_good, n, n)
        Of the good sources only.
    used : ndarray of bool, shape (n_star, n)
        False also for truncated coefficients.
    good, absent : ndarray of bool, shape (n_star,)
        Sources whose band is valid, or missing.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    used: np.ndarray
    good: np.ndarray
    absent: np.ndarray


def band_sizes(table: Table) -> tuple[int, int]:
    """Number of coefficients of BP and RP in a table; zero where no source has the band."""
    return tuple(table[f"{band}_coefficients"].shape[1] for band in XP_BANDS)


def table_basis(table: Table, basis: Basis | None = None) -> Basis:
    """Basis functions of the spectra in a table.

    Parameters
    ----------
    table : astropy.table.Table
        From `xpfit.read.read_continuous`.
    basis : Basis, optional
        The functions; by default what GaiaXPy has for these numbers of coefficients. A band that no
        source has is taken to have those of its data release.

    Raises
    ------
    InputError
        If the table has other numbers of coefficients than the given basis.
    """
    release = RELEASES.get(table.meta.get("release", ""), DR3)
    sizes = band_sizes(table)
    if basis is None:
        sizes = tuple(n or m for n, m in zip(sizes, release.n_coefficients, strict=True))
    return basis_of(*sizes, basis)


def read_band(
    table: Table, band: str, n: int, settings: XPSettings, problem: np.ndarray
) -> BandCoefficients:
    """Take one band's coefficients from a table of XP continuous spectra.

    Parameters
    ----------
    table : astropy.table.Table
        From `xpfit.read.read_continuous`.
    band : str
        ``"bp"`` or ``"rp"``.
    n : int
        Number of coefficients that are expected.
    settings : XPSettings
    problem : ndarray of object, shape (n_star,)
        Why a source is bad; filled in here for those with invalid numbers.

    Returns
    -------
    BandCoefficients

    Raises
    ------
    InputError
        If the table has another number of coefficients.
    """
    coefficients, errors, correlations = (
        np.asarray(table[f"{band}_{name}"], dtype=float)
        for name in ("coefficients", "coefficient_errors", "coefficient_correlations")
    )
    # Of columns in which no row has anything.
    coefficients, errors, correlations = (
        values if values.shape[1] else np.full((len(table), size), np.nan)
        for values, size in ((coefficients, n), (errors, n), (correlations, n * (n - 1) // 2))
    )
    if coefficients.shape[1] != n:
        raise InputError(
            f"these spectra have {coefficients.shape[1]} coefficients in {band.upper()} where "
            f"{n} are expected; spectra of another Gaia release need a model of that release"
        )
    absent = np.isnan(coefficients).all(axis=1)
    good = ~absent & (problem == "")
    good[good], matrices = _check_band(band, coefficients, errors, correlations, good, problem)
    used = np.repeat(good[:, None], n, axis=1)
    if settings.truncate:
        used &= np.arange(n) < _relevant_bases(table, band)[:, None]
    if settings.divide_by_standard_deviation:
        errors = errors / np.asarray(table[f"{band}_standard_deviation"])[:, None]
    covariance = _scaled(matrices, errors[good])
    if settings.truncate:
        covariance = np.where(used[good][:, :, None] & used[good][:, None, :], covariance, 0.0)
    return BandCoefficients(np.where(used, coefficients, 0.0), covariance, used, good, absent)


def coefficient_covariance(errors: np.ndarray, correlations: np.ndarray) -> np.ndarray:
    """Covariances diag(e) Corr diag(e) of one band's coefficients.

    Parameters
    ----------
    errors : ndarray, shape (n_star, n)
    correlations : ndarray, shape (n_star, n (n - 1) / 2)
        Upper triangle without the diagonal, column by column, as the archive gives it.

    Returns
    -------
    ndarray, shape (n_star, n, n)
    """
    return _scaled(_correlation_matrix(correlations, errors.shape[1]), errors)


def _scaled(matrices: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Correlation matrices times the errors on both sides, in place."""
    matrices *= errors[:, :, None]
    matrices *= errors[:, None, :]
    return matrices


def _correlation_matrix(correlations: np.ndarray, n: int) -> np.ndarray:
    """Full matrices from column-by-column upper triangles."""
    # The lower triangle row by row is the upper one column by column.
    rows, columns = np.tril_indices(n, -1)
    matrix = np.zeros((len(correlations), n, n))
    matrix[:, rows, columns] = correlations
    matrix += np.swapaxes(matrix, 1, 2)
    matrix[:, np.arange(n), np.arange(n)] = 1.0
    return matrix


def _relevant_bases(table: Table, band: str) -> np.ndarray:
    """Number of relevant coefficients; infinite where it is unknown."""
    relevant = np.asarray(table[f"{band}_n_relevant_bases"], dtype=float)
    return np.where(np.isfinite(relevant) & (relevant > 0), relevant, np.inf)


def _check_band(band, coefficients, errors, correlations, rows, problem):
    """Which rows have valid numbers, and their correlation matrices.

    The others get a `problem`.
    """
    index = np.flatnonzero(rows)
    ok = np.ones(len(index), dtype=bool)
    finite = np.isfinite(correlations[index])
    tests = {
        "coefficients that are not finite": ~np.isfinite(coefficients[index]).all(axis=1),
        "no correlations": ~finite.any(axis=1),
        "correlations that are not finite": ~finite.all(axis=1),
        "correlations outside [-1, 1]": (np.abs(correlations[index]) > 1.0).any(axis=1),
        "errors that are not positive": ~(errors[index] > 0).all(axis=1)
        | ~np.isfinite(errors[index]).all(axis=1),
    }
    for text, bad in tests.items():
        problem[index[ok & bad]] = f"{band}: {text}"
        ok &= ~bad
    matrices = _correlation_matrix(correlations[index[ok]], errors.shape[1])
    definite = _positive_definite(matrices)
    problem[index[ok][~definite]] = f"{band}: correlations that are not positive definite"
    ok[ok] = definite
    return ok, matrices if definite.all() else matrices[definite]


def _positive_definite(matrices: np.ndarray) -> np.ndarray:
    """Which matrices have a Cholesky factor."""
    try:
        np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        if len(matrices) == 1:
            return np.array([False])
        half = len(matrices) // 2
        return np.concatenate([_positive_definite(part) for part in np.split(matrices, [half])])
    return np.ones(len(matrices), dtype=bool)
