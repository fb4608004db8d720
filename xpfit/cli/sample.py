"""Sample the exact posterior of some stars by emcee, and compare it with optimum and errors.

Rerun the same command to resume chains that were interrupted.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..catalogue.pipeline import Pipeline
from ..data import Spectra
from ..errors import InputError
from ..files import atomic_output
from ..fit import FitResult, FitStatus
from ..fit.sampling import MAX_STEPS, sample_posterior
from ..locks import locked
from ..plots import save
from ..plots.posterior import corner_figure
from ..validate.posterior import posterior_shares, posterior_table
from . import options as shared
from .parser import FIT_MODEL, INPUT_HELP, TABLES, Parser
from .resume import resumable

SUMMARY_NAME = "posteriors.ecsv"


def add(command: Parser) -> None:
    """Add the command's arguments."""
    command.option("source_ids SOURCE_ID", "stars (default: the first)", nargs="*", type=int)
    command.option("--spectra INPUT", f"{INPUT_HELP}, with the stars", required=True, nargs="+")
    command.option(
        "--output-dir DIR",
        f"directory for {SUMMARY_NAME}, and chains (chain-ID.h5, for emcee's HDFBackend) and "
        "corner plots of each star",
        required=True,
    )
    command.option("--first N", "sample the first N stars whose fit converged", type=int)
    command.option("--max-steps N", "steps per star, at most", default=MAX_STEPS)
    command.common(*FIT_MODEL, *TABLES, "no-model-covariance", "seed", "overwrite", "quiet")


def run(options: argparse.Namespace) -> None:
    """Sample, summarise and draw."""
    try:
        import emcee  # noqa: F401
    except ImportError as reason:
        raise InputError("sampling needs emcee: python -m pip install 'xpfit[sample]'") from reason
    directory = shared.make_directory(options, options.output_dir, [SUMMARY_NAME])
    busy = f"{directory}: another sampling is active in this directory; wait, or give another one"
    with locked(directory / ".lock", busy, remove=True):
        _sample(options, directory)


def _sample(options: argparse.Namespace, directory: Path) -> None:
    """Sample in a directory that no other process writes to."""
    from ..fit.chains import ChainFile, posterior_digest

    with_covariance = not options.no_model_covariance
    pipeline = shared.make_pipeline(options, options.spectra)
    model, spectra = pipeline.model, _stars(options, pipeline)
    result = pipeline.fit(spectra)
    samples = []
    for row, rng in _chosen(options, spectra, result):
        source_id = int(spectra.source_id[row])
        shared.say(options, f"Gaia DR3 {source_id}")
        star, path = spectra[[row]], directory / f"chain-{source_id}.h5"
        shared.check_outputs(options, path, overwrite=True)
        posterior = posterior_digest(model, star, options.seed, model_covariance=with_covariance)
        with resumable("rerun the same command to resume", path):
            sample = sample_posterior(
                model,
                star,
                rng,
                result=result.take([row]),
                model_covariance=with_covariance,
                max_steps=options.max_steps,
                backend=ChainFile(path, posterior),
                progress=not options.quiet,
            )
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
    shares = posterior_shares(table, model.parameter_names)
    shared.say(options, _summary(shares, len(table)), f"wrote {directory}")


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
    """Fractions of stars as a text table."""
    columns = ["median", "width", "skew", "bimodal"]
    rows = [["", *columns]]
    rows += [[name, *(f"{share[k]:.0%}" for k in columns)] for name, share in shares.items()]
    return (
        f"fractions of {n_star} stars:\n"
        f"{shared.text_table([12, 10, 10, 8, 9], rows)}\n"
        "median: within 0.3 Fisher errors of the optimum; width: 16-84 % range within 25 % of "
        "the Fisher error"
    )
