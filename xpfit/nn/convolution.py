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

PLACES = 4
"""Places whose outputs are one matrix product; fewer or many more take longer."""


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
    Where there is a single thread by Numba, if that is there and the arrays are NumPy's, else by
    `convolve_by_matrices`: several threads of Numba and of the matrix products would get in each
    other's way.
    """
    kernel, n_in, n_out = weights.shape
    if n_in < MIN_CHANNELS or not is_numpy_array(x) or not _numba_pays():
        return convolve_by_matrices(x, weights, before)
    padded = np.zeros((-(-n_out // 4) * 4, kernel * n_in), dtype=x.dtype)
    padded[:n_out] = weights.reshape(kernel * n_in, n_out).T
    return _compiled()(np.ascontiguousarray(x), padded, before, n_in, n_out)


def convolve_by_matrices(x: np.ndarray, weights: np.ndarray, before: int) -> np.ndarray:
    """The same as `convolve`, by matrix products, for arrays of any namespace.

    Notes
    -----
    The outputs of a few places are one product of the window that they see with a banded matrix
    (see `_Windows`): hardly more work than the sums, at a matrix product's speed, and nothing is
    copied.
    """
    xp = array_namespace(x)
    cut = _Windows(x.shape[1] // weights.shape[1], weights.shape, before)
    matrix = cut.matrix(weights)
    y = xp.concat([window @ matrix for window in cut.windows(x)], axis=1)
    return y[:, : cut.length * cut.n_out]


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
    cut = _Windows(x.shape[1] // shape[1], shape, before)
    outputs = _pad(dy, 0, (cut.n_window * PLACES - cut.length) * cut.n_out)
    size = PLACES * cut.n_out
    total: np.ndarray | float = 0.0
    for i, window in enumerate(cut.windows(x)):
        total = total + window.T @ outputs[:, i * size : (i + 1) * size]
    return cut.weights(total)


class _Windows:
    """How series are cut into overlapping windows, each of which gives the outputs of `PLACES`."""

    def __init__(self, length: int, shape: tuple, before: int):
        self.kernel, self.n_in, self.n_out = shape
        self.length, self.before = length, before
        self.width = self.kernel + PLACES - 1
        self.n_window = -(-length // PLACES)

    def windows(self, x: np.ndarray) -> list[np.ndarray]:
        """Views of the padded series, each (n_series, width * n_in)."""
        after = (self.n_window - 1) * PLACES + self.width - self.before - self.length
        padded = _pad(x, self.before * self.n_in, max(after, 0) * self.n_in)
        step, size = PLACES * self.n_in, self.width * self.n_in
        return [padded[:, i * step : i * step + size] for i in range(self.n_window)]

    def matrix(self, weights: np.ndarray) -> np.ndarray:
        """From a window to its outputs, (width * n_in, PLACES * n_out)."""
        xp = array_namespace(weights)
        offset = np.arange(self.width)[:, None] - np.arange(PLACES)
        inside = (offset >= 0) & (offset < self.kernel)
        at = xp.asarray(np.where(inside, offset, self.kernel).ravel(), device=device(weights))
        nothing = xp.zeros((1, *weights.shape[1:]), dtype=weights.dtype, device=device(weights))
        taken = xp.take(xp.concat([weights, nothing]), at, axis=0)
        taken = xp.reshape(taken, (self.width, PLACES, self.n_in, self.n_out))
        return xp.reshape(xp.permute_dims(taken, (0, 2, 1, 3)), (-1, PLACES * self.n_out))

    def weights(self, matrix: np.ndarray) -> np.ndarray:
        """The transpose of `matrix`: sums of its elements that come from the same weight."""
        shape = (self.width, self.n_in, PLACES, self.n_out)
        banded = array_namespace(matrix).reshape(matrix, shape)
        return sum(
            (banded[place : place + self.kernel, :, place, :] for place in range(1, PLACES)),
            start=banded[: self.kernel, :, 0, :],
        )


def _pad(x: np.ndarray, before: int, after: int) -> np.ndarray:
    """Zeros at both ends of the second axis."""
    xp, n = array_namespace(x), x.shape[0]
    ends = [xp.zeros((n, k), dtype=x.dtype, device=device(x)) for k in (before, after)]
    return xp.concat([ends[0], x, ends[1]], axis=1)


def _numba_pays() -> bool:
    """Whether Numba is there, and is to work in a single thread."""
    if importlib.util.find_spec("numba") is None:
        return False
    from numba import get_num_threads

    return get_num_threads() == 1


@lru_cache(maxsize=1)
def _compiled():
    """The loop in Numba, compiled anew by each process, as loaded functions round otherwise."""
    from numba import njit, prange

    # Made for several threads, though used in one: as a plain loop it takes twice as long.
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
