"""Make a catalogue of any number of spectra.

Rerun the same command to resume a run that was interrupted or killed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from joblib import cpu_count

from ..catalogue.run.plan import STARS_PER_CHUNK
from ..catalogue.run.runner import RETRIES, RunSettings, run_catalogue
from . import options as shared


def add(command: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    shared.add_output_options(command, overwrite=False)
    command.add_argument("inputs", metavar="INPUT", nargs="+", help=shared.INPUT_HELP)
    command.add_argument(
        "--output-dir",
        required=True,
        metavar="DIR",
        help="directory of the run, with the catalogue (HATS, Parquet) in DIR/catalogue",
    )
    shared.add_model(command)
    shared.add_tables(command)
    command.add_argument(
        "--workers",
        type=int,
        default=cpu_count(),
        metavar="N",
        help="processes of a local Dask cluster; 1 works without Dask",
    )
    command.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="Dask scheduler, such as tcp://host:8786, whose workers are used instead; they must "
        "have access to the same files",
    )
    command.add_argument(
        "--chunk-size",
        type=int,
        default=STARS_PER_CHUNK,
        metavar="STARS",
        help="prepared stars fitted at a time; files of other kinds are taken whole",
    )
    command.add_argument(
        "--retries", type=int, default=RETRIES, help="further attempts at a chunk that fails"
    )
    command.add_argument(
        "--retry-refused", action="store_true", help="try chunks again that were refused before"
    )
    command.add_argument(
        "--keep-parts", action="store_true", help="keep the rows of chunks when all is done"
    )
    shared.add_fit_settings(command)
    shared.add_companions(command)


def run(options: argparse.Namespace) -> None:
    """Run, and print the outcome for all sources."""
    settings = RunSettings(
        n_workers=options.workers,
        scheduler=options.scheduler,
        retries=options.retries,
        retry_refused=options.retry_refused,
        keep_parts=options.keep_parts,
        progress=not options.quiet,
    )
    pipeline = shared.make_pipeline(options, options.inputs)
    with shared.resumable("rerun the same command to resume"):
        account = run_catalogue(
            options.inputs,
            options.output_dir,
            pipeline,
            stars_per_chunk=options.chunk_size,
            settings=settings,
        )
    if not options.quiet:
        print(account)
        print(f"wrote {Path(options.output_dir) / 'catalogue'}")
