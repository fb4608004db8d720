"""The published extinction curve that training starts from and is compared with."""

from __future__ import annotations

import numpy as np

from ..constants import LN_PER_MAG

CCM_RANGE = (300.0, 5000.0)
"""Wavelengths (nm) at which `ccm89` answers.

CCM89 gives the infrared law down to 0.3 um-1 (3.3 um); it is a power law, used here to 5 um so that
it covers W1 and W2.
"""

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


def ccm89_curve(wavelength: np.ndarray, r_v: float = 3.1) -> np.ndarray:
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
