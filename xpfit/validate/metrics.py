"""Fitted against reference labels: numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from ..catalogue import REFERENCE_PREFIX
from ..errors import InputError
from ..quality import is_reliable
from ..read.tables import float_column

GIANT_LOGG = 3.6
"""Stars whose reference log g is lower are giants, the others dwarfs."""

MAD_TO_SIGMA = 1.4826
"""Standard deviation of a Gaussian over its median absolute deviation."""

LABELS = ("teff", "feh", "logg", "alpha_m")
"""Labels that are compared, where both sides have them."""


@dataclass(frozen=True)
class Selection:
    """Which stars are compared.

    Parameters
    ----------
    min_snr : float
        Reference spectra with a lower signal-to-noise ratio are left out.
    max_teff : float
        K; stars with a hotter reference are left out.
    include_flagged : bool
        Compare flagged fits too.
    """

    min_snr: float = 50.0
    max_teff: float = 8000.0
    include_flagged: bool = False


@dataclass
class Comparison:
    """Fitted and reference labels of the selected stars.

    Attributes
    ----------
    labels : tuple of str
    fitted, fitted_err, reference, reference_err : dict of str to ndarray
        By label, in K and dex, for the stars compared.
    counts : dict of str to int
        Stars left after each step of the selection, in order.
    """

    labels: tuple[str, ...]
    fitted: dict[str, np.ndarray]
    fitted_err: dict[str, np.ndarray]
    reference: dict[str, np.ndarray]
    reference_err: dict[str, np.ndarray]
    counts: dict[str, int]

    @property
    def groups(self) -> dict[str, np.ndarray]:
        """Masks of giants, dwarfs and all, by reference log g."""
        giant = self.reference["logg"] < GIANT_LOGG
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
    selection = selection or Selection()
    labels = _common_labels(fitted)
    reference = {name: _values(fitted, REFERENCE_PREFIX + name) for name in labels}
    values = {name: _values(fitted, name) for name in labels}
    steps = {
        "in the catalogue": np.ones(len(fitted), dtype=bool),
        "with finite reference labels": np.isfinite(list(reference.values())).all(axis=0),
    }
    if REFERENCE_PREFIX + "snr" in fitted.colnames:
        snr = _values(fitted, REFERENCE_PREFIX + "snr")
        steps[f"with reference S/N > {selection.min_snr:g}"] = snr > selection.min_snr
    steps[f"with reference Teff < {selection.max_teff:g} K"] = (
        reference["teff"] < selection.max_teff
    )
    steps["fitted"] = np.isfinite(list(values.values())).all(axis=0)
    if not selection.include_flagged:
        flags = (np.ma.filled(fitted[name], 0) for name in ("quality_flags", "fit_flags"))
        steps["unflagged"] = is_reliable(*flags)
    keep, counts = np.ones(len(fitted), dtype=bool), {}
    for name, passed in steps.items():
        keep &= passed
        counts[name] = int(keep.sum())

    def pick(prefix: str, suffix: str) -> dict[str, np.ndarray]:
        return {name: _values(fitted, prefix + name + suffix)[keep] for name in labels}

    return Comparison(
        labels,
        fitted=pick("", ""),
        fitted_err=pick("", "_err"),
        reference=pick(REFERENCE_PREFIX, ""),
        reference_err=pick(REFERENCE_PREFIX, "_err"),
        counts=counts,
    )


def metrics(comparison: Comparison) -> dict[str, dict[str, dict[str, float | int | None]]]:
    """Bias, scatter, RMSE and pull width, per group and label.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    dict
        ``{"giants": {"teff": {"n", "bias", "scatter", "rmse", "pull"}, ...}, "dwarfs": ...,
        "all": ...}`` with teff in K. `bias` is the median of fitted - reference, `scatter` 1.4826
        times the median absolute deviation, `pull` the same of the residuals over the combined
        errors (reference errors count where they are known). Numbers of an empty group are None.
    """
    return {
        group: {name: _numbers(comparison, name, mask) for name in comparison.labels}
        for group, mask in comparison.groups.items()
    }


def _numbers(comparison: Comparison, name: str, mask: np.ndarray) -> dict:
    """Metrics of one label in one group."""
    residual = (comparison.fitted[name] - comparison.reference[name])[mask]
    if not residual.size:
        return {"n": 0, "bias": None, "scatter": None, "rmse": None, "pull": None}
    reference_err = np.nan_to_num(comparison.reference_err[name][mask], nan=0.0)
    pull = residual / np.hypot(comparison.fitted_err[name][mask], reference_err)
    return {
        "n": int(residual.size),
        "bias": float(np.median(residual)),
        "scatter": _robust_width(residual),
        "rmse": float(np.sqrt(np.mean(residual**2))),
        "pull": _robust_width(pull),
    }


def _robust_width(values: np.ndarray) -> float:
    """1.4826 times the median absolute deviation from the median."""
    return float(MAD_TO_SIGMA * np.median(np.abs(values - np.median(values))))


def _common_labels(fitted: Table) -> tuple[str, ...]:
    """Labels that the catalogue has with their reference; at least teff, feh and logg."""
    names = fitted.colnames
    needed = [n for name in LABELS[:3] for n in (name, f"{name}_err", REFERENCE_PREFIX + name)]
    needed += ["quality_flags", "fit_flags"]
    missing = [name for name in needed if name not in names]
    if missing:
        raise InputError(
            f"the catalogue lacks {', '.join(missing)}; give one written by 'xpfit fit', and "
            "--reference if its input had no labels"
        )
    return tuple(n for n in LABELS if n in names and REFERENCE_PREFIX + n in names)


def _values(table: Table, name: str) -> np.ndarray:
    """Column as float64, NaN where masked or absent."""
    if name not in table.colnames:
        return np.full(len(table), np.nan)
    return float_column(table[name])
