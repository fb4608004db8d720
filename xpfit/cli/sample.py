"""Sample the exact posterior of some stars by emcee, and compare it with optimum and errors.

Rerun the same command to resume chains that were interrupted.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator

import numpy as np

from ..catalogue.pipeline import Pipeline
from ..data.spectra import Spectra
from ..errors import InputError, OutputError
from ..files import atomic_output, check_output, output_directory
from ..fit import FitResult, FitStatus
from ..fit.sampling import MAX_STEPS, sample_posterior
from ..plots import save
from ..plots.posterior import corner_figure
from ..validate.posterior import posterior_shares, posterior_table
from . import options as shared

CHAINS_NAME, SUMMARY_NAME = "chains.h5", "posteriors.ecsv"


def add(command: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    shared.add_output_options(command)
    command.add_argument(
        "source_ids", metavar="SOURCE_ID", nargs="*", type=int, help="stars (default: the first)"
    )
    command.add_argument(
        "--spectra",
        required=True,
        nargs="+",
        metavar="INPUT",
        help=f"{shared.INPUT_HELP}, with the stars",
    )
    shared.add_model(command)
    shared.add_tables(command)
    command.add_argument(
        "--output-dir",
        required=True,
        metavar="DIR",
        help=f"directory for {CHAINS_NAME} (emcee's HDF backend, one group per star), "
        f"{SUMMARY_NAME} and corner plots",
    )
    command.add_argument(
        "--first", type=int, metavar="N", help="sample the first N stars whose fit converged"
    )
    command.add_argument("--max-steps", type=int, default=MAX_STEPS, help="steps per star, at most")
    shared.add_model_covariance(command)
    shared.add_seed(command)


def run(options: argparse.Namespace) -> None:
    """Sample, summarise and draw."""
    try:
        from emcee.backends import HDFBackend
    except ImportError as reason:
        raise InputError("sampling needs emcee: python -m pip install 'xpfit[sample]'") from reason
    directory = output_directory(options.output_dir)
    check_output(directory / SUMMARY_NAME, overwrite=options.overwrite)
    pipeline = shared.make_pipeline(options, options.spectra)
    model, spectra = pipeline.model, _stars(options, pipeline)
    result = pipeline.fit(spectra)
    samples = []
    for row, rng in _chosen(options, spectra, result):
        source_id = int(spectra.source_id[row])
        if not options.quiet:
            print(f"Gaia DR3 {source_id}")
        try:
            with shared.resumable("rerun the same command to resume"):
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
        except OSError as error:
            raise OutputError(f"{directory / CHAINS_NAME}: {error}") from error
        if not sample.converged:
            warnings.warn(
                f"source {source_id}: {sample.n_steps} steps are fewer than 50 autocorrelation "
                "times; rerun with a higher --max-steps to continue the chain",
                stacklevel=1,
            )
        samples.append(sample)
        figure = corner_figure(sample, absolute=model.absolute)
        save(figure, directory / f"corner-{source_id}.png", overwrite=True)
    table = posterior_table(samples, absolute=model.absolute)
    with atomic_output(directory / SUMMARY_NAME, overwrite=options.overwrite) as part:
        table.write(part, format="ascii.ecsv")
    if not options.quiet:
        print(_summary(posterior_shares(table, model.parameter_names), len(table)))
        print(f"wrote {directory}")


def _stars(options: argparse.Namespace, pipeline: Pipeline) -> Spectra:
    """The stars that were named, or all."""
    if options.source_ids:
        return pipeline.stars(options.spectra, options.source_ids)
    parts = (part for path in options.spectra for part in pipeline.spectra(path))
    return Spectra.concatenate(list(parts))


def _chosen(
    options: argparse.Namespace, spectra: Spectra, result: FitResult
) -> Iterator[tuple[int, np.random.Generator]]:
    """Rows to be sampled, and a generator for each that depends on its star alone."""
    if options.source_ids:
        order = {i: k for k, i in enumerate(options.source_ids)}
        rows = sorted(range(len(spectra)), key=lambda row: order[int(spectra.source_id[row])])
    else:
        rows = np.flatnonzero(result.status == FitStatus.CONVERGED)[: options.first or 1]
    for row in rows:
        yield row, np.random.default_rng([options.seed, abs(int(spectra.source_id[row]))])


def _summary(shares: dict[str, dict[str, float]], n_star: int) -> str:
    """Fractions of stars as a table for people."""
    lines = [f"fractions of {n_star} stars:"]
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
