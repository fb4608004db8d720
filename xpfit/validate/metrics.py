"""Fitted against reference labels: numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from astropy.table import Table

from ..catalogue import REFERENCE_PREFIX
from ..errors import InputError
from ..quantities import BASIC_LABELS, LABELS
from ..read.tables import float_column
from ..statistics import robust_width
from .selection import SELECTIONS, Selection

GIANT_LOGG = 3.6
"""Stars whose reference log g is lower are giants, the others dwarfs."""

REFERENCES = {
    **{name: (REFERENCE_PREFIX + name, REFERENCE_PREFIX + name + "_err") for name in LABELS},
    "extinction": (REFERENCE_PREFIX + "extinction", REFERENCE_PREFIX + "extinction_err"),
    "parallax": ("gaia_parallax", "gaia_parallax_error"),
}
"""Columns with which each quantity is compared, and their errors.

Extinction and parallax are compared where they are known; stars are not selected by them.
"""

ZGR23_SCATTER = {"teff": 90.0, "feh": 0.15, "logg": 0.15, "extinction": 0.03, "parallax": 0.01}
"""Typical residuals against LAMOST, Bayestar19 and Gaia (K, dex, mag, mas; ZGR23, section 4.4)."""

ZGR23_SURVEY_PULL = {"teff": 2.0, "feh": 3.0, "logg": 2.0, "extinction": 0.8, "parallax": 0.5}
"""Widths of these residuals over the errors of LAMOST, Bayestar19, Gaia alone (ZGR23, fig. 8)."""


@dataclass
class Comparison:
    """Fitted and reference values of the selected stars.

    Attributes
    ----------
    labels : tuple of str
        What is compared: the labels, and extinction and parallax where there is anything to
        compare them with.
    fitted, fitted_err, reference, reference_err : dict of str to ndarray
        By label, in K, dex, mag and mas, for the stars compared. NaN where extinction or parallax
        is not known.
    counts : dict of str to int
        Stars left after each step of the selection, in order.
    rows : ndarray of int
        The stars compared, as rows of the catalogue.
    fitted_logg : ndarray
        log g of the fits, by which giants are told where the reference has none.
    """

    labels: tuple[str, ...]
    fitted: dict[str, np.ndarray]
    fitted_err: dict[str, np.ndarray]
    reference: dict[str, np.ndarray]
    reference_err: dict[str, np.ndarray]
    counts: dict[str, int]
    rows: np.ndarray
    fitted_logg: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def residual(self, name: str) -> np.ndarray:
        """Fitted minus reference values of one label."""
        return self.fitted[name] - self.reference[name]

    def pull(self, name: str) -> np.ndarray:
        """Residuals over the combined errors, with reference errors where they are known."""
        reference_err = np.nan_to_num(self.reference_err[name], nan=0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.residual(name) / np.hypot(self.fitted_err[name], reference_err)

    def survey_pull(self, name: str) -> np.ndarray:
        """Residuals over the errors of the reference alone (ZGR23, fig. 8); NaN without them."""
        with np.errstate(invalid="ignore", divide="ignore"):
            pull = self.residual(name) / self.reference_err[name]
        return np.where(self.reference_err[name] > 0, pull, np.nan)

    @property
    def groups(self) -> dict[str, np.ndarray]:
        """Masks of giants, dwarfs and all, by reference log g (or, without it, the fitted one)."""
        logg = self.reference.get("logg", self.fitted_logg)
        giant = logg < GIANT_LOGG
        return {"giants": giant, "dwarfs": ~giant, "all": np.ones_like(giant)}


def compare(fitted: Table, selection: Selection | None = None) -> Comparison:
    """Select stars of a catalogue and pair fitted with reference labels.

    Parameters
    ----------
    fitted : astropy.table.Table
        Catalogue with reference columns (``ref_teff``, ...): from `xpfit.catalogue.result_table` or
        `xpfit.validate.attach_reference`.
    selection : Selection, optional

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        If columns are missing.
    """
    selection = selection or SELECTIONS["default"]
    labels = _common_labels(fitted)
    columns = reference_columns(fitted)
    names = [n for n in columns if n in labels or n not in LABELS]
    reference = {name: _values(fitted, columns[name][0]) for name in names}
    values = {name: _values(fitted, name) for name in names}
    labels = tuple(n for n in labels if np.isfinite(reference[n]).any()) or labels
    steps = _steps(fitted, selection, labels, values, reference)
    keep, counts = np.ones(len(fitted), dtype=bool), {}
    for name, passed in steps.items():
        keep &= passed
        counts[name] = int(keep.sum())

    also = [n for n in names if np.isfinite(values[n] + reference[n])[keep].any()]
    compared = (*labels, *(name for name in also if name not in labels))

    def pick(chosen: dict[str, str]) -> dict[str, np.ndarray]:
        return {name: _values(fitted, chosen[name])[keep] for name in compared}

    return Comparison(
        compared,
        fitted=pick({name: name for name in compared}),
        fitted_err=pick({name: f"{name}_err" for name in compared}),
        reference=pick({name: columns[name][0] for name in compared}),
        reference_err=pick({name: columns[name][1] for name in compared}),
        counts=counts,
        rows=np.flatnonzero(keep),
        fitted_logg=_values(fitted, "logg")[keep],
    )


def reference_columns(fitted: Table) -> dict[str, tuple[str, str]]:
    """Columns of a catalogue with which each quantity is compared, and their errors.

    Parameters
    ----------
    fitted : astropy.table.Table
        With reference columns.

    Returns
    -------
    dict of str to tuple of str
        `REFERENCES`, with ``ref_parallax`` in place of Gaia's where a reference has brought one.
    """
    own = REFERENCE_PREFIX + "parallax"
    own_columns = {"parallax": (own, f"{own}_err")} if own in fitted.colnames else {}
    return {**REFERENCES, **own_columns}


def _steps(
    fitted: Table,
    selection: Selection,
    labels: tuple[str, ...],
    values: dict[str, np.ndarray],
    reference: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Stars that pass each step of the selection, by its name, in order."""
    steps = {
        "in the catalogue": np.ones(len(fitted), dtype=bool),
        "with finite reference labels": np.isfinite([reference[n] for n in labels]).all(axis=0),
    }
    if REFERENCE_PREFIX + "snr" in fitted.colnames:
        snr = _values(fitted, REFERENCE_PREFIX + "snr")
        steps[f"with reference S/N > {selection.min_snr:g}"] = snr > selection.min_snr
    if np.isfinite(selection.max_teff):
        teff = reference["teff"] if "teff" in labels else values["teff"]
        steps[f"with reference Teff < {selection.max_teff:g} K"] = teff < selection.max_teff
    small = np.ones(len(fitted), dtype=bool)
    for name, limit in selection.max_reference_err.items():
        small &= ~(_values(fitted, f"{REFERENCE_PREFIX}{name}_err") >= limit)
    if selection.max_reference_err:
        steps["with small errors of the reference"] = small
    steps["fitted"] = np.isfinite([values[name] for name in labels]).all(axis=0)
    return steps | selection.steps(fitted)


def metrics(comparison: Comparison) -> dict[str, dict[str, dict[str, float | int | None]]]:
    """Bias, scatter, RMSE and pull width, per group and label.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    dict
        ``{"giants": {"teff": {"n", "bias", "scatter", "rmse", "pull", "survey_pull"}, ...},
        "dwarfs": ..., "all": ...}`` with teff in K. `n` counts the stars of which both values are
        known, `bias` is the median of fitted - reference, `scatter` their robust width (see
        `xpfit.statistics.robust_width`), `pull` that of the residuals over the combined errors
        (with reference errors where they are known), `survey_pull` that over the reference's
        errors alone, as in ZGR23's fig. 8. Numbers that are not known are None.
    """
    return {
        group: {name: _numbers(comparison, name, mask) for name in comparison.labels}
        for group, mask in comparison.groups.items()
    }


def beside_zgr23(numbers: dict[str, dict]) -> dict[str, tuple[float, float]]:
    """Scatter of all stars beside that of ZGR23 (section 4.4), for the quantities that both have.

    Parameters
    ----------
    numbers : dict
        From `metrics`, of a comparison by ``SELECTIONS["zgr23"]``, which makes it one of like with
        like.

    Returns
    -------
    dict of str to tuple of float
        By label: ours and theirs, in K, dex, mag, mas.
    """
    return _beside(numbers, "scatter", ZGR23_SCATTER)


def pulls_beside_zgr23(numbers: dict[str, dict]) -> dict[str, tuple[float, float]]:
    """Widths of residuals over the survey's errors beside those of ZGR23 (fig. 8).

    Parameters
    ----------
    numbers : dict
        As for `beside_zgr23`.

    Returns
    -------
    dict of str to tuple of float
        By label: ours and theirs.
    """
    return _beside(numbers, "survey_pull", ZGR23_SURVEY_PULL)


def _beside(numbers: dict[str, dict], key: str, theirs: dict[str, float]) -> dict:
    """A number of all stars beside the paper's."""
    ours = {name: entry[key] for name, entry in numbers["all"].items()}
    return {
        name: (ours[name], paper) for name, paper in theirs.items() if ours.get(name) is not None
    }


def _numbers(comparison: Comparison, name: str, mask: np.ndarray) -> dict:
    """Metrics of one label in one group."""
    mask = mask & np.isfinite(comparison.residual(name))
    residual = comparison.residual(name)[mask]
    rmse = float(np.sqrt(np.mean(residual**2))) if mask.any() else None
    numbers = residual_numbers(residual, comparison.pull(name)[mask])
    width, survey = numbers.pop("pull"), comparison.survey_pull(name)[mask]
    survey = survey[np.isfinite(survey)]
    survey_width = robust_width(survey) if len(survey) else None
    return numbers | {"rmse": rmse, "pull": width, "survey_pull": survey_width}


def residual_numbers(
    residual: np.ndarray, pull: np.ndarray, missing: float | None = None
) -> dict[str, float | int | None]:
    """Numbers that describe a distribution of residuals.

    Parameters
    ----------
    residual, pull : ndarray, shape (n_star,)
        Residuals, and residuals over their errors.
    missing : float, optional
        What is given where there are no stars.

    Returns
    -------
    dict
        `n`, `bias` (median), `scatter` (robust width) and `pull` (robust width of the pulls).
    """
    if not len(residual):
        return {"n": 0, "bias": missing, "scatter": missing, "pull": missing}
    bias, (scatter, width) = float(np.median(residual)), map(robust_width, (residual, pull))
    return {"n": len(residual), "bias": bias, "scatter": scatter, "pull": width}


def magnitude_groups(g: np.ndarray, edges: Sequence[float]) -> dict[str, np.ndarray]:
    """Rows of the stars in each range of magnitude that has any.

    Parameters
    ----------
    g : ndarray, shape (n_star,)
    edges : sequence of float
        Of the ranges, rising.

    Returns
    -------
    dict of str to ndarray of bool, shape (n_star,)
        By range, such as ``G 12-14``.
    """
    groups = {f"G {low:g}-{high:g}": (g >= low) & (g < high) for low, high in pairwise(edges)}
    return {name: rows for name, rows in groups.items() if rows.any()}


def _common_labels(fitted: Table) -> tuple[str, ...]:
    """Labels that the catalogue has with their reference; at least teff, feh and logg."""
    names = fitted.colnames
    needed = [n for name in BASIC_LABELS for n in (name, f"{name}_err", REFERENCE_PREFIX + name)]
    needed += ["quality_flags", "fit_flags"]
    remedy = "give one written by 'xpfit fit', and --reference if its input had no labels"
    require_columns(fitted, needed, remedy)
    return tuple(n for n in LABELS if n in names and REFERENCE_PREFIX + n in names)


def require_columns(
    table: Table, names: Iterable[str], remedy: str = "give one written by xpfit"
) -> None:
    """Raise an `InputError` that names the columns which a catalogue lacks, and the remedy."""
    missing = [name for name in names if name not in table.colnames]
    if missing:
        raise InputError(f"the catalogue lacks {', '.join(missing)}; {remedy}")


def _values(table: Table, name: str) -> np.ndarray:
    """Column as float64, NaN where masked or absent."""
    if name not in table.colnames:
        return np.full(len(table), np.nan)
    return float_column(table[name])
