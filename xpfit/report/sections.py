"""The sections of a report: tables, figures and text."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
from astropy.table import Table
from markupsafe import Markup

from ..catalogue.cuts import CUTS, ZGR23_PERCENTAGES
from ..data import SampledSpace
from ..errors import InputError
from ..model import XPModel
from ..plots.extinction import extinction_figure
from ..plots.model import prior_figure
from ..plots.residuals import residual_figure, residual_grid_figure
from ..quality import FitFlag, QualityFlag
from ..quantities import quantity
from ..read.tables import float_column
from ..releases import id_column_of
from ..validate.metrics import Comparison, beside_zgr23, compare, metrics, pulls_beside_zgr23
from ..validate.selection import SELECTIONS, chi2_per_dof
from .figures import error_names, kiel_figure, magnitudes, map_figure, quality_figure
from .gather import REFERENCED, SAMPLE, VALUES, Gathered, reliable
from .page import Section, details, heading, light, note, paragraph, picture, table

WIDTHS = ((0.8, 1.25), (0.6, 1.7))
"""Pull widths that count as good, and as fair."""

RATIOS = (1.15, 1.6)
"""Scatter over ZGR23's up to which it counts as good, and as fair."""


def fitted_section(gathered: Gathered, source: str) -> Section:
    """What was fitted, with which model and settings."""
    meta = gathered.meta
    rows = [["catalogue", source], ["stars", f"{gathered.n_star:,}"]]
    if gathered.n_star:
        rows.append(["with parameters", _with_fraction(gathered.n_fitted, gathered.n_star)])
        rows.append(["reliable", _with_fraction(gathered.n_reliable, gathered.n_star)])
        rows += _magnitudes(gathered.sample)
    for key, title in (
        ("CREATOR", "written by"),
        ("INPUT", "input"),
        ("MODEL", "model"),
        ("MODELID", "its fingerprint"),
        ("NTRAINED", "its training stars"),
        ("LABELS", "its labels"),
        ("ABSOLUTE", "model with luminosities"),
        ("CONFID", "confidence classifiers"),
    ):
        if key in meta:
            value = str(meta[key])
            rows.append([title, value[:16] + "..." if len(value) > 60 else value])
    body = table("The catalogue and the fit", ["", ""], rows)
    settings = [[name, str(value)] for name, value in _settings(meta).items()]
    if settings:
        settings = table("Settings", ["", ""], settings)
        body += details("Settings of the fit", settings)
    if not gathered.n_star:
        body = note("This catalogue has no stars: there is nothing to report.") + body
    elif not gathered.n_reliable:
        body = note(
            "No star of this catalogue is reliable: all are flagged or without a fit. The flags "
            "below say why; figures of reliable stars are left out."
        ) + body  # fmt: skip
    return Section("fitted", "What was fitted", body)


def _settings(meta: Mapping) -> dict:
    """Settings of the fits, if the catalogue has them."""
    try:
        return dict(json.loads(meta.get("SETTINGS", "{}")))
    except (TypeError, ValueError):
        return {}


def _magnitudes(sample: Table) -> list[list[str]]:
    """Range of G, if it is known."""
    g = magnitudes(sample)
    if not np.isfinite(g).any():
        return []
    low, middle, high = np.nanquantile(g, [0.01, 0.5, 0.99])
    return [["G, 1 %, median, 99 %", f"{low:.1f}, {middle:.1f}, {high:.1f} mag"]]


def headline_section(gathered: Gathered, comparison: Comparison | None) -> Section:
    """Headline numbers beside the paper's, each with a verdict."""
    rows = []
    for name in ("basic", "confident"):
        if name in gathered.cuts and _has_cut(gathered, name):
            fraction = gathered.cuts[name] / gathered.n_star
            paper = 0.01 * ZGR23_PERCENTAGES[name]
            kind = _judge(fraction / paper, ((0.9, np.inf), (0.7, np.inf)))
            text = f"pass the cut '{name}'"
            rows.append([text, f"{100 * fraction:.1f} %", f"{100 * paper:.1f} %", light(kind)])
    missed = 1.0 - gathered.n_fitted / gathered.n_star
    kind = "good" if missed < 0.01 else "fair" if missed < 0.05 else "poor"
    rows.append(["without parameters", f"{100 * missed:.2f} %", "", light(kind)])
    good = reliable(gathered.sample)
    if good.any():
        chi2 = float(np.median(chi2_per_dof(gathered.sample)[good]))
        kind = _judge(chi2, ((0.7, 1.3), (0.4, 2.0)))
        rows.append(["median chi2 / dof, reliable stars", f"{chi2:.2f}", "1", light(kind)])
        rows += _typical_errors(gathered.sample[good], error_names(gathered))
    if comparison is not None and len(comparison):
        rows += _pulls(metrics(comparison))
    if len(gathered.referenced):
        rows += _against_paper(gathered.referenced)
    text = (
        "Scatter is 1.4826 times the median absolute deviation from the median. ZGR23's numbers "
        "are those of their section 4.4 and fig. 8 (against LAMOST, Bayestar19 and Gaia) and table "
        "3, beside them those of the stars that pass their cuts for it (parallax S/N of 5, loss / "
        "dof below 5); of chi2 and pulls, those of correct errors. Where the reference's errors "
        "are large, they dominate the scatter; pulls over combined errors take both into account."
    )
    verdicts = [sum(light(kind) == row[-1] for row in rows) for kind in ("good", "fair", "poor")]
    body = paragraph("{} good, {} fair, {} poor.".format(*verdicts))
    head = ["", "here", "ZGR23 or expected", "verdict"]
    body += table("Headline numbers", head, rows) + paragraph(text)
    return Section("headline", "Headline numbers", body)


def _has_cut(gathered: Gathered, cut: str) -> bool:
    """Whether a cut can be applied: confidence may be unknown for all stars."""
    if cut != "confident" or not len(gathered.sample):
        return True
    return bool(np.isfinite(float_column(gathered.sample["teff_confidence"])).any())


def _typical_errors(sample: Table, names: list[str]) -> list[list[str]]:
    """Median errors."""
    rows = []
    for name in names:
        kind = quantity(name)
        error = np.nanmedian(float_column(sample[f"{name}_err"]))
        text = f"{error:.{kind.digits}f} {kind.unit}"
        rows.append([f"median error of {kind.title}", text, "", light("none")])
    return rows


def _pulls(numbers: dict) -> list[list[str]]:
    """Widths of the residuals over the combined errors."""
    rows = []
    for name, entry in numbers["all"].items():
        if entry["n"]:
            title, verdict = f"pull width of {quantity(name).title}", _judge(entry["pull"], WIDTHS)
            rows.append([title, f"{entry['pull']:.2f}", "1", light(verdict)])
    return rows


def _against_paper(referenced: Table) -> list[list[str]]:
    """Scatter against the reference of the stars that pass ZGR23's cuts, beside theirs."""
    comparison = compare(referenced, SELECTIONS["zgr23"])
    if not len(comparison):
        return []
    numbers, rows = metrics(comparison), []
    for name, (ours, theirs) in beside_zgr23(numbers).items():
        kind = quantity(name)
        verdict = _judge(ours / theirs, ((0.0, RATIOS[0]), (0.0, RATIOS[1])))
        verdict = "none" if name == "parallax" else verdict  # which depends on the distances
        paper = f"{theirs:.{min(kind.digits, 2)}f} {kind.unit}"
        here = f"{ours:.{kind.digits}f} {kind.unit}"
        rows.append([f"scatter of {kind.title}", here, paper, light(verdict)])
    for name, (ours, theirs) in pulls_beside_zgr23(numbers).items():
        title = f"scatter of {quantity(name).title} over the reference's errors"
        rows.append([title, f"{ours:.2f}", f"{theirs:g}", light("none")])
    return rows


def _judge(value: float, ranges) -> str:
    """Verdict on a number that should be in a range."""
    for kind, (low, high) in zip(("good", "fair"), ranges, strict=True):
        if low <= value <= high:
            return kind
    return "poor"


def kiel_section(gathered: Gathered) -> Section:
    """The Kiel diagram."""
    if not gathered.kiel.any():
        body = note("No reliable star lies between 2,500 and 10,000 K; there is no diagram.")
    else:
        inside = int(gathered.kiel.sum())
        body = picture(
            kiel_figure(gathered),
            f"Two-dimensional histogram of log g against effective temperature of {inside} "
            "reliable stars; main sequence below, giants above right.",
            f"{inside:,} reliable stars. Temperature rises to the left, gravity downwards.",
        )
    return Section("kiel", "Kiel diagram", body)


def reference_section(gathered: Gathered, why_none: str) -> tuple[Section, Comparison | None]:
    """Residuals against reference labels, and the comparison."""
    body, comparison = _compare(gathered) if gathered.n_referenced else (note(why_none), None)
    return Section("reference", "Against the reference", body), comparison


def _compare(gathered: Gathered) -> tuple[str, Comparison | None]:
    """Text and figures of the comparison."""
    try:
        comparison = compare(gathered.referenced, SELECTIONS["default"])
    except InputError as error:
        return note(f"No comparison: {error}."), None
    steps = [[step, f"{n:,}"] for step, n in comparison.counts.items()]
    body = table("Selection", ["stars", "left"], steps)
    if gathered.n_referenced > len(gathered.referenced):
        n = f"{REFERENCED:,} of {gathered.n_referenced:,}"
        body = paragraph(f"{n} stars with reference labels, drawn at random.") + body
    if not len(comparison):
        return body + note("No star is left to compare."), comparison
    rows = []
    for group, by_name in metrics(comparison).items():
        for name, m in by_name.items():
            kind = quantity(name)
            if m["n"]:
                cells = [f"{m[k]:.{kind.digits}f}" for k in ("bias", "scatter", "rmse")]
                text = f"{group}: {kind.title} [{kind.unit}]"
                rows.append([text, f"{m['n']:,}", *cells, f"{m['pull']:.2f}"])
    head = ["", "stars", "bias", "scatter", "rmse", "pull width"]
    body += table("Fitted minus reference", head, rows)
    n = len(comparison)
    body += picture(
        residual_figure(comparison),
        f"Above, residuals of each label against its reference for {n} stars, giants and dwarfs in "
        "two colours, with running 16, 50 and 84 percent lines; below, histograms of the residuals "
        "over the combined errors with a unit Gaussian. The table before has the numbers.",
        "Residuals, and residuals over the combined errors (pulls); dotted: as of correct "
        "errors (ZGR23, figs. 7, 8, 16).",
    )
    body += picture(
        residual_grid_figure(comparison, normalised=True),
        "Grid of panels: residuals over combined errors of each quantity against each reference "
        "label, with running 16, 50 and 84 percent lines, which correct errors put at -1, 0 and 1.",
        "Residuals over the combined errors against each label (ZGR23, figs. 8, 11).",
    )
    return body, comparison


def quality_section(gathered: Gathered) -> Section:
    """Goodness of fit and errors."""
    text = f" ({SAMPLE:,} stars drawn at random)" if gathered.n_star > SAMPLE else ""
    body = picture(
        quality_figure(gathered),
        "Histogram of chi2 per degree of freedom; standard errors of the parameters against "
        "magnitude, with running 16, 50 and 84 percent lines.",
        f"Goodness of fit, and standard errors of reliable stars{text}.",
    )
    return Section("quality", "Goodness of fit and errors", body)


def flags_section(gathered: Gathered) -> Section:
    """Flags and cuts."""
    n = gathered.n_star
    rows = [
        [flag.text, f"{column} {int(flag)}", *_fraction_cells(gathered.flags[flag.name], n)]
        for column, kind in (("quality_flags", QualityFlag), ("fit_flags", FitFlag))
        for flag in kind
        if flag.name in gathered.flags
    ]
    body = table("Flags", ["", "bit", "stars", "fraction"], rows)
    if gathered.cuts:
        papers = {name: f"{percentage:.1f} %" for name, percentage in ZGR23_PERCENTAGES.items()}
        rows = [
            [CUTS[name][0], *_fraction_cells(count, n), papers.get(name, "")]
            for name, count in gathered.cuts.items()
        ]
        body += table("Cuts (ZGR23, table 3)", ["", "stars", "fraction", "ZGR23"], rows)
    return Section("flags", "Flags and cuts", body)


def model_section(model: XPModel | None, why_none: str) -> Section:
    """The model's extinction curve and prior."""
    if model is None:
        return Section("model", "The model", note(why_none))
    body = ""
    if isinstance(model.space, SampledSpace):
        body += picture(
            extinction_figure(model),
            "The learned extinction curve over wavelength beside curves of CCM89 with R(V) of 2.6, "
            "3.1 and 3.6, equal at 542 nm; below, their ratios.",
            "Extinction curve, learned without any smoothness (ZGR23, fig. 15).",
            vector=True,
        )
    body += picture(
        prior_figure(model),
        "Density of the prior over Teff and each other label, with contours that enclose 68, 95 "
        "and 99 percent.",
        "Prior on stellar type (ZGR23, fig. 5).",
    )
    return Section("model", "The model", body)


def sky_section(gathered: Gathered) -> Section:
    """Extinction over the sky."""
    if gathered.n_mapped < 10:
        body = note("Fewer than ten stars are good enough for a map of extinction.")
    else:
        body = picture(
            map_figure(gathered),
            f"Map of the whole sky in Galactic coordinates: mean extinction of {gathered.n_mapped} "
            "stars; high along the Galactic plane, if the stars are behind its dust.",
            "Mean extinction, weighted by its inverse variance; cells as small as three stars "
            "allow. Galactic coordinates, the centre of the Galaxy in the middle.",
        )
    return Section("sky", "Extinction over the sky", body)


def stars_section(gathered: Gathered, spectra: Mapping[int, Markup], why_none: str) -> Section:
    """The worst and the most typical stars, with their spectra."""
    body = note(why_none) if why_none else Markup()
    for title, stars in (("Worst fits", gathered.worst), ("Typical fits", gathered.typical)):
        body += heading(title)
        if not len(stars):
            body += note("There are none.")
            continue
        body += table(f"{title}, by chi2 per degree of freedom", *_star_rows(stars))
        body += Markup().join(spectra.get(int(i), "") for i in stars[id_column_of(stars.colnames)])
    return Section("stars", "Worst and typical stars", body)


def _star_rows(stars: Table) -> tuple[list[str], list[list[str]]]:
    """Head and rows of a table of stars."""
    names = [name for name in VALUES if name in stars.colnames]
    kinds = [quantity(n) for n in names if np.isfinite(float_column(stars[n])).any()]
    ids = id_column_of(stars.colnames)
    head = ["Gaia source", "chi2 / dof", *(f"{k.title} [{k.unit}]" for k in kinds), "flags"]
    rows = []
    for row, chi2 in zip(stars, chi2_per_dof(stars), strict=True):
        cells = [str(row[ids]), f"{chi2:.2f}"]
        for kind in kinds:
            names = [n for n in (kind.name, f"{kind.name}_err") if n in stars.colnames]
            digits = min(kind.digits, 2)
            cells.append(" \u00b1 ".join(f"{row[name]:.{digits}f}" for name in names))
        flags = [n for n in ("quality_flags", "fit_flags") if n in stars.colnames]
        rows.append([*cells, ", ".join(str(row[name]) for name in flags)])
    return head, rows


def _with_fraction(n: int, total: int) -> str:
    """A number, and the fraction that it is of the total."""
    return f"{n:,} ({100.0 * n / total:.1f} %)"


def _fraction_cells(n: int, total: int) -> list[str]:
    """The same in two cells."""
    return [f"{n:,}", f"{100.0 * n / total:.2f} %"]
