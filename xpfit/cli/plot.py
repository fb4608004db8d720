"""Draw figures of a model, a catalogue or single stars."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..catalogue.cuts import iterate_catalogue
from ..companion import Companion, GaiaNet, ScatterAutoencoder, UncertainNetwork, load_companion
from ..data.spectra import Spectra
from ..errors import InputError
from ..files import check_output, output_directory
from ..model import XPModel
from ..model.store import load_model
from ..plots import save
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
from . import options as shared

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf", "svg")

CLUMP_LOGG, CLUMP_TEFF = (2.4, 0.3), (4.75, 0.2)
"""Centre and half width of the ranges of log g and Teff (kK) of red-clump giants."""


def _of_model(options: argparse.Namespace) -> dict[str, Figure]:
    """Figures of a model."""
    return model_figures(load_model(options.file))


def _of_catalogue(options: argparse.Namespace) -> dict[str, Figure]:
    """Reliability over the colour-absolute-magnitude diagram."""
    return {"reliability": reliability_diagram(iterate_catalogue(_file(options)))}


def _of_stars(options: argparse.Namespace) -> dict[str, Figure]:
    """Single stars."""
    if not options.source_id:
        raise InputError("name the stars with --source-id")
    path = _file(options)
    pipeline = shared.make_pipeline(options, [path])
    model, spectra = pipeline.model, pipeline.stars([path], options.source_id)
    training = _training(options, model)
    result = pipeline.fit(spectra)
    return {
        f"star-{source_id}": star_figure(model, spectra, result, row, training)
        for row, source_id in enumerate(spectra.source_id)
    }


def _of_residuals(options: argparse.Namespace) -> dict[str, Figure]:
    """Flux residuals by label and over the sky."""
    path = _file(options)
    pipeline = shared.make_pipeline(options, [path])
    residuals = FluxResiduals.concatenate(
        [
            flux_residuals(pipeline.model, spectra, pipeline.fit(spectra))
            for spectra in shared.progress(options, pipeline.spectra(path))
        ]
    )
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
    """The file, without which there is nothing to draw."""
    if options.file is None:
        raise InputError(f"name the file to draw {options.what} of")
    return Path(options.file)


def _of_forecast(options: argparse.Namespace) -> dict[str, Figure]:
    """Expected errors."""
    return {"forecast": forecast_figure(load_model(options.file), g=options.g)}


def _of_attention(options: argparse.Namespace) -> dict[str, Figure]:
    """Sensitivity of a companion's labels to the wavelengths."""
    network, spectra = _companion(options, (UncertainNetwork.kind, GaiaNet.kind))
    logg, teff = (spectra.labels.get(name) for name in ("logg", "teff"))
    if logg is None or teff is None:
        raise InputError(f"{options.file}: no labels by which red-clump giants could be chosen")
    clump = np.ones(len(spectra), dtype=bool)
    for values, (centre, half_width) in ((logg, CLUMP_LOGG), (teff, CLUMP_TEFF)):
        clump &= np.abs(values - centre) < half_width
    model = _model_in_space_of(options, network)
    return {"attention": attention_figure(network, spectra[np.flatnonzero(clump)], model)}


def _of_latent(options: argparse.Namespace) -> dict[str, Figure]:
    """Reconstructions and latent numbers of an auto-encoder."""
    network, spectra = _companion(options, (ScatterAutoencoder.kind,))
    training, model = _training(options, network), _model_in_space_of(options, network)
    figures = {
        "latent_tracks": latent_figure(network, spectra if training is None else training),
        "reconstruction": reconstruction_figure(
            reconstruction_errors(network, spectra, training, model)
        ),
    }
    if training is not None:
        table = alpha_classifiers(network, training, np.random.default_rng(1))
        figures["alpha_classifiers"] = alpha_figure(table)
    return figures


def _training(options: argparse.Namespace, model: XPModel | Companion) -> Spectra | None:
    """The labelled spectra that were named, if any, in the space of a model."""
    return read_spectra(options.training, space=model.space) if options.training else None


def _model_in_space_of(options: argparse.Namespace, network: Companion) -> XPModel | None:
    """The model, if it works in the observation space of a companion."""
    model = load_model(options.model)
    return model if model.space.matches(network.space) else None


def _companion(options: argparse.Namespace, kinds: tuple[str, ...]) -> tuple[Companion, Spectra]:
    """The companion, of one of these kinds, and the spectra in its observation space."""
    if options.companion is None:
        raise InputError("name the companion with --companion")
    network = load_companion(options.companion)
    if network.kind not in kinds:
        raise InputError(
            f"{options.companion}: a companion of kind {network.kind!r}; {options.what} needs "
            f"kind {' or '.join(kinds)}"
        )
    return network, read_spectra(_file(options), space=network.space)


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
"""Subjects, and functions that make figures by name."""


def add(command: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    shared.add_output_options(command)
    command.add_argument(
        "what",
        choices=tuple(PLOTS),
        help="model: a trained model; reliability: the fraction of a catalogue's sources that pass "
        "the basic cut, over the colour-absolute-magnitude diagram (ZGR23, fig. 18); star: "
        "spectrum, fit, parameters and prior of single stars; forecast: expected errors over the "
        "Kiel diagram; residuals: of flux, by label and over the sky (figs. 9, 25, 26); sky: "
        "extinction in slices of distance (fig. 22); birdseye: the dust seen from above (fig. 24); "
        "attention: sensitivity of a companion's labels to the wavelengths; latent: an "
        "auto-encoder's latent numbers, and how well it reconstructs spectra",
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
    shared.add_model(command, "model to fit spectra with")
    command.add_argument(
        "--training",
        metavar="FILE",
        help="labelled spectra: for star, those nearest to it are shown; for latent, principal "
        "components and classifiers are learned from them",
    )
    command.add_argument("--companion", metavar="COMPANION.h5", help="for attention and latent")
    command.add_argument("--g", type=float, default=15.0, help="magnitude of the forecast")
    shared.add_jobs(command)
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
    shared.add_tables(command)
    command.add_argument(
        "--output-dir", required=True, metavar="DIR", help="directory for the figures"
    )
    command.add_argument("--format", choices=FORMATS, default="png", help="of the figures")


def run(options: argparse.Namespace) -> None:
    """Draw and write all figures."""
    directory = output_directory(options.output_dir)
    figures = PLOTS[options.what](options)
    paths = {name: directory / f"{name}.{options.format}" for name in figures}
    for path in paths.values():
        check_output(path, overwrite=options.overwrite)
    for name, figure in figures.items():
        save(figure, paths[name], overwrite=options.overwrite)
    if not options.quiet:
        print(f"wrote {', '.join(path.name for path in paths.values())} to {directory}")
