"""Predictions of companions, and the table columns that they become."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

import astropy.units as u
import numpy as np

from ..quantities import quantity

CAUSES = {
    "model_err": "dropout",
    "input_err": "errors of the spectrum",
    "excess_err": "the rest",
}
"""Components of the uncertainty, and what each is due to."""


@dataclass(frozen=True)
class Column:
    """A column of a table, in units for people.

    Attributes
    ----------
    name : str
    values : ndarray, shape (n_star, ...)
    text : str
        Its description.
    unit : astropy.units.UnitBase or None
        None for pure numbers and dex.
    ucd : str
        In the IVOA's vocabulary (UCD1+).
    """

    name: str
    values: np.ndarray
    text: str
    unit: u.UnitBase | None = None
    ucd: str = ""


class Prediction(ABC):
    """Results of a companion for N stars: a dataclass of arrays whose first axis is the star.

    Attributes
    ----------
    label_names : tuple of str
        Labels that are predicted, if any.
    is_outlier : ndarray of bool, shape (n_star,), or None
        Whether spectra are unlike the training set; None if the companion does not test this.
    """

    label_names: tuple[str, ...]
    is_outlier: np.ndarray | None

    @classmethod
    def concatenate(cls, parts: Sequence[Prediction]) -> Prediction:
        """Predictions of several sets of stars as one."""
        return cls(*(_join([getattr(p, f.name) for p in parts]) for f in fields(cls)))

    @abstractmethod
    def columns(self) -> list[Column]:
        """Columns of the companion's own table."""

    @abstractmethod
    def catalogue_columns(self, kind: str) -> list[Column]:
        """Columns of a catalogue of fits; `kind` is that of the companion."""


def _join(values: list):
    """Concatenated arrays, or dicts of arrays; the first of other values."""
    if isinstance(values[0], dict):
        return {name: _join([v[name] for v in values]) for name in values[0]}
    return np.concatenate(values) if isinstance(values[0], np.ndarray) else values[0]


@dataclass
class LabelPrediction(Prediction):
    """Labels of N stars and their uncertainties, all (n_star, n_label) in kK and dex.

    Attributes
    ----------
    label_names : tuple of str
    values : ndarray
    errors : dict of str to ndarray
        Parts of the uncertainty by their cause: ``model_err``, ``input_err``, ``excess_err``.
    """

    label_names: tuple[str, ...]
    values: np.ndarray
    errors: dict[str, np.ndarray]
    is_outlier: ClassVar[None] = None

    @property
    def total_err(self) -> np.ndarray:
        """All parts together (Fallows & Sanders 2024, eq. 11)."""
        return np.sqrt(sum(error**2 for error in self.errors.values()))

    def columns(self) -> list[Column]:
        """See `Prediction.columns`: each label, its error, and the components of that."""
        found = []
        for i, name in enumerate(self.label_names):
            known = quantity(name)
            found += self._with_error(i, name, known.description, f"stat.error;{known.ucd}")
            for part, errors in self.errors.items():
                text = f"standard error of {known.description}, due to {CAUSES[part]}"
                values = known.factor * errors[:, i]
                ucd = f"stat.error;{known.ucd}"
                found.append(Column(f"{name}_{part}", values, text, known.table_unit, ucd))
        return found

    def catalogue_columns(self, kind: str) -> list[Column]:
        """See `Prediction.catalogue_columns`: ``KIND_LABEL`` and its error."""
        found = []
        for i, name in enumerate(self.label_names):
            text = f"{quantity(name).description} by the companion {kind}"
            found += self._with_error(i, f"{kind}_{name}", text, "stat.error")
        return found

    def _with_error(self, i: int, column: str, text: str, error_ucd: str) -> list[Column]:
        """A label and its standard error."""
        known = quantity(self.label_names[i])
        unit, factor = known.table_unit, known.factor
        text_err, error = f"standard error of {text}", factor * self.total_err[:, i]
        return [
            Column(column, factor * self.values[:, i], text, unit, known.ucd),
            Column(f"{column}_err", error, text_err, unit, error_ucd),
        ]


@dataclass
class Reconstruction(Prediction):
    """Spectra as an auto-encoder reconstructs them, and how well they agree.

    Attributes
    ----------
    latent, latent_err : ndarray, shape (n_star, n_latent)
    flux, scatter : ndarray, shape (n_star, n_channel)
        Relative, as `Features` normalises spectra; scatter is that of similar stars.
    chi2 : ndarray, shape (n_star,)
        Of the standardised inputs, over their number, with errors and scatter: about one for stars
        like those of the training set.
    ln_density : ndarray, shape (n_star,)
        ln of the training stars' density at the latent means.
    outlier_score : ndarray, shape (n_star,)
        -log10 of the share of training-set stars with such deviations (see `OutlierDetector`).
    is_outlier : ndarray of bool, shape (n_star,)
        Score above that of all but two per cent of training-set stars.
    most_deviant_wavelength : ndarray, shape (n_star,)
        Wavelength (nm) of the value that deviates most, given the others; NaN for coefficients.
    """

    latent: np.ndarray
    latent_err: np.ndarray
    flux: np.ndarray
    scatter: np.ndarray
    chi2: np.ndarray
    ln_density: np.ndarray
    outlier_score: np.ndarray
    is_outlier: np.ndarray
    most_deviant_wavelength: np.ndarray
    label_names: ClassVar[tuple[str, ...]] = ()

    def columns(self) -> list[Column]:
        """See `Prediction.columns`."""
        return [
            Column("latent", self.latent, "latent variables of the spectrum"),
            Column("latent_err", self.latent_err, "their standard deviations"),
            *self.catalogue_columns(),
            Column("is_odd", self.is_outlier, "unlike the training set"),
        ]

    def catalogue_columns(self, kind: str = "") -> list[Column]:
        """See `Prediction.catalogue_columns`."""
        return [
            Column("reconstruction_chi2", self.chi2,
                   "chi2 per value of the spectrum's reconstruction"),
            Column("latent_ln_density", self.ln_density,
                   "ln of the density of training stars at the latent variables"),
            Column("oddity", self.outlier_score,
                   "-log10 of the share of training-set stars with such deviations"),
            Column("oddest_wavelength", self.most_deviant_wavelength,
                   "wavelength that deviates most from the reconstruction", u.nm),
        ]  # fmt: skip
