"""``xpfit sample``."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np

from ..catalogue.run.plan import model_spectra
from ..data.spectra import Spectra
from ..errors import InputError, OutputError
from ..files import atomic_output, check_output, output_directory
from ..fit import FitStatus, Fitter
from ..fit.sampling import MAX_STEPS, sample_posterior
from ..model.store import load_model
from ..plots.posterior import corner_figure
from ..validate.posterior import posterior_shares, posterior_table
from .options import INPUT_HELP, Interrupted, add_command, add_tables, additions

CHAINS_NAME, SUMMARY_NAME = "chains.h5", "posteriors.ecsv"


def add(commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "sample",
        _sample,
        "Sample the exact posterior of some stars by emcee, and compare it with optimum and "
        "errors. The same command goes on with chains that were interrupted.",
    )
    command.add_argument(
        "source_ids", metavar="SOURCE_ID", nargs="*", type=int, help="stars (default: the first)"
    )
    command.add_argument(
        "--spectra", required=True, nargs="+", metavar="INPUT", help=f"{INPUT_HELP}, with the stars"
    )
    command.add_argument(
        "--model", metavar="MODEL.h5", help="model file (default: the one that comes with xpfit)"
    )
    add_tables(command)
    command.add_argument(
        "--output-dir",
        required=True,
        metavar="DIR",
        help=f"directory for {CHAINS_NAME} (emcee's HDF backend, one group per star), "
        f"{SUMMARY_NAME} and corner plots",
    )
    command.add_argument(
        "--first", type=int, metavar="N", help="sample the first N stars that have a good fit"
    )
    command.add_argument("--max-steps", type=int, default=MAX_STEPS, help="steps per star, at most")
    command.add_argument(
        "--no-model-covariance",
        action="store_true",
        help="take the emulator to be exact: errors of the measurement alone, as in ZGR23",
    )
    command.add_argument("--seed", type=int, default=1, help="seed of all randomness")


def _sample(options: argparse.Namespace) -> None:
    """Sample, summarise and draw."""
    try:
        from emcee.backends import HDFBackend
    except ImportError as reason:
        raise InputError("sampling needs emcee: python -m pip install 'xpfit[sample]'") from reason
    directory = output_directory(options.output_dir)
    check_output(directory / SUMMARY_NAME, overwrite=options.overwrite)
    model = load_model(options.model)
    fitter = Fitter(model, model_covariance=not options.no_model_covariance)
    spectra = _stars(options, model)
    result = fitter.fit(spectra, progress=False)
    samples = []
    for row, rng in _chosen(options, spectra, result):
        source_id = int(spectra.source_id[row])
        if not options.quiet:
            print(f"Gaia DR3 {source_id}")
        try:
            sample = sample_posterior(
                model,
                spectra[[row]],
                rng,
                result=result.take([row]),
                model_covariance=not options.no_model_covariance,
                max_steps=options.max_steps,
                backend=HDFBackend(str(directory / CHAINS_NAME), name=str(source_id)),
                progress=not options.quiet,
            )
        except KeyboardInterrupt:
            raise Interrupted("the same command goes on") from None
        except OSError as error:
            raise OutputError(f"{directory / CHAINS_NAME}: {error}") from error
        if not sample.converged:
            warnings.warn(
                f"source {source_id}: {sample.n_steps} steps are fewer than 50 autocorrelation "
                "times; the same command with a higher --max-steps goes on",
                stacklevel=1,
            )
        samples.append(sample)
        figure = corner_figure(sample, absolute=model.absolute)
        with atomic_output(directory / f"corner-{source_id}.png", overwrite=True) as part:
            figure.savefig(part, dpi=200)
    table = posterior_table(samples, absolute=model.absolute)
    with atomic_output(directory / SUMMARY_NAME, overwrite=options.overwrite) as part:
        table.write(part, format="ascii.ecsv")
    if not options.quiet:
        print(_summary_text(posterior_shares(table, model.parameter_names), len(table)))
        print(f"wrote {Path(directory)}")


def _stars(options: argparse.Namespace, model) -> Spectra:
    """The stars that may be sampled, with what is known of them."""
    extra = additions(options)
    parts = []
    for path in options.spectra:
        for part in model_spectra(model, path):
            if options.source_ids:
                part = part[np.flatnonzero(np.isin(part.source_id, options.source_ids))]
            if len(part):
                parts.append(extra.apply(part))
    found = {int(i) for part in parts for i in part.source_id}
    missing = [i for i in options.source_ids if i not in found]
    if missing:
        raise InputError(f"source {missing[0]} is in none of the files; check the id")
    return Spectra.concatenate(parts)


def _chosen(options: argparse.Namespace, spectra: Spectra, result):
    """Rows to be sampled, and a generator for each that depends on its star alone."""
    rows = np.flatnonzero(result.status == FitStatus.CONVERGED)
    if options.source_ids:
        order = {i: k for k, i in enumerate(options.source_ids)}
        rows = sorted(range(len(spectra)), key=lambda row: order[int(spectra.source_id[row])])
    else:
        rows = rows[: options.first or 1]
    for row in rows:
        yield row, np.random.default_rng([options.seed, abs(int(spectra.source_id[row]))])


def _summary_text(shares: dict[str, dict[str, float]], n_star: int) -> str:
    """Shares as a table for people."""
    lines = [f"{n_star} stars; shares of them:"]
    lines.append(f"{'':12}{'median':>10}{'width':>10}{'skew':>8}{'bimodal':>9}")
    for name, share in shares.items():
        lines.append(
            f"{name:12}{share['median']:10.0%}{share['width']:10.0%}{share['skew']:8.0%}"
            f"{share['bimodal']:9.0%}"
        )
    lines.append(
        "median: within 0.3 Fisher errors of the optimum; width: 16-84 % range within 25 % of "
        "the Fisher error"
    )
    return "\n".join(lines)
