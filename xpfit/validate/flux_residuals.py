"""Flux residuals of fitted stars, and their means over the sky (ZGR23, figs. 9, 25 and 26)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from astropy.table import Table, vstack

from ..constants import BANDS
from ..data import SampledSpace, Spectra
from ..errors import InputError
from ..fit import FitResult
from ..fit.distance import tension_of_fits
from ..healpix import position_of_id
from ..model import XPModel
from ..quantities import quantity
from .sky import COARSER, MAX_CHI2_PER_DOF, MIN_STARS, NSIDE, SkyMeans, cells_of

SHOWN = (392.0, 592.0, 792.0, 992.0, "H", "W1")
"""Wavelengths (nm) and bands of ZGR23's fig. 9."""

MAPPED = (402.0, 652.0, "J", "W1")
"""Wavelengths and bands of ZGR23's figs. 25 and 26."""

BAND_NAMES = {band.wavelength: band.name for band in BANDS}

MAX_PULL = 10.0
"""Residuals beyond are left out of maps, and stars whose parallax is further off (fig. 25)."""


@dataclass
class FluxResiduals:
    """(f_pred - f_obs) / sigma of many stars, at a few wavelengths.

    Attributes
    ----------
    names : tuple of str
        Of the wavelengths and bands.
    pulls : ndarray, shape (n_star, n_channel)
        In units of the measurement's error alone; NaN where nothing was measured.
    labels : dict of str to ndarray
        Reference labels where the spectra came with any, else the fitted ones; and extinction.
        Teff in K.
    good : ndarray of bool, shape (n_star,)
        Whether the star counts in maps: chi2 / dof <= 5, in the prior, parallax within 10 sigma.
    positions : astropy.table.Table
        `ra` and `dec`.
    """

    names: tuple[str, ...]
    pulls: np.ndarray
    labels: dict[str, np.ndarray]
    good: np.ndarray
    positions: Table

    @staticmethod
    def concatenate(parts: Iterable[FluxResiduals]) -> FluxResiduals:
        """Join parts of one sample."""
        parts = list(parts)
        labels = {name: np.concatenate([p.labels[name] for p in parts]) for name in parts[0].labels}
        pulls, good = (np.concatenate([getattr(p, n) for p in parts]) for n in ("pulls", "good"))
        return FluxResiduals(
            parts[0].names, pulls, labels, good, vstack([p.positions for p in parts])
        )


def flux_residuals(
    model: XPModel,
    spectra: Spectra,
    result: FitResult,
    channels: Iterable[float | str] = (*SHOWN, *MAPPED),
) -> FluxResiduals:
    """Flux residuals of fitted stars at a few wavelengths and in a few bands.

    Parameters
    ----------
    model : XPModel
        In sampled space.
    spectra : Spectra
    result : FitResult
        Fit of `spectra`.
    channels : iterable of float or str
        Wavelengths in nm, for which the nearest is taken, and names of bands. Those that the
        model was not trained on, and repetitions, are left out.

    Returns
    -------
    FluxResiduals

    Raises
    ------
    InputError
        If the model is in coefficient space.
    """
    if not isinstance(model.space, SampledSpace):
        raise InputError("flux residuals are by wavelength; the model works on coefficients")
    index = _channels(model, channels)
    error = spectra.flux_err[:, index]
    with np.errstate(invalid="ignore"):
        predicted = model.forward.flux(result.theta)[:, index]
        pulls = np.where(np.isfinite(error), (predicted - spectra.flux[:, index]) / error, np.nan)
    good = good_stars(model, spectra, result)
    names = tuple(
        BAND_NAMES[wavelength] if is_band else f"{wavelength:.0f} nm"
        for wavelength, is_band in zip(
            model.wavelength[index], model.space.is_band[index], strict=True
        )
    )
    return FluxResiduals(names, pulls, _labels(model, spectra, result), good, positions(spectra))


def _channels(model: XPModel, wanted: Iterable[float | str]) -> list[int]:
    """Trained channels nearest to wavelengths, and those of bands, if there are any; each once."""
    known = np.flatnonzero(model.trained_channels)
    is_band, wavelength = model.space.is_band[known], model.wavelength[known]
    bands = {
        BAND_NAMES[at]: int(i) for i, at in zip(known[is_band], wavelength[is_band], strict=True)
    }
    known, wavelength = known[~is_band], wavelength[~is_band]
    found = (
        bands.get(channel) if isinstance(channel, str)
        else int(known[np.argmin(np.abs(wavelength - channel))])
        for channel in wanted
    )  # fmt: skip
    return list(dict.fromkeys(i for i in found if i is not None))


def _labels(model: XPModel, spectra: Spectra, result: FitResult) -> dict[str, np.ndarray]:
    """What residuals are shown against."""
    labels = {}
    for name in (*model.label_names, "extinction"):
        known = spectra.extinction if name == "extinction" else (spectra.labels or {}).get(name)
        has_values = known is not None and np.isfinite(known).any()
        labels[name] = quantity(name).factor * (known if has_values else result[name])
    return labels


def good_stars(model: XPModel, spectra: Spectra, result: FitResult) -> np.ndarray:
    """Stars whose residuals say something of the model.

    Parameters
    ----------
    model : XPModel
    spectra : Spectra
    result : FitResult
        Fit of `spectra`.

    Returns
    -------
    ndarray of bool, shape (n_star,)
        chi2 / dof <= 5, in the prior, parallax within 10 sigma (ZGR23, fig. 25).
    """
    with np.errstate(invalid="ignore"):
        good = result.chi2 <= MAX_CHI2_PER_DOF * result.dof
        good &= result.ln_prior >= model.ln_prior_threshold
        return good & ~(np.abs(tension_of_fits(model, spectra, result)) > MAX_PULL)


def positions(spectra: Spectra) -> Table:
    """Positions `ra` and `dec` of the stars, from their ids where the spectra came without."""
    table = Table(position_of_id(spectra.source_id), names=("ra", "dec"))
    for name in table.colnames:
        measured = spectra.gaia.get(name, np.full(len(spectra), np.nan))
        table[name] = np.where(np.isfinite(measured), measured, table[name])
    return table


def flux_residual_maps(
    residuals: FluxResiduals,
    *,
    nside: int = NSIDE,
    min_stars: int = MIN_STARS,
    coarser: int = COARSER,
) -> tuple[SkyMeans, dict[str, np.ndarray]]:
    """Mean normalised flux residuals over the sky (ZGR23, figs. 25 and 26).

    Parameters
    ----------
    residuals : FluxResiduals
    nside, min_stars, coarser : int
        See `xpfit.validate.sky.SkyMeans`.

    Returns
    -------
    means : SkyMeans
        Whose cells the maps are in.
    maps : dict of str to ndarray, shape (n_cell,)
        By channel.
    """
    maps = {}
    for name, pulls in zip(residuals.names, residuals.pulls.T, strict=True):
        means = SkyMeans(nside)
        cells = cells_of(residuals.positions, means.healpix)
        rows = residuals.good & (np.abs(pulls) <= MAX_PULL) & (cells >= 0)
        means.add(cells[rows], pulls[rows])
        maps[name] = means.mean(min_stars, coarser)
    return means, maps
