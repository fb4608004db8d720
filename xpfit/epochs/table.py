"""One row per star, and one per epoch: whether it varies, and by how much."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from astropy.table import Column, Table, vstack

from ..data.flags import DescribedFlag
from ..fit import FitResult, FitStatus
from ..model import XPModel
from ..quantities import quantity
from .comparison import Comparison, compare_epochs
from .data import EpochSpectra
from .directions import AMPLITUDE, Variability, variability
from .fit import FREE, EpochFits, fit_epochs, fit_means, mean_spectra

FALSE_ALARMS = 0.01
"""Fraction of constant stars that count as variable."""

STARS_AT_A_TIME = 32
"""Stars whose means are fitted together: 200 MB for 30 epochs each."""


class EpochFlag(DescribedFlag):
    """Bits of `flags` of a table of stars with epoch spectra."""

    VARIABLE = 1, "p_variable is below the rate of false alarms"
    INCOMPLETE = 2, "some epochs lack a band or single values"
    TOO_FEW = 4, "fewer than two epochs to compare"
    NO_FIT = 8, "no fit of the mean spectrum that converged: changes of Teff are not known"
    NOT_CONVERGED = 16, "the fit of some epoch did not converge in the trained range"


_STARS = {
    "source_id": "Gaia's source_id",
    "n_epochs": "epochs with data",
    "chi2": "chi2 of the epochs about their mean",
    "dof": "degrees of freedom of chi2",
    "p_value": "probability of a larger chi2 if the star is constant",
    "chi2_brightness": "by how much chi2 is lower if every epoch has its own amplitude",
    "dof_brightness": "degrees of freedom of chi2_brightness",
    "p_brightness": "probability of a larger chi2_brightness if the star is constant",
    "chi2_teff": "by how much chi2 is lower still if every epoch has its own Teff",
    "dof_teff": "degrees of freedom of chi2_teff",
    "p_teff": "probability of a larger chi2_teff if the star is constant",
    "p_variable": "probability that a constant star seems to vary more in brightness or Teff",
    "flags": "; ".join(f"{int(flag)}: {flag.text}" for flag in EpochFlag),
}
"""Columns that do not depend on the model, with their descriptions."""

_EPOCHS = {
    "source_id": "Gaia's source_id",
    "transit_id": "transit; 0 if unknown",
    "time": "BJD in TCB",
    "chi2": "contribution of the epoch to chi2 of the epochs about their mean",
    "chi2_expected": "mean of that of a constant star",
    "chi2_fit": "chi2 of the fit of the epoch",
    "converged": "whether that fit did, in the trained range",
}


@dataclass(frozen=True)
class StudiedStar:
    """All that is found out about one star.

    Attributes
    ----------
    epochs : EpochSpectra
    comparison : Comparison
    mean : FitResult
        Fit of the mean spectrum, one row.
    variability : Variability
    free : tuple of str
        Parameters that may differ between epochs.
    fits : EpochFits, optional
        None without a fit of the mean spectrum.
    """

    epochs: EpochSpectra
    comparison: Comparison
    mean: FitResult
    variability: Variability
    free: tuple[str, ...]
    fits: EpochFits | None = None


def study_stars(
    model: XPModel, stars: Iterable[EpochSpectra], free: tuple[str, ...] = FREE
) -> Iterator[list[StudiedStar]]:
    """Compare the epochs of stars, fit the means, and fit each epoch.

    Parameters
    ----------
    model : XPModel
    stars : iterable of EpochSpectra
        In the model's observation space.
    free : tuple of str
        Parameters that may differ between epochs (see `xpfit.epochs.fit_epochs`).

    Yields
    ------
    list of StudiedStar
        A few at a time.
    """
    stars, shapes = iter(stars), model.shapes_only()
    while batch := list(islice(stars, STARS_AT_A_TIME)):
        compared = [compare_epochs(star, model.trained_channels) for star in batch]
        result = fit_means(model, mean_spectra(batch, compared))
        studied = []
        for i, (star, comparison) in enumerate(zip(batch, compared, strict=True)):
            mean, theta, fits = result.take([i]), None, None
            if mean.status[0] == FitStatus.CONVERGED and np.isfinite(mean.theta).all():
                theta = mean.theta[0]
                fits = fit_epochs(shapes, comparison, theta, free)
            found = variability(comparison, shapes, theta)
            studied.append(StudiedStar(star, comparison, mean, found, free, fits))
        yield studied


def star_table(stars: list[StudiedStar], false_alarms: float = FALSE_ALARMS) -> Table:
    """One row per star.

    Parameters
    ----------
    stars : list of StudiedStar
        At least one.
    false_alarms : float
        Fraction of constant stars that are to be flagged as variable.

    Returns
    -------
    astropy.table.Table
        Columns as their descriptions say: chi2 and p values; labels of the mean, and `_scatter` of
        each free parameter, the standard deviation over the epochs beyond that of the errors.
    """
    names = stars[0].mean.parameter_names
    rows = [_row(star, false_alarms) for star in stars]
    table = Table(
        {k: Column([row[k] for row in rows], description=text) for k, text in _STARS.items()}
    )
    flags = table["flags"]
    table.remove_column("flags")
    for name in (n for n in names if n != "parallax"):
        value, error = (
            np.concatenate(values)
            for values in zip(*((s.mean[name], s.mean.error(name)) for s in stars), strict=True)
        )
        table[name] = _column(name, value, "of the mean spectrum")
        table[f"{name}_err"] = _column(name, error, "standard error of the mean spectrum's")
    for name in stars[0].free:
        scatter = [star.fits.scatter(name) if star.fits else np.nan for star in stars]
        table[f"{name}_scatter"] = _column(name, np.array(scatter), "scatter beyond the errors of")
    table["flags"] = flags
    return table


def epoch_table(stars: list[StudiedStar]) -> Table:
    """One row per epoch.

    Parameters
    ----------
    stars : list of StudiedStar
        At least one.

    Returns
    -------
    astropy.table.Table
        `source_id`, `transit_id`, `time`, contributions to chi2, and the free parameters with their
        errors, NaN without a fit.
    """
    return vstack([_of_epochs(star) for star in stars])


def _row(star: StudiedStar, false_alarms: float) -> dict[str, float]:
    """Numbers of one star."""
    comparison, found = star.comparison, star.variability
    n_epochs = int(np.sum(comparison.whitened.n_values > 0))
    row = {
        "source_id": star.epochs.source_id,
        "n_epochs": n_epochs,
        **{name: getattr(comparison, name) for name in ("chi2", "dof", "p_value")},
        "chi2_brightness": found.brightness.chi2,
        "dof_brightness": found.brightness.dof,
        "p_brightness": found.brightness.p_value,
        **{name: getattr(found, name) for name in ("chi2_teff", "dof_teff", "p_teff")},
        "p_variable": found.p_value,
    }
    incomplete = len(np.unique(comparison.whitened.n_values)) > 1
    raised = {
        EpochFlag.VARIABLE: row["p_variable"] < false_alarms,
        EpochFlag.INCOMPLETE: incomplete,
        EpochFlag.TOO_FEW: comparison.dof <= 0,
        EpochFlag.NO_FIT: star.fits is None,
        EpochFlag.NOT_CONVERGED: star.fits is not None
        and not star.fits.converged[comparison.whitened.n_values > 0].all(),
    }
    return row | {"flags": sum(int(flag) for flag, is_raised in raised.items() if is_raised)}


def _of_epochs(star: StudiedStar) -> Table:
    """Rows of the epochs of one star."""
    epochs, comparison, fits = star.epochs, star.comparison, star.fits
    unknown = np.full(len(epochs), np.nan)
    values = {
        "source_id": np.full(len(epochs), epochs.source_id),
        "transit_id": epochs.transit_id,
        "time": epochs.time,
        "chi2": comparison.epoch_chi2,
        "chi2_expected": comparison.epoch_dof,
        "chi2_fit": fits.chi2 if fits else unknown,
        "converged": fits.converged if fits else np.zeros(len(epochs), dtype=bool),
    }
    table = Table({k: Column(values[k], description=text) for k, text in _EPOCHS.items()})
    table["time"].unit = "d"
    for name in star.free:
        table[name] = _column(name, fits[name] if fits else unknown, "of the epoch")
        error = fits.error(name) if fits else unknown
        table[f"{name}_err"] = _column(
            name, error, "standard error of its difference from the mean"
        )
    return table


def _column(name: str, values: np.ndarray, what: str) -> Column:
    """A column in the units of tables."""
    if name == AMPLITUDE:
        return Column(values, description=f"amplitude, relative to that of the mean: {what}")
    kind = quantity(name)
    return Column(
        kind.factor * values, unit=kind.table_unit, description=f"{kind.description}: {what}"
    )
