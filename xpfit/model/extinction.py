"""The published extinction curve from which training starts, and for comparison."""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..constants import LN_PER_MAG

CCM_RANGE = (300.0, 5000.0)
"""Wavelengths (nm) at which `ccm89` is defined.

CCM89 gives the infrared law down to 0.3 um-1 (3.3 um); it is a power law, used here to 5 um so that
it covers W1 and W2.
"""

R_V_SPREAD = 0.3
"""Change of R(V) per unit of xi at the start of training, which then learns the variation."""

R_V_RANGE = (2.0, 6.0)
"""Range of R(V) that `r_v_of_curve` searches."""

_OPTICAL_A = (1.0, 0.17699, -0.50447, -0.02427, 0.72085, 0.01979, -0.77530, 0.32999)
_OPTICAL_B = (0.0, 1.41338, 2.28305, 1.07233, -5.38434, -0.62251, 5.30260, -2.09002)


def ccm89(wavelength: np.ndarray, r_v: float = 3.1) -> np.ndarray:
    """Extinction A(lambda) / A(V) of Cardelli, Clayton & Mathis (1989, ApJ 345, 245).

    Parameters
    ----------
    wavelength : array_like, shape (n_obs,)
        nm, 300 to 5000.
    r_v : float
        Ratio of total to selective extinction.

    Returns
    -------
    ndarray, shape (n_obs,)

    Raises
    ------
    ValueError
        If a wavelength is out of range.

    Notes
    -----
    Their eqs. 1, 2a, 2b (infrared, x < 1.1 um-1) and 3a, 3b (optical).
    """
    wavelength = np.asarray(wavelength, dtype=float)
    if np.any((wavelength < CCM_RANGE[0]) | (wavelength > CCM_RANGE[1])):
        raise ValueError(f"CCM89 is given for {CCM_RANGE} nm only, got {wavelength}")
    x = 1000.0 / wavelength
    infrared = (0.574 - 0.527 / r_v) * x**1.61
    y = x - 1.82
    optical = np.polyval(_OPTICAL_A[::-1], y) + np.polyval(_OPTICAL_B[::-1], y) / r_v
    return np.where(x < 1.1, infrared, optical)


def ccm89_curve(wavelength: np.ndarray, r_v: float = 3.1) -> Array:
    """CCM89 as R(lambda) for unit E(B-V), in natural-log units of flux: f = f_0 exp(-E R).

    Parameters
    ----------
    wavelength : array_like, shape (n_obs,)
        nm.
    r_v : float
        Ratio of total to selective extinction.

    Returns
    -------
    ndarray, shape (n_obs,)
    """
    return LN_PER_MAG * r_v * ccm89(wavelength, r_v)


def ccm89_variation(wavelength: np.ndarray) -> Array:
    """How ln of CCM89's curve changes from one star to the next, relative to the reddest point.

    Parameters
    ----------
    wavelength : array_like, shape (n_obs,)
        nm.

    Returns
    -------
    ndarray, shape (n_obs,)
        ln [A(lambda) / A(reddest)] at R(V) one `R_V_SPREAD` higher than 3.1, less that at 3.1: a
        positive xi is a higher R(V).
    """
    reddest = np.argmax(wavelength)
    low, high = (np.log(ccm89(wavelength, r_v)) for r_v in (3.1, 3.1 + R_V_SPREAD))
    return (high - high[reddest]) - (low - low[reddest])


def r_v_of_curve(wavelength: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """R(V) of the CCM89 curves that have the shapes of given ones.

    Parameters
    ----------
    wavelength : ndarray, shape (n_obs,)
        nm.
    curve : ndarray, shape (n_star, n_obs)
        Extinction curves of any normalisation.

    Returns
    -------
    ndarray, shape (n_star,)
        Least squares in ln A(lambda) over `R_V_RANGE`, normalisation free; NaN for curves that are
        not finite.
    """
    trial = np.linspace(*R_V_RANGE, 481)
    shapes = np.log([ccm89(wavelength, r_v) for r_v in trial])
    shapes -= shapes.mean(axis=1, keepdims=True)
    shape = np.log(curve)
    shape -= shape.mean(axis=1, keepdims=True)
    # |shape - shapes|^2 without |shape|^2, which does not depend on R(V).
    distance = np.sum(shapes**2, axis=1) - 2.0 * shape @ shapes.T
    best = np.clip(np.argmin(distance, axis=1), 1, len(trial) - 2)
    left, centre, right = (distance[np.arange(len(best)), best + i] for i in (-1, 0, 1))
    offset = 0.5 * (left - right) / (left - 2.0 * centre + right)
    r_v = trial[best] + np.clip(offset, -1.0, 1.0) * (trial[1] - trial[0])
    return np.where(np.isfinite(shape).all(axis=1), r_v, np.nan)
