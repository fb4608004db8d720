"""Convolution of series: all windows copied, place by place, a loop in Numba, and xpfit's.

    python scripts/benchmark_convolution.py

Prints milliseconds for a batch in one thread, best of several, and ratios to the first of the four,
at the sizes of Gaia Net: kernel of 30, series as short as after pooling and as long as a whole
spectrum. The loop is here, not in xpfit, because it is no faster.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from numba import njit
from threadpoolctl import threadpool_limits

from xpfit.nn.convolution import convolve

LENGTHS = (27, 54, 107, 172, 343)
N_REPEAT = 7


def windows_copied(x: np.ndarray, weights: np.ndarray, before: int) -> np.ndarray:
    """The baseline, as in textbooks: one product of all windows with the kernel."""
    kernel, n_in, n_out = weights.shape
    padded = _padded(x, kernel, n_in, before)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel * n_in, axis=1)[:, ::n_in]
    flat = windows.reshape(-1, kernel * n_in)
    return (flat @ weights.reshape(-1, n_out)).reshape(len(x), -1)


def place_by_place(x: np.ndarray, weights: np.ndarray, before: int) -> np.ndarray:
    """A product with the kernel at each place."""
    kernel, n_in, n_out = weights.shape
    padded = _padded(x, kernel, n_in, before)
    flat, size = weights.reshape(-1, n_out), kernel * n_in
    starts = range(0, x.shape[1], n_in)
    return np.concatenate([padded[:, i : i + size] @ flat for i in starts], axis=1)


def in_numba(x: np.ndarray, weights: np.ndarray, before: int) -> np.ndarray:
    """The sums, four outputs at a time, so that each value that is loaded is used four times."""
    flat = np.ascontiguousarray(weights.reshape(-1, weights.shape[2]).T)
    return _loop(x, flat, before, weights.shape[1])


@njit(fastmath=True)
def _loop(x, weights, before, n_in):
    n_out, kernel = weights.shape[0], weights.shape[1] // n_in
    length = x.shape[1] // n_in
    y = np.empty((len(x), length * n_out), x.dtype)
    for series in range(len(x)):
        for place in range(length):
            low, high = max(0, place - before), min(length, place - before + kernel)
            window = x[series, low * n_in : high * n_in]
            first, n = (low - place + before) * n_in, (high - low) * n_in
            for out in range(0, n_out, 4):
                w0, w1 = weights[out, first : first + n], weights[out + 1, first : first + n]
                w2, w3 = weights[out + 2, first : first + n], weights[out + 3, first : first + n]
                y0 = y1 = y2 = y3 = x.dtype.type(0)
                for i in range(n):
                    value = window[i]
                    y0 += value * w0[i]
                    y1 += value * w1[i]
                    y2 += value * w2[i]
                    y3 += value * w3[i]
                at = place * n_out + out
                y[series, at], y[series, at + 1] = y0, y1
                y[series, at + 2], y[series, at + 3] = y2, y3
    return y


def _padded(x: np.ndarray, kernel: int, n_in: int, before: int) -> np.ndarray:
    """Zeros at both ends."""
    return np.pad(x, ((0, 0), (before * n_in, (kernel - 1 - before) * n_in)))


METHODS = {
    "windows copied": windows_copied,
    "by place": place_by_place,
    "Numba": in_numba,
    "xpfit": convolve,
}


def best(work: Callable[[], np.ndarray]) -> float:
    """Milliseconds."""
    times = []
    for _ in range(N_REPEAT):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1000.0 * min(times)


def main() -> None:
    """Time all, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=512, help="series at a time")
    parser.add_argument("--channels", type=int, default=16, help="a multiple of four")
    parser.add_argument("--kernel", type=int, default=30)
    options = parser.parse_args()
    rng, before = np.random.default_rng(1), (options.kernel - 1) // 2
    print(f"{'type':9}{'length':>7}" + "".join(f"{name:>16}{'':>7}" for name in METHODS))
    for kind in (np.float32, np.float64):
        for length in LENGTHS:
            x = rng.standard_normal((options.batch, length * options.channels)).astype(kind)
            shape = (options.kernel, options.channels, options.channels)
            weights = rng.standard_normal(shape).astype(kind)
            expected = convolve(x, weights, before)
            row, base = f"{kind.__name__:9}{length:7d}", 0.0
            for method in METHODS.values():
                if not np.allclose(method(x, weights, before), expected, atol=1e-2):
                    raise RuntimeError(f"{method.__name__} gives something else")
                taken = best(lambda method=method, x=x, w=weights: method(x, w, before))
                base = base or taken
                row += f"{taken:16.1f}{base / taken:6.1f}x"
            print(row)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
