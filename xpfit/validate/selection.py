"""Which stars are compared with a reference, and how well their fits describe the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from astropy.table import Table

from ..catalogue.columns import VALIDATION_KEY
from ..data.split import is_held_out
from ..quality import is_reliable
from ..read.joins import integer_ids
from ..read.tables import float_column

N_FITTED = 61
"""Degrees of freedom of ZGR23's fits, where a catalogue does not say."""

PARAMETERS = ("teff", "feh", "logg", "alpha_m", "extinction", "parallax", "xi")


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
    min_parallax_snr : float, optional
        Stars whose measured parallax is fewer of its errors are left out, where any is known.
    max_loss : float, optional
        Stars with a higher loss per degree of freedom (see `loss_per_dof`) are left out.
    max_reference_err : mapping of str to float
        K and dex; stars with larger errors of a reference label are left out.
    include_training : bool
        Compare stars that the model may have been trained on too, where the catalogue tells that
        some were held out of the training (``xpfit train --validation``).
    """

    min_snr: float = 50.0
    max_teff: float = 8000.0
    include_flagged: bool = False
    min_parallax_snr: float | None = None
    max_loss: float | None = None
    max_reference_err: Mapping[str, float] = field(default_factory=dict)
    include_training: bool = False

    def steps(self, fitted: Table) -> dict[str, np.ndarray]:
        """Stars that pass each cut on the fit and on the measured parallax.

        Parameters
        ----------
        fitted : astropy.table.Table
            Catalogue.

        Returns
        -------
        dict of str to ndarray of bool, shape (n_star,)
            By what the cut is called.
        """
        steps = {}
        fraction = held_out_fraction(fitted)
        if fraction and not self.include_training:
            ids = integer_ids(fitted, "the catalogue")
            steps[f"held out of the training ({fraction:.0%} of all)"] = is_held_out(ids, fraction)
        if not self.include_flagged:
            flags = (np.ma.filled(fitted[name], 0) for name in ("quality_flags", "fit_flags"))
            steps["unflagged"] = is_reliable(*flags)
        if self.min_parallax_snr is not None:
            with np.errstate(invalid="ignore", divide="ignore"):
                snr = _column(fitted, "gaia_parallax") / _column(fitted, "gaia_parallax_error")
            known = np.isfinite(snr).any()
            step = f"with parallax S/N >= {self.min_parallax_snr:g}"
            steps[step if known else f"{step} (none is known: all)"] = (
                snr >= self.min_parallax_snr if known else np.ones(len(fitted), dtype=bool)
            )
        if self.max_loss is not None:
            steps[f"with loss / dof <= {self.max_loss:g}"] = loss_per_dof(fitted) <= self.max_loss
        return steps


SELECTIONS = {
    "default": Selection(),
    "zgr23": Selection(
        min_snr=20.0,
        max_teff=np.inf,
        include_flagged=True,
        min_parallax_snr=5.0,
        max_loss=5.0,
        max_reference_err={"teff": 500.0, "feh": 0.5, "logg": 0.5},
    ),
}
"""By name. That of ZGR23 leaves out parallaxes below 5 sigma and losses above 5 per degree of
freedom (section 4.4) of the stars that were fit for training (section 2.5), without flags; their
cuts on `fidelity_v2` and on the flux excess are made before fits, by what is in the data set."""


def held_out_fraction(fitted: Table) -> float:
    """Fraction of all stars that the model of a catalogue was not trained on; 0 if not told."""
    return float(fitted.meta.get(VALIDATION_KEY) or 0.0)


def degrees_of_freedom(table: Table) -> np.ndarray:
    """Number of values less that of parameters of each star, at least 1, shape (n_star,)."""
    dof = np.full(len(table), float(N_FITTED))
    if "n_obs" in table.colnames:
        dof = float_column(table["n_obs"]) - sum(name in table.colnames for name in PARAMETERS)
    return np.maximum(dof, 1.0)


def chi2_per_dof(table: Table) -> np.ndarray:
    """chi2 over degrees of freedom of each star, shape (n_star,)."""
    return float_column(table["chi2_opt"]) / degrees_of_freedom(table)


def loss_per_dof(table: Table) -> np.ndarray:
    """The loss of the inference at the best fit over degrees of freedom (ZGR23, eq. 19).

    Parameters
    ----------
    table : astropy.table.Table
        Catalogue.

    Returns
    -------
    ndarray, shape (n_star,)
        (chi2 of the flux + that of the parallax - 2 ln p(type) - 2 ln parallax - 2 ln E) / dof,
        in kK, dex, mas and mag. Terms of what is not known, such as the parallax of a star without
        a measured one, are left out.
    """
    parallax, extinction = _column(table, "parallax"), _column(table, "extinction")
    with np.errstate(invalid="ignore", divide="ignore"):
        pull = parallax - _column(table, "gaia_parallax")
        pull = pull / _column(table, "gaia_parallax_error")
        more = [pull**2, -2.0 * _column(table, "ln_prior")]
        more += [-2.0 * np.log(value) for value in (parallax, extinction)]
    known = np.nan_to_num(more, nan=0.0, posinf=np.inf).sum(axis=0)
    return chi2_per_dof(table) + known / degrees_of_freedom(table)


def _column(table: Table, name: str) -> np.ndarray:
    """Column as float64, NaN where masked or absent."""
    if name not in table.colnames:
        return np.full(len(table), np.nan)
    return float_column(table[name])
