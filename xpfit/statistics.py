"""Robust statistics."""

from __future__ import annotations

import warnings

import numpy as np


def robust_width(values: np.ndarray, axis: int | None = None) -> float | np.ndarray:
    """Standard deviation of a Gaussian with the same median absolute deviation.

    Parameters
    ----------
    values : ndarray
        NaN counts as missing.
    axis : int, optional
        By default all values are taken together.

    Returns
    -------
    float or ndarray
        1.4826 times the median absolute deviation from the median; NaN where there are no values.
    """
    from scipy.stats import median_abs_deviation

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the NaN for missing values needs no warning
        width = median_abs_deviation(values, axis=axis, scale="normal", nan_policy="omit")
    return float(width) if axis is None else width
