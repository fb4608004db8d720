"""Convolution of series with several channels: as matrix products, and in Numba.

Arrays are (n_series, length * n_channel), the channels of one place side by side; kernels are
(kernel, n_in, n_out). Outputs are as long as inputs: what lies beyond the ends counts as zero.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache

import numpy as np
from array_api_compat import array_namespace, device, is_numpy_array


def convolve(x: np.ndarray, weights: np.ndarray, before: int) -> np.ndarray:
    """Sums of weights times a window of places, at every place.

    Parameters
    ----------
    x : ndarray, shape (n_series, length * n_in)
    weights : ndarray, shape (kernel, n_in, n_out)
    before : int
        How many places of the window come before the one that the sum is for.

    Returns
    -------
    ndarray, shape (n_series, length * n_out)

    Notes
    -----
    By Numba, if that is there and the arrays are NumPy's, else by `convolve_by_matrices`.
    """
    if not is_numpy_array(x) or not _has_numba():
        return convolve_by_matrices(x, weights, before)
    kernel, n_in, n_out = weights.shape
    padded = np.zeros((-(-n_out // 4) * 4, kernel * n_in), dtype=x.dtype)
    padded[:n_out] = weights.reshape(kernel * n_in, n_out).T
    return _compiled()(np.ascontiguousarray(x), padded, before, n_in, n_out)


def convolve_by_matrices(x: np.ndarray, weights: np.ndarray, before: int) -> np.ndarray:
    """The same as `convolve`, by matrix products, for arrays of any namespace.

    Notes
    -----
    Series are cut into overlapping windows that give as many places as the kernel is long; a
    window's outputs are one product with a banded matrix. That does twice the work of the sums,
    but at a matrix product's speed, and copies inputs twice instead of once for each place.
    """
    xp = array_namespace(x)
    n_out = weights.shape[2]
    matrix = _banded(weights)
    y = _windows(x, weights.shape, before) @ matrix
    y = xp.reshape(y, (x.shape[0], -1))
    return y[:, : x.shape[1] // weights.shape[1] * n_out]


def correlate(x: np.ndarray, dy: np.ndarray, shape: tuple, before: int) -> np.ndarray:
    """Gradient of sum(dy * convolve(x, weights)) with respect to the weights.

    Parameters
    ----------
    x : ndarray, shape (n_series, length * n_in)
    dy : ndarray, shape (n_series, length * n_out)
    shape : tuple of int
        Of the weights.
    before : int

    Returns
    -------
    ndarray, shape (kernel, n_in, n_out)
    """
    xp = array_namespace(x)
    kernel, n_in, n_out = shape
    n_window = _n_windows(x.shape[1] // n_in, kernel)
    missing = n_window * kernel * n_out - dy.shape[1]
    filled = _pad(dy, 0, missing)
    outputs = xp.reshape(filled, (-1, kernel * n_out))
    matrix = _windows(x, shape, before).T @ outputs
    banded = xp.reshape(matrix, (2 * kernel - 1, n_in, kernel, n_out))
    total = banded[:kernel, :, 0, :]
    for place in range(1, kernel):
        total = total + banded[place : place + kernel, :, place, :]
    return total


def _n_windows(length: int, kernel: int) -> int:
    """Into how many windows a series is cut."""
    return -(-length // kernel)


def _windows(x: np.ndarray, shape: tuple, before: int) -> np.ndarray:
    """Overlapping windows, (n_series * n_window, (2 kernel - 1) * n_in)."""
    xp = array_namespace(x)
    kernel, n_in, _ = shape
    length = x.shape[1] // n_in
    n_window, width = _n_windows(length, kernel), 2 * kernel - 1
    after = (n_window - 1) * kernel + width - before - length
    padded = _pad(x, before * n_in, max(after, 0) * n_in)
    windows = [
        padded[:, first * kernel * n_in : (first * kernel + width) * n_in]
        for first in range(n_window)
    ]
    return xp.reshape(xp.stack(windows, axis=1), (-1, width * n_in))


def _banded(weights: np.ndarray) -> np.ndarray:
    """Matrix from a window to its outputs, ((2 kernel - 1) n_in, kernel n_out)."""
    xp = array_namespace(weights)
    kernel, n_in, n_out = weights.shape
    offset = np.arange(2 * kernel - 1)[:, None] - np.arange(kernel)
    offset = np.where((offset >= 0) & (offset < kernel), offset, kernel).ravel()
    nothing = xp.zeros((1, n_in, n_out), dtype=weights.dtype, device=device(weights))
    at = xp.asarray(offset, device=device(weights))
    taken = xp.take(xp.concat([weights, nothing]), at, axis=0)
    taken = xp.reshape(taken, (2 * kernel - 1, kernel, n_in, n_out))
    return xp.reshape(xp.permute_dims(taken, (0, 2, 1, 3)), (-1, kernel * n_out))


def _pad(x: np.ndarray, before: int, after: int) -> np.ndarray:
    """Zeros at both ends of the second axis."""
    xp, n = array_namespace(x), x.shape[0]
    ends = [xp.zeros((n, k), dtype=x.dtype, device=device(x)) for k in (before, after)]
    return xp.concat([ends[0], x, ends[1]], axis=1)


@lru_cache(maxsize=1)
def _has_numba() -> bool:
    return importlib.util.find_spec("numba") is not None


@lru_cache(maxsize=1)
def _compiled():
    """The loop in Numba, compiled anew by each process, as loaded functions round otherwise."""
    from numba import njit, prange

    @njit(fastmath={"reassoc", "contract", "nsz"}, parallel=True)
    def convolve_compiled(x, weights, before, n_in, n_out):
        """Four outputs at a time, so that each value that is loaded is used four times."""
        n_series, length = x.shape[0], x.shape[1] // n_in
        kernel = weights.shape[1] // n_in
        y = np.empty((n_series, length * n_out), x.dtype)
        nothing = x.dtype.type(0)
        for series in prange(n_series):
            for place in range(length):
                low = max(0, place - before)
                high = min(length, place - before + kernel)
                window = x[series, low * n_in : high * n_in]
                first, n = (low - place + before) * n_in, (high - low) * n_in
                for out in range(0, n_out, 4):
                    w0 = weights[out, first : first + n]
                    w1 = weights[out + 1, first : first + n]
                    w2 = weights[out + 2, first : first + n]
                    w3 = weights[out + 3, first : first + n]
                    y0 = y1 = y2 = y3 = nothing
                    for i in range(n):
                        value = window[i]
                        y0 += value * w0[i]
                        y1 += value * w1[i]
                        y2 += value * w2[i]
                        y3 += value * w3[i]
                    at = place * n_out + out
                    y[series, at] = y0
                    if out + 1 < n_out:
                        y[series, at + 1] = y1
                    if out + 2 < n_out:
                        y[series, at + 2] = y2
                    if out + 3 < n_out:
                        y[series, at + 3] = y3
        return y

    return convolve_compiled
