"""Overview of one star: spectrum, fit, residuals, parameters, and its place in the prior."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ..data import Spectra
from ..errors import InputError
from ..fit import FitResult, FitStatus
from ..model import XPModel
from ..quality import FitFlag, QualityFlag, confidence_for, fit_flags, quality_flags
from ..quantities import factors, quantity
from ..validate.reference import nearest_stars
from .spectrum import draw_spectrum
from .style import GROUP_COLOURS, draw_density, draw_ellipse

N_PRIOR_DRAWS = 50_000


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
            ax.plot(quantity("teff").factor * x, y, "^", ms=4, mfc="none", color="k", label=text)
            ax.legend(fontsize=7, loc="best")
    _write_parameters(axes[2], model, spectra, result, row)
    return figure


def _draw_place(axes, model, result, row, draws, name) -> None:
    """Draw the star over the prior, in Teff and another label."""
    columns = [model.label_names.index(n) for n in ("teff", name)]
    scale = factors(["teff", name])
    draw_density(axes, *(draws[:, columns] * scale).T)
    best = result.parameters[row, columns] * scale
    covariance = result.covariance[row][np.ix_(columns, columns)] * np.outer(scale, scale)
    draw_ellipse(axes, best, covariance, GROUP_COLOURS["dwarfs"])
    axes.invert_xaxis()
    if name == "logg":
        axes.invert_yaxis()
    axes.set(xlabel=quantity("teff").axis_label, ylabel=quantity(name).axis_label)
    axes.plot([], [], color=GROUP_COLOURS["dwarfs"], label="star, 1 and 2 sigma")
    axes.plot([], [], color=GROUP_COLOURS["giants"], label="prior, 68, 95, 99 %")
    axes.legend(fontsize=7, loc="best")


def _write_parameters(axes, model, spectra, result, row) -> None:
    """Write parameters with errors and units, goodness of fit, confidence, flags."""
    lines = []
    for name in result.parameter_names:
        if name == "parallax" and not model.absolute:
            continue
        kind = quantity(name)
        value, error = (kind.factor * x[row] for x in (result[name], result.error(name)))
        number = f"{value:10.{kind.digits}f} +- {error:.{kind.digits}f}"
        lines.append(f"{kind.title:11}{number} {kind.unit}")
    lines.append(f"{'chi2 / dof':11}{result.chi2[row] / max(result.dof[row], 1):10.2f}")
    star, fit = spectra[[row]], result.take([row])
    classifiers = confidence_for(model)
    confidence, unlike = classifiers.of_fit(model, star, fit) if classifiers else (None, None)
    if confidence is not None:
        lines.append(f"{'confidence':11}" + "  ".join(f"{p:.2f}" for p in confidence[0]))
    raised = [
        flag.name.lower().replace("_", " ")
        for flags, kind in (
            (quality_flags(model, star, fit, confidence), QualityFlag),
            (fit_flags(model, star, fit, unlike), FitFlag),
        )
        for flag in kind
        if flags[0] & int(flag) and not (confidence is None and "CONFIDENCE" in flag.name)
    ]
    lines.append(f"{'flags':11}{', '.join(raised) or 'none'}")
    axes.axis("off")
    axes.text(0.0, 0.95, "\n".join(lines), family="monospace", fontsize=8, va="top")
