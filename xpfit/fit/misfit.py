"""Where best fits disagree with their data: bands, emission lines, and errors where chi2 is large.

What is looked for has a shape t in the data vector: a single photometric band, or a line of the
width of Gaia's resolution. With r the residual of the best fit and C the covariance of the star
and of the emulator together, t's amplitude is t^T C^-1 r / t^T C^-1 t, and its significance
t^T C^-1 r / sqrt(t^T C^-1 t): the residual at t given the residuals everywhere else. The fitted
parameters are not fitted again without it, which makes the significance a lower limit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from ..arrays import Array
from ..data import ObservationSpace, SampledSpace
from .data import FitData

MAX_CHI2_PER_DOF = 2.0
"""ZGR23 (table 2): chi2 / 61 > 2 marks a bad fit; 61 = 66 values less 5 parameters."""

EMISSION_LINES = ((656.5, 2.5), (500.8, 4.0), (372.7, 3.5))
"""Wavelengths (nm) of H alpha, [O III] and [O II], and significances from which a line counts.

Of the sample's reliable stars 1 %, 0.1 % and 0.1 % are above. Most of the first are hot stars that
are taken for F stars, whose H alpha is too deep. At the last the light of a hot companion stands
out too.
"""

DOUBTFUL_TENSION = 1.0
"""Tension of the parallax, by a linear estimate in sigma, from which it is determined exactly."""

LINE_WIDTH = ((400.0, 3.0), (640.0, 4.2), (640.001, 4.0), (1000.0, 6.4))
"""Standard deviation (nm) of an unresolved line in XP spectra, at some wavelengths (nm)."""


def variance_factor(chi2: np.ndarray, dof: np.ndarray) -> Array:
    """By how much the variances of a fit grow because chi2 says that the model is wrong.

    Parameters
    ----------
    chi2, dof : ndarray, shape (n_star,)

    Returns
    -------
    ndarray, shape (n_star,)
        1 + (chi2 - `MAX_CHI2_PER_DOF` dof), and 1 below that limit.

    Notes
    -----
    The excess of chi2 is the squared length of the model's error, in units of the noise. Nobody
    knows how much of an error of that kind is along the change of flux with a parameter, where it
    moves the best fit instead of raising chi2. If it is as much again, it moves a parameter by
    sqrt(excess) of its errors. For 107 stars of the sample with chi2 / dof above 2, the scatter of
    log g around APOGEE's is 7-10 times the errors without this factor, and that of Teff 5-27 times.
    """
    excess: Array = np.maximum(chi2 - MAX_CHI2_PER_DOF * np.maximum(dof, 1), 0.0)
    return 1.0 + np.where(np.isfinite(excess), excess, 0.0)


def find_misfits(data: FitData, predicted: Any, space: ObservationSpace) -> tuple[Any, Any]:
    """The photometric band that fits worst, and the strongest emission line.

    Parameters
    ----------
    data : FitData
    predicted : ndarray, shape (n_star, n_obs)
        Flux of the best fits, in the namespace of `data`.
    space : ObservationSpace

    Returns
    -------
    band_pull : ndarray, shape (n_star,)
        Significance, with its sign; NaN without photometry.
    emission : ndarray, shape (n_star,)
        Significance, relative to that from which a line counts; NaN where none was observed, and in
        coefficient space.
    """
    xp, residual = array_namespace(predicted), data.flux - predicted
    found = significances(data, residual, np.eye(space.n_obs)[space.is_band_channel])
    pull = xp.full_like(residual[:, 0], xp.nan)
    for i in range(found.shape[1]):
        # A comparison with NaN is false.
        pull = xp.where(~(xp.abs(found[:, i]) <= xp.abs(pull)), _known(found[:, i], pull), pull)
    found = significances(data, residual, line_shapes(space))
    emission = xp.full_like(pull, xp.nan)
    for i, (_, limit) in enumerate(EMISSION_LINES):
        relative = _known(found[:, i] / limit, emission)
        emission = xp.where(relative <= emission, emission, relative)
    return pull, emission


def _known(values: Any, others: Any) -> Any:
    """Values, or others where they are NaN."""
    xp = array_namespace(values)
    return xp.where(xp.isnan(values), others, values)


def line_shapes(space: ObservationSpace) -> np.ndarray:
    """Data vectors of `EMISSION_LINES` with peaks of one, shape (n_line, n_obs).

    Zero in coefficient space.
    """
    lines = np.array(EMISSION_LINES)[:, :1]
    if not isinstance(space, SampledSpace):
        return np.zeros((len(lines), space.n_obs))
    width = np.interp(lines, *np.array(LINE_WIDTH).T)
    offset = (space.wavelength - lines) / width
    near = (np.abs(offset) < 4.0) & ~space.is_band_channel
    return np.where(near, np.exp(-0.5 * offset**2), 0.0)


def significances(data: FitData, residual: Any, shapes: np.ndarray) -> Array:
    """Significance of shapes in the residuals of best fits.

    Parameters
    ----------
    data : FitData
    residual : ndarray, shape (n_star, n_obs)
        In the namespace of `data`.
    shapes : ndarray, shape (n_shape, n_obs)

    Returns
    -------
    ndarray, shape (n_star, n_shape)
        In the same namespace; NaN where a shape has no weight.
    """
    xp = array_namespace(residual)
    options = {"dtype": residual.dtype, "device": device(residual)}
    stack = xp.zeros((len(data), len(shapes), data.n_obs), **options)
    whitened = data.whitener(stack + xp.asarray(shapes, **options))
    around = data.whitener(residual)
    norm = xp.sum(whitened * whitened, axis=2)
    product = xp.sum(whitened * around[:, None, :], axis=2)
    return product / xp.sqrt(xp.where(norm > 0, norm, xp.full_like(norm, xp.nan)))
