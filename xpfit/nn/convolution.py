"""Convolution of series with several channels: as matrix products, and in Numba.

Arrays are (n_series, length * n_channel), the channels of one place side by side; kernels are
(kernel, n_in, n_out). Outputs are as long as inputs: what lies beyond the ends counts as zero.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache

import numpy as np
from array_api_compat import array_namespace, device, is_numpy_array

MIN_CHANNELS = 8
"""Of fewer channels, the sums in Numba are too short to be fast."""

PAYS_FROM = 2
"""Series so many kernels long are faster in Numba; shorter ones would wait for its threads."""

MAX_WHOLE = 4
"""Series up to so many kernels long are not cut."""


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
    Long series of many channels by Numba, if that is there and the arrays are NumPy's, all else by
    `convolve_by_matrices`: a matrix product is as fast where it does little in vain.
    """
    kernel, n_in, n_out = weights.shape
    pays = x.shape[1] > PAYS_FROM * kernel * n_in and n_in >= MIN_CHANNELS
    if not pays or not is_numpy_array(x) or not _has_numba():
        return convolve_by_matrices(x, weights, before)
    padded = np.zeros((-(-n_out // 4) * 4, kernel * n_in), dtype=x.dtype)
    padded[:n_out] = weights.reshape(kernel * n_in, n_out).T
    return _compiled()(np.ascontiguousarray(x), padded, before, n_in, n_out)


def convolve_by_matrices(x: np.ndarray, weights: np.ndarray, before: int) -> np.ndarray:
    """The same as `convolve`, by matrix products, for arrays of any namespace.

    Notes
    -----
    A series is cut into overlapping windows, and a window's outputs are one product with a banded
    matrix (see `_Windows`). That does up to twice the work of the sums, but at a matrix product's
    speed.
    """
    xp = array_namespace(x)
    cut = _Windows(x.shape[1] // weights.shape[1], weights.shape, before)
    y = cut.windows(x) @ cut.matrix(weights)
    return xp.reshape(y, (x.shape[0], -1))[:, : cut.length * cut.n_out]


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
    cut = _Windows(x.shape[1] // shape[1], shape, before)
    missing = (cut.n_window * cut.n_place - cut.length) * cut.n_out
    outputs = xp.reshape(_pad(dy, 0, missing), (-1, cut.n_place * cut.n_out))
    return cut.weights(cut.windows(x).T @ outputs)


class _Windows:
    """How series are cut into windows, each of which gives the outputs of some places.

    Short series are one window, and nothing is copied. Of long ones, a window gives as many places
    as the kernel is long; then it is twice as long, and half of the matrix is zero.
    """

    def __init__(self, length: int, shape: tuple, before: int):
        kernel, self.n_in, self.n_out = shape
        self.length, self.kernel, self.before = length, kernel, before
        self.is_whole = length <= MAX_WHOLE * kernel
        self.n_place = length if self.is_whole else kernel
        self.width = length if self.is_whole else 2 * kernel - 1
        self.n_window = -(-length // self.n_place)
        # Which weight leads from a place of the window to an output's.
        shift = before if self.is_whole else 0
        self.offset = np.arange(self.width)[:, None] - np.arange(self.n_place) + shift

    def windows(self, x: np.ndarray) -> np.ndarray:
        """Shape (n_series * n_window, width * n_in)."""
        if self.is_whole:
            return x
        xp = array_namespace(x)
        step = self.n_place * self.n_in
        after = (self.n_window + 1) * self.n_place - self.before - self.length
        padded = _pad(x, self.before * self.n_in, after * self.n_in)
        size = self.width * self.n_in
        parts = [padded[:, i * step : i * step + size] for i in range(self.n_window)]
        return xp.reshape(xp.stack(parts, axis=1), (-1, size))

    def matrix(self, weights: np.ndarray) -> np.ndarray:
        """From a window to its outputs, (width * n_in, n_place * n_out)."""
        xp = array_namespace(weights)
        inside = (self.offset >= 0) & (self.offset < self.kernel)
        at = xp.asarray(np.where(inside, self.offset, self.kernel).ravel(), device=device(weights))
        nothing = xp.zeros((1, *weights.shape[1:]), dtype=weights.dtype, device=device(weights))
        taken = xp.take(xp.concat([weights, nothing]), at, axis=0)
        taken = xp.reshape(taken, (self.width, self.n_place, self.n_in, self.n_out))
        return xp.reshape(xp.permute_dims(taken, (0, 2, 1, 3)), (-1, self.n_place * self.n_out))

    def weights(self, matrix: np.ndarray) -> np.ndarray:
        """The transpose of `matrix`: sums of its elements that come from the same weight."""
        xp = array_namespace(matrix)
        banded = xp.reshape(matrix, (self.width, self.n_in, self.n_place, self.n_out))
        total = xp.zeros((self.kernel, self.n_in, self.n_out), dtype=matrix.dtype,
                         device=device(matrix))  # fmt: skip
        for place in range(self.n_place):
            first = int(self.offset[0, place])
            low, high = max(first, 0), min(first + self.width, self.kernel)
            total[low:high, :, :] += banded[low - first : high - first, :, place, :]
        return total


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
