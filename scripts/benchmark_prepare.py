"""Time the way from an archive CSV file to whitened data against GaiaXPy, in the same run.

A file of sources (the rows of the given file, repeated under new ids) is read, sampled at ZGR23's
61 wavelengths and whitened by xpfit; read from xpfit's store of prepared spectra; and calibrated
with correlations, but not whitened, by GaiaXPy. One process; threads of the linear algebra are the
environment's.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
import time
from pathlib import Path

from xpfit.constants import XP_WAVELENGTH
from xpfit.prepare import (
    iterate_file,
    iterate_spectra,
    sample_continuous,
    whiten_covariances,
    write_spectra,
)
from xpfit.prepare.bases import sampled_design
from xpfit.prepare.continuous import BLOCK
from xpfit.read import read_continuous


def repeat_rows(source: Path, target: Path, n_star: int) -> None:
    """Write `n_star` rows of a CSV file, ids replaced."""
    header, *rows = [line for line in source.read_text().splitlines() if line]
    if not header.startswith("source_id,"):
        raise SystemExit(f"{source}: the first column must be source_id")
    with target.open("w") as out:
        out.write(header + "\n")
        for i in range(n_star):
            row = rows[i % len(rows)]
            out.write(f"{10**17 + i}{row[row.index(',') :]}\n")


def time_xpfit(path: Path) -> dict[str, float]:
    """Seconds for reading, sampling and whitening."""
    seconds = dict.fromkeys(("read", "sample", "whiten"), 0.0)
    last = time.perf_counter()

    def lap(step: str) -> None:
        nonlocal last
        now = time.perf_counter()
        seconds[step] += now - last
        last = now

    for table in read_continuous(path):
        lap("read")
        for start in range(0, len(table), BLOCK):
            sampled = sample_continuous(table[start : start + BLOCK], XP_WAVELENGTH)
            lap("sample")
            whiten_covariances(sampled.covariance, sampled.mask)
            lap("whiten")
    return seconds


def time_store(path: Path) -> float:
    """Seconds for reading prepared spectra with their full whiteners."""
    started = time.perf_counter()
    for spectra in iterate_spectra(path, chunk_size=BLOCK):
        assert spectra.whitener.kind == "triangular"
    return time.perf_counter() - started


def time_gaiaxpy(path: Path) -> float:
    """Seconds of `gaiaxpy.calibrate` with correlations."""
    from gaiaxpy import calibrate

    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        calibrate(str(path), sampling=XP_WAVELENGTH, save_file=False, with_correlation=True)
    return time.perf_counter() - started


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="CSV file of XP_CONTINUOUS rows to repeat")
    parser.add_argument("--n", type=int, default=1000, help="sources (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="runs; the fastest counts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "sources.csv"
        repeat_rows(options.source, path, options.n)
        sampled_design(XP_WAVELENGTH)
        store = path.with_suffix(".h5")
        write_spectra(iterate_file(path), store)
        runs = [
            (time_xpfit(path), time_gaiaxpy(path), time_store(store))
            for _ in range(options.repeats)
        ]
    ours = min((run[0] for run in runs), key=lambda s: sum(s.values()))
    theirs = min(run[1] for run in runs)
    stored = min(run[2] for run in runs)
    per_star = {step: 1e3 * value / options.n for step, value in ours.items()}
    total = sum(per_star.values())
    report = {
        "xpfit_ms_per_star": {**per_star, "total": total},
        "gaiaxpy_ms_per_star": 1e3 * theirs / options.n,
        "ratio": theirs / options.n * 1e3 / total,
        "store_ms_per_star": 1e3 * stored / options.n,
        "store_ratio": theirs / stored,
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    print(", ".join(f"{step} {value:.3f}" for step, value in per_star.items()), "ms per star")
    print(f"xpfit {total:.3f}, GaiaXPy {report['gaiaxpy_ms_per_star']:.3f} ms per star")
    print(f"ratio {report['ratio']:.2f} from CSV to whitened data")
    print(
        f"ratio {report['store_ratio']:.1f} from the store ({report['store_ms_per_star']:.3f} ms)"
    )


if __name__ == "__main__":
    main()
