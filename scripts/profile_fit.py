"""Where the time of a fit goes, against the least floating-point work and memory traffic it needs.

One thread, the Numba engine, the stars of `benchmark_fit.py`. Work is counted, not measured: what
the formulas need, a multiplication with an addition as two operations, an exponential as twenty.
Traffic is what has to come from memory if nothing of a star stays in a cache between two steps. The
machine's own rates, for matrix products and for copies, are measured in the same run.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from contextlib import contextmanager

import numpy as np
from benchmark_fit import DEFAULT_MODEL, stars_to_fit
from threadpoolctl import threadpool_limits

from xpfit import Spectra, XPModel
from xpfit.fit import Fitter, fitter, search
from xpfit.fit.engines.numba import NumbaStars
from xpfit.fit.starts import ProfileStarts, Starts
from xpfit.fit.starts.profile import N_PROFILE_TYPES, RANK

EXPONENTIAL = 20
"""Operations that an exponential counts as."""


@contextmanager
def stopwatch(seconds: dict, targets: list):
    """Time functions, without what other timed functions take inside them."""
    stack: list[float] = []

    def timed(function, name):
        def call(*args, **kwargs):
            stack.append(0.0)
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                own = time.perf_counter() - start
                seconds[name] += own - stack.pop()
                if stack:
                    stack[-1] += own

        return call

    originals = [(owner, attribute, getattr(owner, attribute)) for owner, attribute, _ in targets]
    for owner, attribute, name in targets:
        setattr(owner, attribute, timed(getattr(owner, attribute), name))
    try:
        yield
    finally:
        for owner, attribute, original in originals:
            setattr(owner, attribute, original)


TARGETS = [
    (Fitter, "fit", "chunks, checks, results"),
    (fitter, "fit_data", "model covariance added"),
    (ProfileStarts, "candidates", "starts: types compared"),
    (Starts, "find", "starts: set apart"),
    (NumbaStars, "begin", "descents"),
    (NumbaStars, "iterate", "descents"),
    (search, "_prune", "descents pruned"),
    (search, "check_convergence", "Hessians"),
    (fitter, "fisher_matrix", "Fisher matrices"),
    (fitter, "safe_inverse", "Fisher matrices"),
]


def counted(model: XPModel, n_evaluations: float) -> dict[str, tuple[float, float]]:
    """(operations, bytes) per star of every stage that has a least amount of work."""
    forward = model.forward
    k, p = forward.n_label, forward.n_stellar
    n_grid, n_obs = forward.space.n_grid, forward.space.n_obs
    weights = forward.network.n_parameters
    n_hidden = sum(layer.n_out for layer in forward.network.layers[:-1] if hasattr(layer, "n_out"))
    triangle = n_obs * (n_obs + 1) / 2
    emulator = 2 * weights * (1 + k) + EXPONENTIAL * (n_hidden + 2 * n_grid)
    whitening = 2 * triangle * (1 + p)
    normal = n_obs * p * (p + 3)
    bends = 2 * triangle + 2 * weights + (k * (k + 1) / 2) * 3 * (n_hidden + n_grid)
    prior = len(model.prior.weights) * (2 * k * k + 4 * k + EXPONENTIAL + 1.5 * k * k)
    evaluation = emulator + whitening + normal + bends + prior
    n_features = RANK * (RANK + 1) / 2 + RANK + 2
    few = ProfileStarts(model).tile
    types = (1 + 1 / few) * N_PROFILE_TYPES * (2 * n_features + 4 * RANK)
    shapes = 2 * (2 * triangle * (RANK + 4) + n_obs * (RANK + 3) ** 2)
    return {
        "descents": (n_evaluations * evaluation, n_evaluations * 8 * triangle),
        "starts: types compared": (types + shapes, 8 * 2 * triangle),
        "model covariance added": (
            (4 * n_obs**3 / 3, 8 * 2 * triangle) if model.covariance else (0, 0)
        ),
        "Hessians": (9 * p**3, 8 * p * p),
        "Fisher matrices": (9 * p**3, 8 * 3 * p * p),
    }


def machine() -> tuple[float, float]:
    """Operations and bytes per second of one core."""
    a = np.random.default_rng(1).standard_normal((600, 600))
    best = min(_time(lambda: a @ a) for _ in range(5))
    large = np.zeros(20_000_000)
    out = np.empty_like(large)
    copied = min(_time(lambda: np.copyto(out, large)) for _ in range(5))
    return 2 * 600**3 / best, 2 * large.nbytes / copied


def _time(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def profile(model: XPModel, spectra: Spectra) -> None:
    """Print the table."""
    one = Fitter(model, engine="numba", n_jobs=1)
    one.fit(spectra[:100], False)
    seconds: dict[str, float] = defaultdict(float)
    evaluations = [0]
    begin = NumbaStars.begin

    def counting(self, star, theta):
        evaluations[0] += len(star)
        return begin(self, star, theta)

    NumbaStars.begin = counting
    with stopwatch(seconds, TARGETS):
        result = one.fit(spectra, False)
    NumbaStars.begin = begin
    n_evaluations = result.n_iterations.mean() + evaluations[0] / len(spectra)
    with threadpool_limits(1):
        flops, bandwidth = machine()
    needs = counted(model, n_evaluations)
    print(f"{model}\n{spectra}, {spectra.whitener.kind} whiteners, one thread")
    print(f"this core: {flops / 1e9:.0f} Gflop/s in products, {bandwidth / 1e9:.1f} GB/s in copies")
    print(f"{n_evaluations:.1f} evaluations with all derivatives per star\n")
    print(
        f"{'us per star':28s} {'measured':>9s} {'work':>8s} {'traffic':>8s} {'share of least':>15s}"
    )
    total, n = sum(seconds.values()), len(spectra)
    for name, value in sorted(seconds.items(), key=lambda item: -item[1]):
        work, traffic = needs.get(name, (0, 0))
        least = max(work / flops, traffic / bandwidth) * 1e6
        measured = value / n * 1e6
        minima = f"{work / flops * 1e6:8.1f} {traffic / bandwidth * 1e6:8.1f}"
        print(f"{name:28s} {measured:9.1f} {minima} {least / measured:15.0%}")
    print(f"{'all':28s} {total / n * 1e6:9.1f}    {n / total:.0f} stars/s")


def main() -> None:
    """Run the profile."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=DEFAULT_MODEL, help="default: a model of ZGR23's size")
    parser.add_argument("--input", metavar="FILE", help="spectra to fit; default: simulated ones")
    parser.add_argument("--n-stars", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    profile(*stars_to_fit(parser.parse_args()))


if __name__ == "__main__":
    main()
