"""The verb ``xpfit extinction features``."""

from __future__ import annotations

import argparse
from pathlib import Path

import astropy.units as u
import numpy as np

from ..extinction.features import (
    DISTANCE_EDGES,
    FEATURES,
    MIN_STARS,
    NSIDE,
    StackedResiduals,
    learned_widths,
)
from ..model.store import load_model
from ..plots.extinction_features import features_figure
from . import options as shared
from .parser import INPUT_HELP, TABLES, Parser

FIGURE, NUMBERS = "features.{format}", "features.json"


def add_features(command: Parser) -> None:
    """Add arguments of ``xpfit extinction features``."""
    command.option(
        "spectra SPECTRA",
        f"spectra to fit, whose residuals are averaged by direction and distance (default: none, "
        f"for the learned curve alone): {INPUT_HELP}",
        nargs="*",
    )
    command.option("--output-dir DIR", "directory for the figure and the numbers", required=True)
    command.option("--format", "of the figure", choices=("png", "pdf", "svg"), default="png")
    command.option(
        "--distances KPC", f"edges of the slices (default: {DISTANCE_EDGES})", type=float, nargs="+"
    )
    command.option("--nside NSIDE", "HEALPix nside of the parts of the sky", default=NSIDE)
    command.common("model", "shapes-only", "jobs", *TABLES, "overwrite", "quiet")


def measure_features(options: argparse.Namespace) -> None:
    """Measure, print and draw the features."""
    figure = FIGURE.format(format=options.format)
    directory = shared.make_directory(options, options.output_dir, [figure, NUMBERS])
    model = load_model(options.model, shapes_only=options.shapes_only)
    learned = learned_widths(model)
    stack = _stacked(options, model) if options.spectra else None
    rows = [["equivalent width / A(550)", *(f"{f.name} nm" for f in FEATURES), "stars"]]
    rows.append(["learned curve", *(_text(*learned[f.name]) for f in FEATURES), ""])
    if stack is not None:
        for low, high, number in _slices(stack):
            groups = stack.groups_of_slice(number)
            rows.append(_row(f"{low:g}-{high:g} kpc", learned, stack, groups))
        rows.append(_row("all stars", learned, stack, slice(None)))
    contents = {figure: features_figure(model, stack), NUMBERS: _numbers(learned, stack)}
    shared.save_files(options, directory, contents)
    shared.say(options, shared.text_table([28, 20, 20, 10], rows))
    shared.say(options, f"wrote {figure}, {NUMBERS} to {directory}")


def _stacked(options: argparse.Namespace, model) -> StackedResiduals:
    """Residuals of the fits of all spectra."""
    paths = [Path(path) for path in options.spectra]
    stack = StackedResiduals(model, options.distances or DISTANCE_EDGES, options.nside)
    pipeline = shared.make_pipeline(options, paths)
    for path in paths:
        for spectra in shared.progress(options, pipeline.spectra(path)):
            stack.add(spectra, pipeline.fit(spectra))
    return stack


def _slices(stack: StackedResiduals) -> list[tuple[float, float, int]]:
    """Edges and number of each slice."""
    edges = zip(stack.edges[:-1], stack.edges[1:], strict=True)
    return [(float(low), float(high), i) for i, (low, high) in enumerate(edges)]


def _text(value: float, error: float) -> str:
    """A number with its error."""
    return f"{value:.3f} +- {error:.3f}" if np.isfinite(value) else "-"


def _row(name: str, learned: dict, stack: StackedResiduals, groups: slice) -> list:
    """A line of the printed table."""
    _, widths = stack.mean(groups)
    cells = [
        _text(learned[feature.name][0] + value, error)
        for feature, value, error in zip(FEATURES, widths.value, widths.error, strict=True)
    ]
    return [name, *cells, int(stack.count[groups].sum())]


def _numbers(learned: dict, stack: StackedResiduals | None) -> dict:
    """All numbers, for JSON."""
    numbers: dict = {
        "unit": "nm of equivalent width for A(550 nm) = 1 mag",
        "learned": {name: list(pair) for name, pair in learned.items()},
    }
    if stack is None:
        return numbers
    numbers["wavelength"] = stack.wavelength.tolist()
    numbers["learned_curve"] = stack.curve.tolist()
    numbers["nside"] = int(stack.healpix.nside)
    numbers["groups"] = [
        _group(learned, stack, int(group)) for group in np.flatnonzero(stack.count >= MIN_STARS)
    ]
    return numbers


def _group(learned: dict, stack: StackedResiduals, group: int) -> dict:
    """Numbers of the stars of one cell in one slice."""
    number, cell = divmod(group, stack.healpix.npix)
    lon, lat = stack.healpix.healpix_to_lonlat([cell])
    curve, widths = stack.mean(np.array([group]))
    low, high = stack.edges[number : number + 2]
    return {
        "healpix": int(cell),
        "l": float(lon.to_value(u.deg)[0]),
        "b": float(lat.to_value(u.deg)[0]),
        "distance": [float(low), float(high) if np.isfinite(high) else None],
        "n_star": int(stack.count[group]),
        **{
            feature.name: [float(learned[feature.name][0] + value), float(error)]
            for feature, value, error in zip(FEATURES, widths.value, widths.error, strict=True)
        },
        "residual_curve": curve.value.tolist(),
        "residual_curve_err": curve.error.tolist(),
    }
