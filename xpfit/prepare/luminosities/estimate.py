"""Spectroscopic luminosities: labels -> ln L, by several sets of isochrones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from astropy.table import Table

from ...errors import InputError
from ...quantities import BASIC_LABELS, LABELS
from .masses import MassTable, ln_luminosity_over_mass, masses_at

ALPHA_LIMITS = (-0.2, 0.6)
"""[alpha/M] (dex) beyond which the mixture is that at the limit."""

UNKNOWN_ALPHA = (0.05, 0.1)
"""[alpha/M] and its error (dex) of stars that have none."""

ONE_GRID_ERROR = 0.1
"""Error of ln L (isochrones) where only one set of them has such stars: there is no other to
compare it with. Of stars that have two or more, nine in ten have a smaller half-difference."""

SALARIS = (0.638, 0.362)
"""Of [M/H] = [Fe/H] + log10(0.638 x 10^[alpha/Fe] + 0.362): Salaris et al. (1993), ApJ 414, 580."""


class LuminosityFlag(IntFlag):
    """Why a spectroscopic luminosity is missing, or less certain."""

    UNKNOWN_LABELS = 1
    """Teff, [Fe/H] or log g, or an error of theirs, is unknown: no luminosity."""

    OFF_ISOCHRONES = 2
    """The labels are more than 3 standard deviations of the smoothing (1.2 % in Teff, 0.1 dex in
    log g) from any isochrone of the star's [M/H]: no luminosity."""

    ONE_GRID = 4
    """Only one set of isochrones has such stars."""


@dataclass(frozen=True)
class Luminosities:
    """Spectroscopic luminosities of stars.

    Attributes
    ----------
    ln_luminosity : ndarray, shape (n_star,)
        ln of the luminosity in solar luminosities, mean over the sets of isochrones; NaN where
        there is none.
    error : ndarray, shape (n_star,)
        Its standard error: `conditional_error` and the errors of the labels.
    conditional_error : ndarray, shape (n_star,)
        Standard error at exactly these labels: spread of the masses of stars of that type, and
        difference of the sets of isochrones.
    derivative : ndarray, shape (n_star, 4)
        d ln L / d label, for `xpfit.quantities.LABELS` (Teff in kK): an error of a label moves ln L
        by that much, so that the covariance of ln L with label k is derivative_k sigma_k^2.
    flags : ndarray of int, shape (n_star,)
        Sum of `LuminosityFlag` values.
    """

    ln_luminosity: np.ndarray
    error: np.ndarray
    conditional_error: np.ndarray
    derivative: np.ndarray
    flags: np.ndarray

    def table(self, source_id: np.ndarray) -> Table:
        """Table that `xpfit.prepare.attach_luminosities` accepts.

        Parameters
        ----------
        source_id : ndarray of int64, shape (n_star,)

        Returns
        -------
        astropy.table.Table
            `source_id`, `ln_luminosity`, `ln_luminosity_err`, `ln_luminosity_conditional_err`,
            `d_ln_luminosity_d_LABEL`, `luminosity_flags`.
        """
        return Table(
            {
                "source_id": source_id,
                "ln_luminosity": self.ln_luminosity,
                "ln_luminosity_err": self.error,
                "ln_luminosity_conditional_err": self.conditional_error,
                **{
                    f"d_ln_luminosity_d_{name}": self.derivative[:, i]
                    for i, name in enumerate(LABELS)
                },
                "luminosity_flags": self.flags.astype(np.int16),
            }
        )


def metallicity(feh: np.ndarray, alpha_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[M/H] of isochrones of solar mixture that stand for stars enhanced in alpha elements.

    Parameters
    ----------
    feh, alpha_m : ndarray, shape (n_star,)

    Returns
    -------
    mh, by_alpha : ndarray, shape (n_star,)
        [M/H] and its derivative by [alpha/M].
    """
    clipped = np.clip(alpha_m, *ALPHA_LIMITS)
    enhanced = SALARIS[0] * 10.0**clipped
    by_alpha = np.where(clipped == alpha_m, enhanced / (enhanced + SALARIS[1]), 0.0)
    return feh + np.log10(enhanced + SALARIS[1]), by_alpha


def spectroscopic_luminosities(
    labels: Mapping[str, np.ndarray],
    label_err: Mapping[str, np.ndarray],
    tables: Sequence[MassTable],
) -> Luminosities:
    """Luminosities of stars with known Teff, [Fe/H], log g and, where there is one, [alpha/M].

    Parameters
    ----------
    labels, label_err : mapping of str to ndarray of shape (n_star,)
        As in `xpfit.Spectra` (Teff in kK); NaN where unknown.
    tables : sequence of MassTable
        From `isochrone_masses`, one for each set of isochrones.

    Returns
    -------
    Luminosities

    Raises
    ------
    InputError
        If a label or the tables are missing.

    Notes
    -----
    ln L = ln M + 4 ln Teff - ln g in solar units, where ln M is the mean over the isochrones' stars
    of these labels and over the sets. The variance at given labels is the mean variance of ln M
    within the sets, and half their largest difference, squared; labels add
    (d ln L / d label)^2 sigma^2 each.
    """
    missing = [name for name in BASIC_LABELS if name not in labels]
    if missing or not tables:
        raise InputError(
            f"luminosities need {', '.join(missing) or 'at least one set of isochrones'}"
        )
    values, errors = _label_arrays(labels), _label_arrays(label_err)
    without = ~np.isfinite(values[:, _ALPHA])
    values[without, _ALPHA], errors[without, _ALPHA] = UNKNOWN_ALPHA
    errors[~np.isfinite(errors[:, _ALPHA]), _ALPHA] = UNKNOWN_ALPHA[1]
    known = np.isfinite(values).all(axis=1) & np.isfinite(errors).all(axis=1) & (values[:, 0] > 0)
    values = np.where(known[:, None], values, np.nan)
    teff, feh, logg, alpha_m = values.T
    mh, by_alpha = metallicity(feh, alpha_m)
    masses = [masses_at(table, mh, teff, logg) for table in tables]
    ln_mass, half_difference, n_grids = _over_grids(np.array([m.ln_mass for m in masses]))
    variance, _, _ = _over_grids(np.array([m.variance for m in masses]))
    by_mh, by_ln_teff, by_logg = (
        _over_grids(np.array([m.gradient[:, i] for m in masses]))[0] for i in range(3)
    )
    derivative = np.column_stack(
        [(4.0 + by_ln_teff) / teff, by_mh, by_logg - np.log(10.0), by_mh * by_alpha]
    )
    grids = np.where(n_grids == 1, np.maximum(half_difference, ONE_GRID_ERROR), half_difference)
    conditional = np.sqrt(variance + grids**2)
    flags = np.where(~known, int(LuminosityFlag.UNKNOWN_LABELS), 0)
    flags[known & (n_grids == 0)] |= int(LuminosityFlag.OFF_ISOCHRONES)
    flags[n_grids == 1] |= int(LuminosityFlag.ONE_GRID)
    return Luminosities(
        ln_luminosity=ln_mass + ln_luminosity_over_mass(np.log(teff), logg),
        error=np.sqrt(conditional**2 + np.sum((derivative * errors) ** 2, axis=1)),
        conditional_error=conditional,
        derivative=derivative,
        flags=flags,
    )


_ALPHA = LABELS.index("alpha_m")


def _label_arrays(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Columns of `LABELS`, shape (n_star, 4); NaN where there are none."""
    n_star = len(columns[BASIC_LABELS[0]])
    return np.column_stack([columns.get(name, np.full(n_star, np.nan)) for name in LABELS])


def _over_grids(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, half-difference and number of the values that are known, of (n_grid, n_star)."""
    known = np.isfinite(values)
    n_known = known.sum(axis=0)
    mean = np.sum(np.where(known, values, 0.0), axis=0) / np.where(n_known, n_known, np.nan)
    largest = np.where(known, values, -np.inf).max(axis=0)
    smallest = np.where(known, values, np.inf).min(axis=0)
    difference = np.where(n_known, largest, np.nan) - np.where(n_known, smallest, np.nan)
    return mean, 0.5 * difference, n_known
