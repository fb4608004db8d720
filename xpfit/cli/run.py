"""``xpfit run``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from joblib import cpu_count

from ..catalogue.run.plan import STARS_PER_CHUNK
from ..catalogue.run.runner import RETRIES, RunSettings, run_catalogue
from ..model.store import load_model
from ..quality import confidence_for
from .options import (
    INPUT_HELP,
    Interrupted,
    add_command,
    add_companions,
    add_confidence,
    add_fitter,
    add_tables,
    additions,
    companion_provenance,
    companions_of,
    fitter_options,
)


def add(commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "run",
        _run,
        "Make a catalogue of any number of spectra. The same command goes on with a run that was "
        "interrupted or killed.",
        overwrite=False,
    )
    command.add_argument("inputs", metavar="INPUT", nargs="+", help=INPUT_HELP)
    command.add_argument(
        "--output-dir",
        required=True,
        metavar="DIR",
        help="directory of the run, with the catalogue (HATS, Parquet) in DIR/catalogue",
    )
    command.add_argument(
        "--model", metavar="MODEL.h5", help="model file (default: the one that comes with xpfit)"
    )
    add_confidence(command)
    add_tables(command)
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
        help="Dask scheduler, such as tcp://host:8786, whose workers do the work instead; they "
        "must see the same files",
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
    add_fitter(command)
    add_companions(command)


def _run(options: argparse.Namespace) -> None:
    """Run, and tell what became of every source."""
    model = load_model(options.model)
    provenance = {
        "MODEL": Path(options.model).name if options.model else "default",
        "TABLES": json.dumps(
            {
                name: Path(path).name
                for name in ("photometry", "astrometry")
                if (path := getattr(options, name))
            }
        ),
        "ZEROPT": str(not options.no_zero_point),
        **companion_provenance(options),
    }
    start, companions = companions_of(options)
    settings = RunSettings(
        n_workers=options.workers,
        scheduler=options.scheduler,
        retries=options.retries,
        retry_refused=options.retry_refused,
        keep_parts=options.keep_parts,
        progress=not options.quiet,
    )
    try:
        account = run_catalogue(
            options.inputs,
            options.output_dir,
            model,
            confidence=confidence_for(model, options.confidence),
            options=fitter_options(options),
            additions=additions(options),
            start_from=start,
            companions=companions,
            provenance=provenance,
            stars_per_chunk=options.chunk_size,
            settings=settings,
        )
    except KeyboardInterrupt:
        raise Interrupted("the same command goes on") from None
    if not options.quiet:
        print(account)
        print(f"wrote {Path(options.output_dir) / 'catalogue'}")
