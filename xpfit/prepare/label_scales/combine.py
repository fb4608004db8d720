"""Tables of labels of several surveys -> one table on the scale of one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from astropy.table import Table
from scipy.stats import chi2, norm

from ...errors import InputError
from ...quantities import LABELS
from ...read.joins import id_column, integer_ids
from ...read.known import name_of
from ...read.positions import MATCH_RADIUS, match_positions
from ...read.source_ids import release_of_ids
from ...read.surveys.description import REQUIRED_LABELS
from ...read.units import say_once
from .fit import CLIP_SIGMA, ScaleFit, fit_scales
from .links import MIN_COMMON, chains, common_counts
from .scales import LabelScale, LabelScales

LABEL_SURVEYS = "label_surveys"
"""Column of bits: which surveys' labels a star has, in the order of `LabelScales.surveys`."""

MAX_SURVEYS = 31


def combine_surveys(
    tables: Mapping[str, Table], reference: str | None = None
) -> tuple[Table, LabelScales]:
    """Tie the label systems of surveys together, and give every star one set of labels.

    Parameters
    ----------
    tables : mapping of str to astropy.table.Table
        Labels by the name of the survey, from `xpfit.read.read_survey`, with `source_id`, one row
        for each star.
    reference : str, optional
        Survey on whose scale the labels will be; the first by default.

    Returns
    -------
    table : astropy.table.Table
        One row for each star that any survey has: labels on the reference's scale, the means of its
        surveys' weighted by inverse variances; errors with the surveys' scatters; `snr`, the
        highest of them; and `label_surveys`. Stars without some label are left out. The record of
        the scales is in ``meta["label_scales"]`` too.
    scales : LabelScales

    Raises
    ------
    InputError
        If surveys cannot be tied to the reference, or have not what is needed.

    Notes
    -----
    Labels without an error are used where no survey has one with an error. Of stars whose surveys
    disagree by more than `xpfit.prepare.label_scales.fit.CLIP_SIGMA` the error is multiplied by the
    square root of chi2 per degree of freedom, since none of them is known to be the wrong one.
    """
    names = tuple(tables)
    reference = names[0] if reference is None else reference
    _require_usable(tables, reference)
    ids = ids_of_all(tables)
    combined, scales, n_disagree = Table({"source_id": ids}), {}, {}
    has = np.zeros((len(ids), len(names)), dtype=bool)
    for label in LABELS:
        values, errors = columns_of(tables, ids, label)
        if not np.isfinite(values).any():
            continue
        tied, scales[label] = _scales_of(label, values, errors, names, reference)
        values[:, ~tied] = np.nan
        has |= np.isfinite(values)
        value, error, disagree = weighted_mean(values, errors, scales[label], names)
        combined[label], combined[f"{label}_err"] = value, error
        n_disagree[label] = int(disagree.sum())
    _add_others(combined, tables, ids)
    combined[LABEL_SURVEYS] = has.astype(np.int64) @ (1 << np.arange(len(names)))
    complete = np.isfinite([combined[name] for name in REQUIRED_LABELS]).all(axis=0)
    counts = common_counts(has)
    n_common = {
        f"{names[i]}, {names[j]}": int(counts[i, j])
        for i in range(len(names))
        for j in range(i + 1, len(names))
    }
    table = combined[complete]
    releases = {str(t.meta.get("release", "")) for t in tables.values()} - {""}
    table.meta["release"] = releases.pop() if releases else ""
    record = LabelScales(names, reference, scales, n_common, n_disagree)
    removed = {
        f"{name}: {reason}": n
        for name, own in tables.items()
        for reason, n in own.meta.get("removed", {}).items()
    }
    table.meta["removed"] = {**removed, "without some label": int(np.sum(~complete))}
    table.meta["label_scales"] = record.to_dict()
    return table, record


def with_source_ids(
    labels: Table, gaia: Table | None, *, epoch: float, radius: float = MATCH_RADIUS
) -> Table:
    """Labels that have positions alone, with the ids of the sources that are there.

    Parameters
    ----------
    labels : astropy.table.Table
        Returned as it is, if it has `source_id`.
    gaia : astropy.table.Table, optional
        Rows of gaia_source with positions and proper motions.
    epoch : float
        Julian year of the labels' positions.
    radius : float
        Largest separation in arc seconds.

    Returns
    -------
    astropy.table.Table
        The rows that were found.

    Raises
    ------
    InputError
        If the positions of Gaia's sources are not given.
    """
    if "source_id" in labels.colnames:
        return labels
    if gaia is None:
        raise InputError(
            f"{labels.meta.get('path', 'these labels')}: positions but no Gaia ids; give the table "
            "of gaia_source (--astrometry) to find the stars that it has in common with others"
        )
    rows, matched = match_positions(gaia, labels, epoch, radius)
    table = labels[rows[matched]]
    what = name_of(gaia, "the table of astrometry")
    table["source_id"] = integer_ids(gaia, what)[matched]
    table.meta["release"] = release_of_ids(gaia, str(id_column(gaia, what)))
    return table


def _require_usable(tables: Mapping[str, Table], reference: str) -> None:
    """Refuse what cannot be combined."""
    names = ", ".join(tables)
    if reference not in tables:
        raise InputError(f"the reference {reference} is none of the surveys ({names})")
    if len(tables) > MAX_SURVEYS:
        raise InputError(f"{len(tables)} surveys; at most {MAX_SURVEYS} can be combined")
    releases = {str(t.meta["release"]) for t in tables.values() if t.meta.get("release")}
    if len(releases) > 1:
        raise InputError(
            f"the surveys ({names}) have ids of different data releases of Gaia "
            f"({', '.join(sorted(releases))}), which cannot be compared; give tables of one"
        )
    for name in REQUIRED_LABELS:
        column = f"{name}_err"
        table = tables[reference]
        if column not in table.colnames or not np.isfinite(table[column]).any():
            raise InputError(
                f"the reference {reference} has no errors of {name}, which the weights of the "
                "other surveys need; choose another (--reference-survey)"
            )


def _ids(table: Table) -> np.ndarray:
    """Source ids."""
    return np.asarray(table["source_id"], dtype=np.int64)


def ids_of_all(tables: Mapping[str, Table]) -> np.ndarray:
    """Source ids of the stars of all surveys, sorted.

    Parameters
    ----------
    tables : mapping of str to astropy.table.Table

    Returns
    -------
    ndarray of int64, shape (n_star,)
    """
    ids = np.unique(np.concatenate([_ids(table) for table in tables.values()]))
    return ids[ids > 0]


def columns_of(
    tables: Mapping[str, Table], ids: np.ndarray, label: str
) -> tuple[np.ndarray, np.ndarray]:
    """A label of all surveys.

    Parameters
    ----------
    tables : mapping of str to astropy.table.Table
    ids : ndarray of int64, shape (n_star,)
        From `ids_of_all`.
    label : str

    Returns
    -------
    values, errors : ndarray, shape (n_star, n_survey)
        NaN where there is none. Errors are zero in surveys that give none: the scatter stands for
        them.
    """
    shape = (len(ids), len(tables))
    values, errors = np.full(shape, np.nan), np.full(shape, np.nan)
    for i, table in enumerate(tables.values()):
        if label not in table.colnames:
            continue
        own = _ids(table)
        known = own > 0
        rows = np.searchsorted(ids, own[known])
        values[rows, i] = np.asarray(table[label], dtype=float)[known]
        given = np.full(len(table), np.nan)
        if f"{label}_err" in table.colnames:
            given = np.asarray(table[f"{label}_err"], dtype=float)
        errors[rows, i] = given[known] if np.isfinite(given).any() else 0.0
    errors[~np.isfinite(values)] = np.nan
    return values, errors


def _scales_of(
    label: str, values: np.ndarray, errors: np.ndarray, names: Sequence[str], reference: str
) -> tuple[np.ndarray, dict[str, LabelScale]]:
    """Which surveys are tied to the reference in a label, and how."""
    place = names.index(reference)
    measured = np.isfinite(values) & np.isfinite(errors)
    has, tied = measured.any(axis=0), np.zeros(len(names), dtype=bool)
    if has[place]:
        _, weakest = chains(common_counts(measured), place)
        tied = weakest >= MIN_COMMON
        tied[place] = True
        loose = [n for n, t, h, w in zip(names, tied, has, weakest, strict=True) if h and not t]
        if loose:
            _refuse_or_tell(label, loose, reference, weakest[[names.index(n) for n in loose]])
    elif has.any():
        _refuse_or_tell(label, [reference], reference, [0])
    which = np.flatnonzero(tied)
    if len(which) < 2:
        pivot = float(np.nanmedian(values[:, place])) if tied.any() else 0.0
        return tied, {reference: LabelScale(pivot)} if tied.any() else {}
    fit = fit_scales(values[:, which], errors[:, which], int(np.flatnonzero(which == place)[0]))
    found = {names[s]: _scale(fit, i) for i, s in enumerate(which)}
    return tied, found | {reference: LabelScale(fit.pivot)}


def _refuse_or_tell(label: str, loose: list[str], reference: str, counts) -> None:
    """Surveys that cannot be tied: an error where every star needs the label."""
    found = ", ".join(f"{n} ({c} stars)" for n, c in zip(loose, counts, strict=True))
    text = (
        f"{label} of {found} cannot be related to {reference}: at least {MIN_COMMON} stars in "
        "common are needed, directly or at every step through other surveys"
    )
    if label in REQUIRED_LABELS:
        raise InputError(f"{text}; add a survey that has stars of both, or leave it out")
    say_once(f"{text}; it is left out")


def _scale(fit: ScaleFit, i: int) -> LabelScale:
    """Record of one survey of a fit."""
    variance = np.diagonal(fit.covariance[i])
    scatter = float(fit.scatter[i])
    return LabelScale(
        pivot=fit.pivot,
        offset=float(fit.offset[i]),
        offset_err=float(np.sqrt(variance[0])),
        slope=float(fit.slope[i]),
        slope_err=float(np.sqrt(variance[1])),
        covariance=float(fit.covariance[i, 0, 1]),
        scatter=scatter,
        scatter_err=float(np.sqrt(variance[2]) / (2.0 * scatter)) if scatter else np.inf,
        n_used=int(fit.n_used[i]),
        n_outlier=int(fit.n_outlier[i]),
    )


def weighted_mean(
    values: np.ndarray, errors: np.ndarray, scales: Mapping[str, LabelScale], names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means of labels by inverse variance, on the reference's scale.

    Parameters
    ----------
    values, errors : ndarray, shape (n_star, n_survey)
        As the surveys give them; NaN where there is none.
    scales : mapping of str to LabelScale
        By survey.
    names : sequence of str
        Of all surveys.

    Returns
    -------
    mean, error : ndarray, shape (n_star,)
    disagree : ndarray of bool, shape (n_star,)
        Whose measurements differ by more than `CLIP_SIGMA`.
    """
    values, errors = values.copy(), errors.copy()
    for i, name in enumerate(names):
        if name in scales:
            values[:, i], errors[:, i] = scales[name].to_reference(values[:, i], errors[:, i])
    weighted = np.isfinite(values) & np.isfinite(errors) & (errors > 0)
    weight = np.where(weighted, 1.0, 0.0) / np.where(weighted, errors, 1.0) ** 2
    total, count = weight.sum(axis=1), weighted.sum(axis=1)
    one = np.where(total > 0, total, 1.0)
    mean = (weight * np.where(weighted, values, 0.0)).sum(axis=1) / one
    error = np.where(total > 0, 1.0 / np.sqrt(one), np.nan)
    left = np.where(weighted, values - mean[:, None], 0.0)
    misfit, degrees = (weight * left**2).sum(axis=1), np.maximum(count - 1, 1)
    disagree = (count > 1) & (misfit > chi2.isf(2.0 * norm.sf(CLIP_SIGMA), degrees))
    error = np.where(disagree, error * np.sqrt(misfit / degrees), error)
    only = ~np.isfinite(error) & np.isfinite(values).any(axis=1)
    first = np.argmax(np.isfinite(values), axis=1)
    mean = np.where(total > 0, mean, np.nan)
    mean[only] = values[only, first[only]]
    return mean, error, disagree


def _add_others(combined: Table, tables: Mapping[str, Table], ids: np.ndarray) -> None:
    """Highest S/N of each star; its extinction from the first survey that has it."""
    snr, extinction = np.full(len(ids), np.nan), np.full((2, len(ids)), np.nan)
    for table in tables.values():
        known = _ids(table) > 0
        rows = np.searchsorted(ids, _ids(table)[known])
        given = {
            name: np.asarray(table[name], dtype=float)[known]
            for name in ("snr", "extinction", "extinction_err")
            if name in table.colnames
        }
        snr[rows] = np.fmax(snr[rows], given.get("snr", np.nan))
        if {"extinction", "extinction_err"} <= given.keys():
            new = rows[np.isnan(extinction[0, rows])]
            here = np.isnan(extinction[0, rows])
            extinction[:, new] = np.stack([given["extinction"], given["extinction_err"]])[:, here]
    combined["snr"] = snr
    if np.isfinite(extinction[0]).any():
        combined["extinction"], combined["extinction_err"] = extinction
