"""Make a catalogue of any number of spectra.

Rerun the same command to resume a run that was interrupted or killed. The exit status is 0 if all
inputs are in the catalogue, and 3 if the run is finished but some could not be read or fitted: the
last line counts them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from joblib import cpu_count

from ..catalogue.run.plan import STARS_PER_CHUNK
from ..catalogue.run.runner import RETRIES, RunSettings, run_catalogue
from . import options as shared
from .parser import COMPANIONS, FIT_MODEL, TABLES, Parser
from .resume import resumable


def add(command: Parser) -> None:
    """Add the command's arguments."""
    command.common("inputs")
    command.option(
        "--output-dir DIR",
        "directory of the run, with the catalogue (HATS, Parquet) in DIR/catalogue",
        required=True,
    )
    command.common(*FIT_MODEL, *TABLES)
    command.option(
        "--workers N",
        "processes of a local Dask cluster; 1 works without Dask",
        default=cpu_count(),
    )
    command.option(
        "--scheduler ADDRESS",
        "Dask scheduler, such as tcp://host:8786, whose workers are used instead; they must have "
        "access to the same files",
    )
    command.option(
        "--chunk-size STARS",
        "prepared stars fitted at a time; a file of another kind is one chunk",
        default=STARS_PER_CHUNK,
    )
    command.option("--retries N", "further attempts at a chunk that fails", default=RETRIES)
    command.option("--retry-refused", "try chunks again that were refused before")
    command.option("--dashboard", "show Dask's dashboard, to users of this machine only")
    command.option("--keep-parts", "keep the rows of chunks when all is done")
    shared.add_fit_settings(command)
    command.common("distance-prior", *COMPANIONS, "quiet")


def run(options: argparse.Namespace) -> int:
    """Run, and print the outcome for all sources."""
    progress = not options.quiet
    settings = shared.settings_of(
        RunSettings, options, n_workers=options.workers, progress=progress
    )
    pipeline = shared.make_pipeline(options, options.inputs)
    with resumable("rerun the same command to resume"):
        account = run_catalogue(
            options.inputs,
            options.output_dir,
            pipeline,
            stars_per_chunk=options.chunk_size,
            settings=settings,
        )
    shared.say(options, account, f"wrote {Path(options.output_dir) / 'catalogue'}")
    return shared.with_refusals(account.last_line)
