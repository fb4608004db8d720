"""``xpfit plot``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm.auto import tqdm

from ..catalogue.cuts import iterate_catalogue
from ..catalogue.run.plan import model_spectra
from ..companion import Companion, GaiaNet, ScatterAutoencoder, UncertainNetwork, load_companion
from ..data.spectra import Spectra
from ..errors import InputError
from ..files import atomic_output, check_output, output_directory
from ..fit import Fitter
from ..model.store import load_model
from ..plots.attention import attention_figure
from ..plots.flux_residuals import flux_residual_figure, flux_residual_map_figure
from ..plots.forecast import forecast_figure
from ..plots.latent import alpha_figure, latent_figure
from ..plots.model import model_figures
from ..plots.reconstruction import reconstruction_figure
from ..plots.reliability import reliability_diagram
from ..plots.sky import birdseye_figure, extinction_map_figure
from ..plots.star import star_figure
from ..prepare import read_spectra
from ..validate.flux_residuals import FluxResiduals, flux_residuals
from ..validate.latent import alpha_classifiers
from ..validate.reconstruction import reconstruction_errors
from ..validate.sky import (
    BIRDSEYE_NSIDE,
    BIRDSEYE_PARALLAX_REL_ERR,
    DISTANCE_EDGES,
    MAP_COLUMNS,
    NSIDE,
    birdseye_edges,
    extinction_maps,
)
from .options import add_command, add_tables, additions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf", "svg")


def _of_model(options: argparse.Namespace) -> dict[str, Figure]:
    """Pictures of a model."""
    return model_figures(load_model(options.file))


def _of_catalogue(options: argparse.Namespace) -> dict[str, Figure]:
    """Reliability over the colour-absolute-magnitude diagram."""
    return {"reliability": reliability_diagram(iterate_catalogue(_file(options)))}


def _of_stars(options: argparse.Namespace) -> dict[str, Figure]:
    """Single stars."""
    model = load_model(options.model)
    if not options.source_id:
        raise InputError("name the stars with --source-id")
    figures, extra = {}, additions(options)
    training = read_spectra(options.training, space=model.space) if options.training else None
    for part in model_spectra(model, _file(options)):
        some = part[np.flatnonzero(np.isin(part.source_id, options.source_id))]
        if len(some):
            some = extra.apply(some)
            result = Fitter(model).fit(some, progress=False)
            for row, source_id in enumerate(some.source_id):
                figures[f"star-{source_id}"] = star_figure(model, some, result, row, training)
    missing = [i for i in options.source_id if f"star-{i}" not in figures]
    if missing:
        raise InputError(f"{options.file}: source {missing[0]} is not in this file; check the id")
    return figures


def _of_residuals(options: argparse.Namespace) -> dict[str, Figure]:
    """Flux residuals by label and over the sky."""
    model, extra, parts = load_model(options.model), additions(options), []
    fitter = Fitter(model, n_jobs=options.jobs)
    with tqdm(unit="star", disable=options.quiet) as bar:
        for part in model_spectra(model, _file(options)):
            part = extra.apply(part)
            result = fitter.fit(part, progress=False)
            parts.append(flux_residuals(model, part, result))
            bar.update(len(part))
    residuals = FluxResiduals.concatenate(parts)
    return {
        "flux_residuals": flux_residual_figure(residuals),
        "flux_residual_maps": flux_residual_map_figure(residuals),
    }


def _of_sky(options: argparse.Namespace) -> dict[str, Figure]:
    """Extinction over the sky, in slices of distance."""
    maps = extinction_maps(
        iterate_catalogue(_file(options), MAP_COLUMNS),
        edges=options.distances or DISTANCE_EDGES,
        nside=options.nside,
    )
    return {"extinction_maps": extinction_map_figure(maps)}


def _from_above(options: argparse.Namespace) -> dict[str, Figure]:
    """The dust seen from above."""
    maps = extinction_maps(
        iterate_catalogue(_file(options), MAP_COLUMNS),
        edges=options.distances or birdseye_edges(),
        nside=min(options.nside, BIRDSEYE_NSIDE),
        max_parallax_rel_err=BIRDSEYE_PARALLAX_REL_ERR,
    )
    return {"birdseye": birdseye_figure(maps)}


def _file(options: argparse.Namespace) -> Path:
    """The file, which must be named."""
    if options.file is None:
        raise InputError(f"name the file of which the {options.what} is to be drawn")
    return Path(options.file)


def _of_forecast(options: argparse.Namespace) -> dict[str, Figure]:
    """What spectra can measure."""
    return {"forecast": forecast_figure(load_model(options.file), g=options.g)}


def _of_attention(options: argparse.Namespace) -> dict[str, Figure]:
    """What a network that predicts labels looks at."""
    network, spectra = _companion(options, (UncertainNetwork.kind, GaiaNet.kind))
    model = load_model(options.model)
    logg, teff = (spectra.labels.get(name) for name in ("logg", "teff"))
    if logg is None or teff is None:
        raise InputError(f"{options.file}: no labels by which red-clump giants could be chosen")
    clump = (np.abs(logg - 2.4) < CLUMP_LOGG) & (np.abs(teff - 4.75) < CLUMP_TEFF)
    same = model if model.space.matches(network.space) else None
    return {"attention": attention_figure(network, spectra[np.flatnonzero(clump)], same)}


def _of_latent(options: argparse.Namespace) -> dict[str, Figure]:
    """What an auto-encoder reconstructs and what its latent numbers know."""
    network, spectra = _companion(options, (ScatterAutoencoder.kind,))
    training = read_spectra(options.training, space=network.space) if options.training else None
    model = load_model(options.model)
    same = model if model.space.matches(network.space) else None
    figures = {
        "latent_tracks": latent_figure(network, spectra if training is None else training),
        "reconstruction": reconstruction_figure(
            reconstruction_errors(network, spectra, training, same)
        ),
    }
    if training is not None:
        table = alpha_classifiers(network, training, np.random.default_rng(1))
        figures["alpha_classifiers"] = alpha_figure(table)
    return figures


def _companion(options: argparse.Namespace, kinds: tuple[str, ...]) -> tuple[Companion, Spectra]:
    """The companion, which must be of these kinds, and the spectra as it wants them."""
    if options.companion is None:
        raise InputError("name the companion with --companion")
    network = load_companion(options.companion)
    if network.kind not in kinds:
        raise InputError(
            f"{options.companion}: a companion of kind {network.kind!r}; {options.what} is drawn "
            f"of {' or '.join(kinds)}"
        )
    return network, read_spectra(_file(options), space=network.space)


CLUMP_LOGG, CLUMP_TEFF = 0.3, 0.2
"""How far from log g = 2.4 and Teff = 4750 K stars are taken for red-clump giants."""

PLOTS: dict[str, Callable[[argparse.Namespace], dict[str, Figure]]] = {
    "model": _of_model,
    "reliability": _of_catalogue,
    "star": _of_stars,
    "forecast": _of_forecast,
    "residuals": _of_residuals,
    "sky": _of_sky,
    "birdseye": _from_above,
    "attention": _of_attention,
    "latent": _of_latent,
}
"""What can be drawn; each makes figures by name."""


def add(commands) -> None:
    """Add the command."""
    command = add_command(
        commands, "plot", _plot, "Draw pictures of a model, a catalogue or stars."
    )
    command.add_argument(
        "what",
        choices=tuple(PLOTS),
        help="model: a trained model; reliability: the share of a catalogue's sources that pass "
        "the basic cut, over the colour-absolute-magnitude diagram (ZGR23, fig. 18); star: "
        "spectrum, fit, parameters and place in the prior of single stars; forecast: errors to be "
        "expected over the Kiel diagram; residuals: of flux, by label and over the sky (figs. 9, "
        "25, 26); sky: extinction in slices of distance (fig. 22); birdseye: the dust seen from "
        "above (fig. 24); attention: what a companion that predicts labels looks at; latent: what "
        "an auto-encoder's latent numbers know, and how well it reconstructs spectra",
    )
    command.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="model file (default: the one that comes with xpfit), catalogue or run directory, or "
        "spectra",
    )
    command.add_argument(
        "--source-id", type=int, action="append", metavar="ID", help="star to draw (repeatable)"
    )
    command.add_argument(
        "--model", metavar="MODEL.h5", help="for stars (default: the one that comes with xpfit)"
    )
    command.add_argument(
        "--training",
        metavar="FILE",
        help="labelled spectra, of which a star's nearest are shown; for latent, those for "
        "principal components and classifiers",
    )
    command.add_argument("--companion", metavar="COMPANION.h5", help="for attention and latent")
    command.add_argument("--g", type=float, default=15.0, help="magnitude of the forecast")
    command.add_argument("--jobs", type=int, default=1, help="threads of the fits for residuals")
    command.add_argument(
        "--nside", type=int, default=NSIDE, help="HEALPix nside of the smallest cells of maps"
    )
    command.add_argument(
        "--distances",
        type=float,
        nargs="+",
        metavar="KPC",
        help="edges of the slices (default: eight to 4 kpc; of birdseye, ZGR23's forty to 5 kpc)",
    )
    add_tables(command)
    command.add_argument(
        "--output-dir", required=True, metavar="DIR", help="directory for the pictures"
    )
    command.add_argument("--format", choices=FORMATS, default="png", help="of the pictures")


def _plot(options: argparse.Namespace) -> None:
    """Draw and write all pictures."""
    directory = output_directory(options.output_dir)
    figures = PLOTS[options.what](options)
    paths = {name: directory / f"{name}.{options.format}" for name in figures}
    for path in paths.values():
        check_output(path, overwrite=options.overwrite)
    for name, figure in figures.items():
        with atomic_output(paths[name], overwrite=options.overwrite) as part:
            figure.savefig(part, dpi=200)
    if not options.quiet:
        print(f"wrote {', '.join(path.name for path in paths.values())} to {directory}")
