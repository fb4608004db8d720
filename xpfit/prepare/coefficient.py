"""XP continuous spectra in coefficient space: the archive's coefficients as they are."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from astropy.table import Table

from ..data.preparation import XPSettings
from ..data.space import CoefficientSpace
from ..read import XP_BANDS
from .bases import sampled_design
from .covariance import DataVectors, inflate, read_band

CALIBRATION_GRID = np.arange(332.0, 1043.0, 10.0)
"""Wavelengths (nm) of samples with independent errors: ZGR23's grid, continued to both ends."""

REGULARISATION = 1e-3
"""Singular values of the sampling, relative to the largest, below which its inverse fades out.

Directions in which coefficients hardly change the flux are left to the archive's own errors.
"""


def coefficient_vectors(
    table: Table, space: CoefficientSpace, settings: XPSettings | None = None
) -> DataVectors:
    """Take XP continuous spectra as data vectors in coefficient space.

    Parameters
    ----------
    table : astropy.table.Table
        From `xpfit.read.read_continuous`.
    space : CoefficientSpace
    settings : XPSettings, optional

    Returns
    -------
    DataVectors
        BP's coefficients, then RP's. Those of an absent band, and those that truncation leaves out,
        are masked, and so is a source whose numbers cannot be right.

    Raises
    ------
    InputError
        If the spectra have another number of coefficients than the space.

    Notes
    -----
    The covariance is the archive's, block by block, plus the terms of ZGR23's eq. 2. Those of the
    zero point and of the bands are outer products of the coefficients, just as they are of the
    sampled flux. The independent one, (error * f)^2 on the diagonal of the flux f in samples 10 nm
    apart, is carried to the coefficients by the regularised inverse of the sampling: sampled again
    they vary by that error, and the coefficients carry no less information than the samples.
    """
    settings = settings or XPSettings()
    sizes = (len(space.bp_basis), len(space.rp_basis))
    n_star, n_obs = len(table), sum(sizes)
    problem = np.array(table["problem"], dtype=object)
    covariance = np.zeros((n_star, n_obs, n_obs))
    used = np.zeros((n_star, n_obs), dtype=bool)
    parts, start = [], 0
    for band, n in zip(XP_BANDS, sizes, strict=True):
        data = read_band(table, band, n, settings, problem)
        block = slice(start, start + n)
        covariance[data.good, block, block] = data.covariance
        used[:, block] = data.used
        part = np.zeros((n_star, n_obs))
        part[:, block] = data.coefficients
        parts.append(part)
        start += n
    independent = _independent_covariance(sum(parts), sizes, settings.independent_error)
    return DataVectors(
        sum(parts),
        covariance,
        inflate(covariance, independent, parts, settings),
        ~used | (problem != "")[:, None],
        problem.astype(str),
    )


def _independent_covariance(
    coefficients: np.ndarray, sizes: tuple[int, int], error: float
) -> np.ndarray:
    """Covariance of the coefficients if the flux varies on its own in every sample."""
    sampling, inverse = _sampling(*sizes)
    spread = error * (coefficients @ sampling)[:, :, None] * inverse
    return np.swapaxes(spread, 1, 2) @ spread


@lru_cache(maxsize=4)
def _sampling(n_bp: int, n_rp: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients -> flux on `CALIBRATION_GRID`, and its Tikhonov-regularised inverse."""
    design = sampled_design(CALIBRATION_GRID, n_bp, n_rp)
    sampling = np.vstack([design.bp, design.rp])
    left, values, right = np.linalg.svd(sampling, full_matrices=False)
    filtered = values / (values**2 + (REGULARISATION * values[0]) ** 2)
    return sampling, (right.T * filtered) @ left.T
