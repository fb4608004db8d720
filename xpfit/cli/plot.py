"""Draw figures of a model, a catalogue or single stars."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..catalogue import read_catalogue
from ..catalogue.cuts import iterate_catalogue
from ..companion import Companion, GaiaNet, ScatterAutoencoder, UncertainNetwork, load_companion
from ..data import Spectra
from ..epochs.read import read_epochs
from ..epochs.table import study_stars
from ..errors import InputError
from ..model import XPModel
from ..model.store import load_model
from ..plots import model_figures, reliability_diagram, star_figure
from ..plots.attention import attention_figure
from ..plots.clusters import cluster_figure
from ..plots.cmd import cmd_figure
from ..plots.correlations import correlation_figure
from ..plots.epochs import epochs_figure
from ..plots.flux_residuals import flux_residual_figure, flux_residual_map_figure
from ..plots.forecast import forecast_figure
from ..plots.labels import label_figure
from ..plots.latent import alpha_figure, dimensions_figure, latent_figure
from ..plots.reconstruction import reconstruction_figure
from ..plots.sky import birdseye_figure, extinction_map_figure
from ..plots.tension import tension_figure
from ..prepare import read_spectra
from ..read import read_table
from ..read.columns import ASTROMETRY
from ..validate import cmd, correlations, membership, sky, tension
from ..validate.attention import observed_derivative_spectra
from ..validate.curves import read_extinction_curve
from ..validate.flux_residuals import FluxResiduals, flux_residuals
from ..validate.latent import alpha_classifiers
from ..validate.reconstruction import reconstruction_errors
from . import options as shared
from .parser import DEFAULT_MODEL, TABLES, Parser

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf", "svg")

CLUMP_LOGG, CLUMP_TEFF = (2.4, 0.3), (4.75, 0.2)
"""Centre and half width of the ranges of log g and Teff (kK) of red-clump giants."""


def _of_model(options: argparse.Namespace) -> dict[str, Figure]:
    """Figures of a model."""
    curves = {Path(path).stem: read_extinction_curve(path) for path in options.curve or ()}
    return model_figures(load_model(options.file, shapes_only=options.shapes_only), curves)


def _of_labels(options: argparse.Namespace) -> dict[str, Figure]:
    """Kiel diagram of labelled stars."""
    return {"labels": label_figure(read_spectra(_file(options)))}


def _of_catalogue(options: argparse.Namespace) -> dict[str, Figure]:
    """Reliability over the colour-absolute-magnitude diagram."""
    return {"reliability": reliability_diagram(iterate_catalogue(_file(options)))}


def _of_colours(options: argparse.Namespace) -> dict[str, Figure]:
    """Colour-absolute-magnitude diagrams."""
    columns = (*cmd.COLUMNS, "quality_flags", "fit_flags")
    return {"cmd": cmd_figure(cmd.colour_magnitude(iterate_catalogue(_file(options), columns)))}


def _of_correlations(options: argparse.Namespace) -> dict[str, Figure]:
    """Median correlations of errors, without and with the parallax."""
    parts = iterate_catalogue(_file(options), correlations.COLUMNS)
    return {"correlations": correlation_figure(correlations.median_correlations(parts))}


def _of_clusters(options: argparse.Namespace) -> dict[str, Figure]:
    """Parallaxes of members of clusters."""
    astrometry = read_table(options.astrometry, ASTROMETRY) if options.astrometry else None
    table = read_catalogue(_file(options))
    table, clusters = membership.find_clusters(table, options.members, astrometry)
    return {"clusters": cluster_figure(table, clusters)}


def _of_tensions(options: argparse.Namespace) -> dict[str, Figure]:
    """Parallaxes of solar-type stars that their spectra contradict."""
    columns = (*tension.COLUMNS, "quality_flags", "fit_flags")
    return {"tension": tension_figure(tension.tensions(iterate_catalogue(_file(options), columns)))}


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


def _of_epochs(options: argparse.Namespace) -> dict[str, Figure]:
    """Epoch spectra of single stars."""
    if not options.source_id:
        raise InputError("name the stars with --source-id")
    path, model, basis = _file(options), load_model(options.model), shared.basis_of(options)
    stars = (read_epochs(path, model, source_id, basis) for source_id in options.source_id)
    return {
        f"epochs-{star.epochs.source_id}": epochs_figure(star)
        for studied in study_stars(model, stars)
        for star in studied
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
    maps = sky.extinction_maps(
        iterate_catalogue(_file(options), sky.MAP_COLUMNS),
        edges=options.distances or sky.DISTANCE_EDGES,
        nside=options.nside,
    )
    return {"extinction_maps": extinction_map_figure(maps)}


def _from_above(options: argparse.Namespace) -> dict[str, Figure]:
    """The dust from above the Galaxy."""
    maps = sky.extinction_maps(
        iterate_catalogue(_file(options), sky.MAP_COLUMNS),
        edges=options.distances or sky.birdseye_edges(),
        nside=min(options.nside, sky.BIRDSEYE_NSIDE),
        max_parallax_rel_err=sky.BIRDSEYE_PARALLAX_REL_ERR,
    )
    return {"birdseye": birdseye_figure(maps)}


def _file(options: argparse.Namespace) -> Path:
    """The file, without which there is nothing to draw."""
    if options.file is None:
        raise InputError(f"name the file to draw {options.what} of")
    return Path(options.file)


def _of_forecast(options: argparse.Namespace) -> dict[str, Figure]:
    """Expected errors."""
    model = load_model(options.file, shapes_only=options.shapes_only)
    return {"forecast": forecast_figure(model, g=options.g)}


def _of_attention(options: argparse.Namespace) -> dict[str, Figure]:
    """Sensitivity of a companion's labels to the wavelengths."""
    network, spectra = _companion(options, (UncertainNetwork.kind, GaiaNet.kind))
    logg, teff = (spectra.labels.get(name) for name in ("logg", "teff"))
    if logg is None or teff is None:
        raise InputError(f"{options.file}: no labels by which red-clump giants could be chosen")
    clump = (np.abs(logg - CLUMP_LOGG[0]) < CLUMP_LOGG[1]) & (
        np.abs(teff - CLUMP_TEFF[0]) < CLUMP_TEFF[1]
    )
    model = _model_in_space_of(options, network)
    observed = observed_derivative_spectra(network, spectra)
    stars = spectra[np.flatnonzero(clump)]
    return {"attention": attention_figure(network, stars, model, observed)}


def _of_latent(options: argparse.Namespace) -> dict[str, Figure]:
    """Reconstructions and latent variables of an auto-encoder."""
    network, spectra = _companion(options, (ScatterAutoencoder.kind,))
    training, model = _training(options, network), _model_in_space_of(options, network)
    labelled = spectra if training is None else training
    figures = {
        "latent_tracks": latent_figure(network, labelled),
        "latent_dimensions": dimensions_figure(network, labelled),
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
    model = load_model(options.model, shapes_only=options.shapes_only)
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
    "labels": _of_labels,
    "reliability": _of_catalogue,
    "cmd": _of_colours,
    "tension": _of_tensions,
    "correlations": _of_correlations,
    "clusters": _of_clusters,
    "star": _of_stars,
    "epochs": _of_epochs,
    "forecast": _of_forecast,
    "residuals": _of_residuals,
    "sky": _of_sky,
    "birdseye": _from_above,
    "attention": _of_attention,
    "latent": _of_latent,
}
"""Subjects, and functions that make figures by name."""

ALWAYS = {
    "model": ["prior"],
    "residuals": ["flux_residuals", "flux_residual_maps"],
    "sky": ["extinction_maps"],
    "latent": ["latent_tracks", "latent_dimensions", "reconstruction"],
    **{
        name: [name]
        for name in (
            "labels",
            "reliability",
            "cmd",
            "tension",
            "forecast",
            "birdseye",
            "correlations",
            "clusters",
        )
    },
    "attention": ["attention"],
}
"""Figures that are drawn of every subject: these must not exist when the work begins."""


def add(command: Parser) -> None:
    """Add the command's arguments."""
    command.option(
        "what",
        "model: a trained model; labels: the Kiel diagram of labelled spectra (ZGR23, fig. 1); "
        "reliability: the fraction of a catalogue's sources that pass "
        "the basic cut, over the colour-absolute-magnitude diagram (ZGR23, fig. 18); cmd: "
        "that diagram by measured and by fitted parallaxes; tension: parallaxes and log g of "
        "solar-type stars, and the binaries among them (fig. 4); correlations: median correlations "
        "of errors, without and with the parallax (fig. 6); clusters: parallaxes of members of "
        "globular clusters, which are found by position and proper motion (of --astrometry), or of "
        "--members (fig. 19); star: "
        "spectrum, fit, parameters and prior of single stars; epochs: the epoch spectra of single "
        "stars against their mean; forecast: expected errors over the "
        "Kiel diagram; residuals: of flux, by label and over the sky (figs. 9, 25, 26); sky: "
        "extinction in slices of distance (fig. 22); birdseye: the dust from above the Galaxy "
        "(fig. 24); attention: sensitivity of a companion's labels to the wavelengths; latent: an "
        "auto-encoder's latent variables, and how well it reconstructs spectra",
        choices=tuple(PLOTS),
    )
    command.option(
        "file FILE",
        f"model file {DEFAULT_MODEL}, catalogue or run directory, or spectra",
        nargs="?",
    )
    command.option("--source-id ID", "star to draw (repeatable)", type=int, action="append")
    command.option("--model MODEL.h5", f"model to fit spectra with {DEFAULT_MODEL}")
    command.option(
        "--training FILE",
        "labelled spectra: for star, those nearest to it are shown; for latent, principal "
        "components and classifiers are learned from them",
    )
    command.option("--companion COMPANION.h5", "for attention and latent")
    command.option(
        "--members TABLE",
        "for clusters: a list of members, with cluster, source_id and the cluster's parallax",
    )
    command.option(
        "--curve FILE",
        "for model: an extinction curve to compare with, such as ZGR23's published one: a table "
        "of wavelength (nm) and extinction, whose file's name is its name (repeatable)",
        action="append",
    )
    command.option("--g G", "magnitude of the forecast", default=15.0)
    command.option(
        "--nside NSIDE", "HEALPix nside of the smallest cells of maps", default=sky.NSIDE
    )
    command.option(
        "--distances KPC",
        "edges of the slices (default: eight to 4 kpc; of birdseye, ZGR23's forty to 5 kpc)",
        type=float,
        nargs="+",
    )
    command.option("--output-dir DIR", "directory for the figures", required=True)
    command.option("--format", "of the figures", choices=FORMATS, default="png")
    command.common("shapes-only", "jobs", *TABLES, "overwrite", "quiet")


def run(options: argparse.Namespace) -> None:
    """Draw and write all figures."""
    by_star = options.what in ("star", "epochs")
    names = [f"{options.what}-{i}" for i in options.source_id or ()] if by_star else []
    names = names or ALWAYS.get(options.what, [])
    shared.make_directory(options, options.output_dir, [f"{n}.{options.format}" for n in names])
    figures = {f"{k}.{options.format}": v for k, v in PLOTS[options.what](options).items()}
    directory = shared.make_directory(options, options.output_dir, figures)
    shared.save_files(options, directory, figures)
    shared.say(options, f"wrote {', '.join(figures)} to {directory}")
