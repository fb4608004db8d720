"""Time `xpfit run` from stores of prepared spectra: a plain loop, Dask with one worker, and more.

The stars are simulated (66 values, 5 parameters, full whiteners, as in scripts/benchmark_fit.py),
or in files that are there already. Every run starts in an empty directory and ends with a finished
catalogue; start-up of the workers is part of its time. The baseline of the ratios is the plain
loop in one process.

With --plan the rates of the stages (read, prepare, fit, write) are measured too, in seconds of one
core, and projected to 220 million and 2 billion stars on --machines of --cores each: time, disk,
memory, and what grows with the number of stars (scripts/scale_plan.py).
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
from astropy.table import vstack
from scale_plan import Rates, Stage, growth_text, project, text_of
from threadpoolctl import threadpool_limits

from xpfit import Fitter, load_model
from xpfit.catalogue.columns import add_column
from xpfit.catalogue.hats import plan_partitions, write_partition
from xpfit.catalogue.pipeline import Pipeline
from xpfit.catalogue.run.contents import contents_of
from xpfit.catalogue.run.executor import local_cluster
from xpfit.catalogue.run.manifest import RunDirectory
from xpfit.catalogue.run.runner import RunSettings, run_catalogue
from xpfit.catalogue.run.work import HEALPIX_COLUMN, sorted_rows, write_rows
from xpfit.healpix import healpix_29
from xpfit.prepare import continuous_spectra, iterate_spectra, write_spectra
from xpfit.read import read_continuous
from xpfit.simulate import SurveySettings, iterate_survey

DEFAULT_MODEL = Path(__file__).resolve().parents[1] / "tests" / "data" / "three_labels.h5"
STARS_PER_FILE = 100_000

PLANNED = (220_000_000, 2_000_000_000)
"""Stars of DR3 with XP spectra, and about those of DR4."""

STARS_PER_CHUNK = 65_000
"""Of an average bulk file of DR3."""

N_MEASURED = 4000
"""Stars on which the stages are measured."""


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


def with_dask(model, stores, n_workers: int) -> tuple[tuple[float, float, int], float]:
    """The same on a local cluster, whose start-up counts; and the seconds without it."""
    start = time.perf_counter()
    with local_cluster(n_workers) as cluster:
        settings = RunSettings(scheduler=cluster.scheduler_address, progress=False)
        seconds, peak, n_star = timed(model, stores, settings)
        return (time.perf_counter() - start, peak, n_star), seconds


def bulk_file(path: Path, n_star: int, rng: np.random.Generator) -> None:
    """Random coefficients in the form of the archive's bulk files of continuous spectra."""
    names = ["source_id"]
    for band in ("bp", "rp"):
        names += [f"{band}_{n}" for n in ("n_relevant_bases", "standard_deviation")]
        names += [f"{band}_{n}" for n in ("coefficients", "coefficient_errors")]
        names += [f"{band}_coefficient_correlations"]
    decay = np.exp(-np.arange(55) / 6.0)
    with gzip.open(path, "wt", compresslevel=6) as file:
        file.write("# %ECSV 1.0\n# ---\n" + ",".join(names) + "\n")
        for i in range(n_star):
            cells = [str(2**61 + 4 * i)]
            for _ in range(2):
                values = 3000.0 * decay * (1.0 + 0.3 * rng.standard_normal(55))
                errors = (10.0 * (0.2 + decay)).astype(np.float32)
                correlations = (0.02 * rng.standard_normal(1485)).astype(np.float32)
                cells += ["50", "1.1"]
                cells += [f'"[{", ".join(map(str, v))}]"' for v in (values, errors, correlations)]
            file.write(",".join(cells) + "\n")


@contextmanager
def core_time(seconds: dict[str, float], name: str):
    """Add the time of this process in a block, of all its threads, to those of a stage."""
    start = time.process_time()
    yield
    seconds[name] = seconds.get(name, 0.0) + time.process_time() - start


def measured_rates(model, store: Path, folder: Path, rng: np.random.Generator) -> Rates:
    """Rates of the stages, per star and in seconds of one core, measured in this process."""
    pipeline, seconds, tables, n = Pipeline(model), {}, [], N_MEASURED
    bulk, part, prepared = (folder / name for name in ("bulk.csv.gz", "part.parquet", "s.h5"))
    bulk_file(bulk, n, rng)
    # The bases come from GaiaXPy once per process.
    continuous_spectra([next(read_continuous(bulk, 10))], model.space)
    with threadpool_limits(1), peak_memory() as peak:
        with core_time(seconds, "read"):
            contents_of(None, bulk)
        for table in timed_each(read_continuous(bulk), seconds, "read"):
            with core_time(seconds, "prepare"):
                continuous_spectra([table], model.space)
        for spectra in iterate_spectra(store, 2000, range(n)):
            with core_time(seconds, "fit"):
                tables.append(pipeline.table(spectra, reference=False))
        with core_time(seconds, "write"):
            rows = vstack(tables)
            cells = healpix_29(np.asarray(rows["ra"]), np.asarray(rows["dec"]))
            add_column(rows, HEALPIX_COLUMN, cells)
            fitted = write_rows(sorted_rows(rows), part)
        with core_time(seconds, "plan"):
            partitions = plan_partitions([part])
        with core_time(seconds, "write"):
            written = [write_partition(None, p, str(folder)) for p in partitions]
        with core_time(seconds, "store"):
            write_spectra(iterate_spectra(store, 2000, range(n)), prepared)
    total = {
        "read": bulk.stat().st_size,
        "fit": fitted.size,
        "write": sum(file.size for file in written),
        "store": prepared.stat().st_size,
    }
    *stages, stored = (
        Stage(name, seconds[name] / n, total.get(name, 0) / n)
        for name in ("read", "prepare", "fit", "write", "store")
    )
    in_turn = seconds_of_entry(folder / "entries") + seconds["plan"] * STARS_PER_CHUNK / n
    return Rates(tuple(stages), peak[0], in_turn, store=stored, stars_per_chunk=STARS_PER_CHUNK)


def timed_each(items, seconds: dict[str, float], name: str):
    """The same items; the time that it takes to make them is added to those of a stage."""
    items = iter(items)
    while True:
        with core_time(seconds, name):
            item = next(items, None)
        if item is None:
            return
        yield item


def seconds_of_entry(folder: Path, n: int = 50) -> float:
    """Time for recording the end of a chunk, which is on disk when the next one is recorded."""
    directory, entry = RunDirectory(folder), {"kind": "chunk", "index": 0, "result": "x" * 250}
    start = time.perf_counter()
    for _ in range(n):
        directory.append(entry)
    return (time.perf_counter() - start) / n


def print_plans(rates: Rates, machines: int, cores: int) -> None:
    """The measured rates, and what they come to."""
    print("\nseconds of one core, and bytes on disk, per star:")
    for stage in (*rates.stages, rates.store):
        print(f"{stage.name:16}{1e6 * stage.seconds:12.1f} us{stage.bytes:12.0f} bytes")
    print(
        f"a chunk takes {1e3 * rates.chunk_seconds:.1f} ms of the main process; several workers "
        f"have an efficiency of {rates.efficiency:.2f}, start-up apart"
    )
    for n_star in PLANNED:
        plan = project(rates, n_star, machines, cores)
        print("\n" + text_of(plan, rates.store))
    print("\n" + growth_text(plan.growth))


def main() -> None:
    """Time the runs and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stores", nargs="*", type=Path, help="prepared spectra (default: simulate)")
    parser.add_argument("--model", type=Path, help="model for them")
    parser.add_argument("--n-stars", type=int, default=50_000, help="stars to simulate")
    parser.add_argument("--workers", type=int, default=2, help="workers of the last run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--plan", action="store_true", help="project runs of 220 million and more")
    parser.add_argument("--machines", type=int, default=1, help="of the plan (default %(default)s)")
    parser.add_argument("--cores", type=int, default=16, help="of each (default %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, stores = options.model, options.stores
        if not stores:
            path, stores = simulated_stores(Path(folder), options.n_stars, options.seed)
        model = load_model(path)
        # The core is compiled, and cached for all processes, before any clock runs.
        Fitter(model).fit(next(iterate_spectra(stores[0], 64)), progress=False)
        runs = {"plain loop": timed(model, stores, RunSettings(progress=False))}
        runs["Dask, 1 worker"], alone = with_dask(model, stores, 1)
        runs[f"Dask, {options.workers} workers"], together = with_dask(
            model, stores, options.workers
        )
        if options.plan:
            rng = np.random.default_rng(options.seed)
            rates = measured_rates(model, stores[0], Path(folder), rng)
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
    if options.plan:
        rates = replace(rates, efficiency=min(1.0, alone / together / options.workers))
        print_plans(rates, options.machines, options.cores)
    if options.json:
        options.json.write_text(json.dumps(numbers, indent=1))


if __name__ == "__main__":
    main()
