"""Convolution of series: place by place, as matrix products, and in Numba.

    python scripts/benchmark_convolution.py

Prints milliseconds for a batch, best of several, and ratios to the first of the three, at the sizes
of Gaia Net: kernel of 30, series as short as after pooling and as long as a whole spectrum. In one
thread, which is where Numba is chosen.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from xpfit.nn.convolution import convolve, convolve_by_matrices

LENGTHS = (27, 54, 107, 172, 343)
N_REPEAT = 7


def place_by_place(x: np.ndarray, weights: np.ndarray, before: int) -> np.ndarray:
    """The baseline: a product with the kernel at each place, of windows that are copied."""
    kernel, n_in, n_out = weights.shape
    length = x.shape[1] // n_in
    series = x.reshape(len(x), length, n_in)
    padded = np.pad(series, ((0, 0), (before, kernel - 1 - before), (0, 0)))
    windows = [padded[:, i : i + kernel].reshape(len(x), -1) for i in range(length)]
    flat = weights.reshape(-1, n_out)
    return np.stack([window @ flat for window in windows], axis=1).reshape(len(x), -1)


def best(work: Callable[[], np.ndarray]) -> float:
    """Milliseconds."""
    work()
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
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--kernel", type=int, default=30)
    options = parser.parse_args()
    rng, before = np.random.default_rng(1), (options.kernel - 1) // 2
    print(f"{'type':9}{'length':>7}{'by place':>10}{'matrices':>10}{'':>8}{'Numba':>10}{'':>8}")
    for kind in (np.float32, np.float64):
        for length in LENGTHS:
            x = rng.standard_normal((options.batch, length * options.channels)).astype(kind)
            shape = (options.kernel, options.channels, options.channels)
            weights = rng.standard_normal(shape).astype(kind)
            base, *others = (
                best(lambda method=method, x=x, w=weights: method(x, w, before))
                for method in (place_by_place, convolve_by_matrices, convolve)
            )
            ratios = "".join(f"{t:10.1f}{base / t:7.1f}x" for t in others)
            print(f"{kind.__name__:9}{length:7d}{base:10.1f}{ratios}")


if __name__ == "__main__":
    os.environ["NUMBA_NUM_THREADS"] = "1"  # before Numba is loaded
    with threadpool_limits(1):
        main()
