"""Convolution of series with several channels, as matrix products.

Arrays are (n_series, length * n_channel), the channels of one position side by side; kernels are
(kernel, n_in, n_out). Outputs are as long as inputs, which are padded with zeros.
"""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace, device

POSITIONS = 4
"""Positions whose outputs are one matrix product; fewer or many more take longer."""


def convolve(x: np.ndarray, weights: np.ndarray, before: int) -> np.ndarray:
    """Sums of weights times a window of positions, at every position.

    Parameters
    ----------
    x : ndarray, shape (n_series, length * n_in)
    weights : ndarray, shape (kernel, n_in, n_out)
    before : int
        How many positions of the window come before the one that the sum is for.

    Returns
    -------
    ndarray, shape (n_series, length * n_out)

    Notes
    -----
    The outputs of a few positions are the product of the window that they depend on with a banded
    matrix (see `_Windows`): hardly more work than the sums, at a matrix product's speed, without
    copies. Loops in Numba are no faster (`scripts/benchmark_convolution.py`).
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
    outputs = _pad(dy, 0, (cut.n_window * POSITIONS - cut.length) * cut.n_out)
    size = POSITIONS * cut.n_out
    total: np.ndarray | float = 0.0
    for i, window in enumerate(cut.windows(x)):
        total = total + window.T @ outputs[:, i * size : (i + 1) * size]
    return cut.weights(total)


class _Windows:
    """Overlapping windows of series, each of which gives the outputs at `POSITIONS`."""

    def __init__(self, length: int, shape: tuple, before: int):
        self.kernel, self.n_in, self.n_out = shape
        self.length, self.before = length, before
        self.width = self.kernel + POSITIONS - 1
        self.n_window = -(-length // POSITIONS)

    def windows(self, x: np.ndarray) -> list[np.ndarray]:
        """Views of the padded series, each (n_series, width * n_in)."""
        after = (self.n_window - 1) * POSITIONS + self.width - self.before - self.length
        padded = _pad(x, self.before * self.n_in, max(after, 0) * self.n_in)
        step, size = POSITIONS * self.n_in, self.width * self.n_in
        return [padded[:, i * step : i * step + size] for i in range(self.n_window)]

    def matrix(self, weights: np.ndarray) -> np.ndarray:
        """From a window to its outputs, (width * n_in, POSITIONS * n_out)."""
        xp = array_namespace(weights)
        offset = np.arange(self.width)[:, None] - np.arange(POSITIONS)
        inside = (offset >= 0) & (offset < self.kernel)
        at = xp.asarray(np.where(inside, offset, self.kernel).ravel(), device=device(weights))
        nothing = xp.zeros((1, *weights.shape[1:]), dtype=weights.dtype, device=device(weights))
        taken = xp.take(xp.concat([weights, nothing]), at, axis=0)
        taken = xp.reshape(taken, (self.width, POSITIONS, self.n_in, self.n_out))
        return xp.reshape(xp.permute_dims(taken, (0, 2, 1, 3)), (-1, POSITIONS * self.n_out))

    def weights(self, matrix: np.ndarray) -> np.ndarray:
        """The transpose of `matrix`: sums of its elements that come from the same weight."""
        shape = (self.width, self.n_in, POSITIONS, self.n_out)
        banded = array_namespace(matrix).reshape(matrix, shape)
        return sum(
            (
                banded[position : position + self.kernel, :, position, :]
                for position in range(1, POSITIONS)
            ),
            start=banded[: self.kernel, :, 0, :],
        )


def _pad(x: np.ndarray, before: int, after: int) -> np.ndarray:
    """Zeros at both ends of the second axis."""
    xp, n = array_namespace(x), x.shape[0]
    ends = [xp.zeros((n, k), dtype=x.dtype, device=device(x)) for k in (before, after)]
    return xp.concat([ends[0], x, ends[1]], axis=1)
