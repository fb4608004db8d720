"""Time `xpfit run` from stores of prepared spectra: a plain loop, Dask with one worker, and more.

The stars are simulated (66 values, 5 parameters, full whiteners, as in scripts/benchmark_fit.py),
or in files that are there already. Every run starts in an empty directory and ends with a finished
catalogue; start-up of the workers is part of its time. The baseline of the ratios is the plain
loop in one process.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from xpfit import Fitter, load_model
from xpfit.catalogue.pipeline import Pipeline
from xpfit.catalogue.run.executor import local_cluster
from xpfit.catalogue.run.runner import RunSettings, run_catalogue
from xpfit.prepare import iterate_spectra, write_spectra
from xpfit.simulate import SurveySettings, iterate_survey

DEFAULT_MODEL = Path(__file__).resolve().parents[1] / "tests" / "data" / "three_labels.h5"
STARS_PER_FILE = 100_000


def simulated_stores(folder: Path, n_star: int, seed: int) -> tuple[Path, list[Path]]:
    """A model and stores of simulated stars."""
    model = replace(load_model(DEFAULT_MODEL), absolute=True, covariance=None)
    model.save(folder / "model.h5")
    settings = SurveySettings(binary_fraction=0.0, wrong_label_fraction=0.0)
    stores = []
    for k, start in enumerate(range(0, n_star, STARS_PER_FILE)):
        n, rng = min(STARS_PER_FILE, n_star - start), np.random.default_rng([seed, k])
        stores.append(folder / f"{k:04d}.h5")
        write_spectra((p.spectra for p in iterate_survey(model, n, rng, settings)), stores[-1])
    return folder / "model.h5", stores


@contextmanager
def peak_memory():
    """Highest resident memory (bytes) of any one process, this one and its children."""
    peak, done = [0], threading.Event()

    def watch():
        while not done.wait(0.2):
            this = psutil.Process()
            for process in (this, *this.children(recursive=True)):
                try:
                    peak[0] = max(peak[0], process.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def timed(model, stores, settings) -> tuple[float, float, int]:
    """Seconds, peak memory (GB) and number of stars of one run."""
    with tempfile.TemporaryDirectory() as folder, peak_memory() as peak:
        start = time.perf_counter()
        account = run_catalogue(stores, Path(folder) / "run", Pipeline(model), settings=settings)
        seconds = time.perf_counter() - start
    return seconds, peak[0] / 1e9, account.n_fitted + account.n_flagged


def with_dask(model, stores, n_workers: int) -> tuple[float, float, int]:
    """The same on a local cluster, whose start-up counts."""
    start = time.perf_counter()
    with local_cluster(n_workers) as cluster:
        settings = RunSettings(scheduler=cluster.scheduler_address, progress=False)
        _, peak, n_star = timed(model, stores, settings)
        return time.perf_counter() - start, peak, n_star


def main() -> None:
    """Time the runs and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stores", nargs="*", type=Path, help="prepared spectra (default: simulate)")
    parser.add_argument("--model", type=Path, help="model for them")
    parser.add_argument("--n-stars", type=int, default=50_000, help="stars to simulate")
    parser.add_argument("--workers", type=int, default=2, help="workers of the last run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the numbers here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, stores = options.model, options.stores
        if not stores:
            path, stores = simulated_stores(Path(folder), options.n_stars, options.seed)
        model = load_model(path)
        # The core is compiled, and cached for all processes, before any clock runs.
        Fitter(model).fit(next(iterate_spectra(stores[0], 64)), progress=False)
        runs = {
            "plain loop": timed(model, stores, RunSettings(progress=False)),
            "Dask, 1 worker": with_dask(model, stores, 1),
            f"Dask, {options.workers} workers": with_dask(model, stores, options.workers),
        }
    numbers = {}
    baseline = runs["plain loop"][0]
    print(f"{'':20}{'stars':>10}{'seconds':>10}{'stars/s':>10}{'x loop':>9}{'GB/process':>12}")
    for name, (seconds, peak, n_star) in runs.items():
        print(
            f"{name:20}{n_star:10d}{seconds:10.1f}{n_star / seconds:10.0f}"
            f"{baseline / seconds:9.2f}{peak:12.2f}"
        )
        numbers[name] = {"seconds": seconds, "stars": n_star, "gigabytes": peak}
    overhead = runs["Dask, 1 worker"][0] / baseline - 1.0
    print(f"overhead of Dask with one worker against the plain loop: {overhead:.1%}")
    if options.json:
        options.json.write_text(json.dumps(numbers, indent=1))


if __name__ == "__main__":
    main()
