"""One star at a glance: spectrum, fit, residuals, parameters, and where it lies in the prior."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..data.spectra import Spectra
from ..errors import InputError
from ..fit import FitResult, FitStatus
from ..model import XPModel
from ..quality import FitFlag, QualityFlag, confidence_for, fit_flags, quality_flags
from ..validate.posterior import draw_ellipse
from .labels import AXIS_LABELS, GROUP_COLOURS, draw_spectrum
from .model import draw_density

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_PRIOR_DRAWS = 50_000

ROWS = {
    "teff": ("Teff", "K", 1000.0, 0),
    "feh": ("[Fe/H]", "dex", 1.0, 3),
    "logg": ("log g", "dex", 1.0, 3),
    "alpha_m": ("[alpha/M]", "dex", 1.0, 3),
    "extinction": ("E", "mag", 1.0, 3),
    "parallax": ("parallax", "mas", 1.0, 3),
    "xi": ("xi", "", 1.0, 2),
}
"""Name, unit, factor and digits of each parameter."""


N_NEIGHBOURS = 10
"""Training stars shown around a star."""


def nearest_stars(
    model: XPModel, labels: np.ndarray, training: Spectra, n: int = N_NEIGHBOURS
) -> np.ndarray:
    """The training stars whose labels are closest to some, in units of the labels' spread.

    Parameters
    ----------
    model : XPModel
    labels : ndarray, shape (n_label,)
        In kK and dex.
    training : Spectra
        With labels.
    n : int

    Returns
    -------
    ndarray of int, shape (<= n,)
        Rows of `training`, nearest first; stars without labels are never near.

    Raises
    ------
    InputError
        If `training` has no such labels.
    """
    missing = [name for name in model.label_names if name not in (training.labels or {})]
    if missing:
        raise InputError(f"the training stars have no labels {', '.join(missing)}")
    known = np.column_stack([training.labels[name] for name in model.label_names])
    distance = np.sum(((known - labels) / model.forward.label_scale) ** 2, axis=1)
    order = np.argsort(np.where(np.isfinite(distance), distance, np.inf), kind="stable")[:n]
    return order[np.isfinite(distance[order])]


def star_figure(
    model: XPModel,
    spectra: Spectra,
    result: FitResult,
    row: int,
    training: Spectra | None = None,
) -> Figure:
    """Spectrum, fit and residuals of one star, its parameters, and its place in the prior.

    Parameters
    ----------
    model : XPModel
    spectra : Spectra
    result : FitResult
        Fit of `spectra`.
    row : int
        Which star.
    training : Spectra, optional
        The model's training stars, or others with labels, of which the nearest are shown.

    Returns
    -------
    matplotlib.figure.Figure
        With the 1- and 2-sigma Fisher ellipses over contours that enclose 68, 95 and 99 % of the
        prior.

    Raises
    ------
    InputError
        If the star has no fit, or the training stars have no labels.
    """
    from matplotlib.figure import Figure

    if result.status[row] == FitStatus.NOT_FITTED or not np.isfinite(result.errors[row]).all():
        raise InputError(f"source {spectra.source_id[row]} has no fit to be shown")
    figure = Figure(figsize=(11.0, 6.6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.7, 1.0))
    draw_spectrum(left, model, spectra, result, row)
    axes = right.subplots(3, 1, height_ratios=(1.2, 1.2, 1.0))
    draws = model.prior.sample(N_PRIOR_DRAWS, np.random.default_rng(1))
    for ax, name in zip(axes, ("logg", "feh"), strict=False):
        _draw_place(ax, model, result, row, draws, name)
        if training is not None:
            near = nearest_stars(model, result.parameters[row, : len(model.label_names)], training)
            x, y = (training.labels[n][near] for n in ("teff", name))
            text = f"{len(near)} nearest training stars"
            ax.plot(1000.0 * x, y, "^", ms=4, mfc="none", color="k", label=text)
            ax.legend(fontsize=7, loc="best")
    _write_parameters(axes[2], model, spectra, result, row)
    return figure


def _draw_place(axes, model, result, row, draws, name) -> None:
    """The star over the prior, in Teff and another label."""
    i, j = (model.label_names.index(n) for n in ("teff", name))
    scale = np.array([1000.0, 1.0])
    draw_density(axes, 1000.0 * draws[:, i], draws[:, j])
    best = result.parameters[row, [i, j]] * scale
    covariance = result.covariance[row][np.ix_([i, j], [i, j])] * np.outer(scale, scale)
    draw_ellipse(axes, best, covariance, GROUP_COLOURS["dwarfs"])
    axes.invert_xaxis()
    if name == "logg":
        axes.invert_yaxis()
    axes.set(xlabel=AXIS_LABELS["teff"], ylabel=AXIS_LABELS[name])
    axes.plot([], [], color=GROUP_COLOURS["dwarfs"], label="star, 1 and 2 sigma")
    axes.plot([], [], color=GROUP_COLOURS["giants"], label="prior, 68, 95, 99 %")
    axes.legend(fontsize=7, loc="best")


def _write_parameters(axes, model, spectra, result, row) -> None:
    """Parameters with errors and units, goodness of fit, confidence, flags."""
    lines = []
    for name in result.parameter_names:
        if name == "parallax" and not model.absolute:
            continue
        title, unit, factor, digits = ROWS[name]
        value, error = factor * result[name][row], factor * result.error(name)[row]
        lines.append(f"{title:11}{value:10.{digits}f} +- {error:.{digits}f} {unit}")
    lines.append(f"{'chi2 / dof':11}{result.chi2[row] / max(result.dof[row], 1):10.2f}")
    some, part = spectra[[row]], result.take([row])
    classifiers = confidence_for(model)
    sure = classifiers.of_fit(model, some, part) if classifiers else None
    if sure is not None:
        lines.append(f"{'confidence':11}" + "  ".join(f"{p:.2f}" for p in sure[0]))
    raised = [
        flag.name.lower().replace("_", " ")
        for flags, kind in (
            (quality_flags(model, some, part, sure), QualityFlag),
            (fit_flags(model, some, part), FitFlag),
        )
        for flag in kind
        if flags[0] & int(flag) and not (sure is None and "CONFIDENCE" in flag.name)
    ]
    lines.append(f"{'flags':11}{', '.join(raised) or 'none'}")
    axes.axis("off")
    axes.text(0.0, 0.95, "\n".join(lines), family="monospace", fontsize=8, va="top")
