"""Attaching photometry to spectra: 2MASS and (un)WISE."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from astropy.table import Table

from ..constants import BANDS, LN_PER_MAG, Band
from ..data import InputFlag, PhotometrySettings, Spectra
from ..errors import InputError
from ..read.tables import float_column, integer_ids, match_ids, matched_values
from .magnitudes import band_flux, vega_zero_point

MAGNITUDE_COLUMNS = {
    "J": (("j_m", "j_msigcom"), ("j_mag", "j_mag_err")),
    "H": (("h_m", "h_msigcom"), ("h_mag", "h_mag_err")),
    "Ks": (("ks_m", "ks_msigcom"), ("ks_mag", "ks_mag_err")),
    "W1": (("w1mpro", "w1mpro_error"), ("w1_mag", "w1_mag_err")),
    "W2": (("w2mpro", "w2mpro_error"), ("w2_mag", "w2_mag_err")),
}
"""Columns of Vega magnitudes and errors; the Gaia archive's 2MASS and AllWISE names first."""

NANOMAGGY_COLUMNS = {
    "W1": ("w1_nanomaggies", "w1_nanomaggies_err"),
    "W2": ("w2_nanomaggies", "w2_nanomaggies_err"),
}
"""Columns of fluxes in Vega nanomaggies (magnitude 22.5), as unWISE gives them."""

NANOMAGGY_MAGNITUDE = 22.5

GOOD_2MASS_QUALITY = "ABCD"
"""Letters of 2MASS's `ph_qual` for a detection."""

TWO_MASS_BANDS = ("J", "H", "Ks")


def attach_photometry(
    spectra: Spectra, table: Table, settings: PhotometrySettings | None = None
) -> Spectra:
    """Attach 2MASS and WISE fluxes to spectra, by source id.

    Parameters
    ----------
    spectra : Spectra
        With the bands of `xpfit.constants.BANDS`; their values are replaced.
    table : astropy.table.Table
        Source ids (one of `xpfit.read.tables.ID_COLUMNS`), magnitudes (`MAGNITUDE_COLUMNS`) or
        nanomaggies (`NANOMAGGY_COLUMNS`) of any of the bands, and, optionally, `norm_dg` and
        `ph_qual`.
    settings : PhotometrySettings, optional

    Returns
    -------
    Spectra
        Missing, flagged or contaminated magnitudes have no weight; `InputFlag.MISSING_BAND` is set
        where J, H or Ks is absent.

    Raises
    ------
    InputError
        If the table has no integer ids or none of the bands, or the spectra have no such channels.
    """
    settings = settings or PhotometrySettings()
    what = "the table of photometry"
    rows, matched = match_ids(spectra.source_id, integer_ids(table, what), what)
    channels = {band.name: spectra.space.band_channel(band.wavelength) for band in BANDS}
    bands = list(channels.values())
    flux, flux_err = spectra.flux.copy(), spectra.flux_err.copy()
    flux[:, bands], flux_err[:, bands] = 0.0, np.inf
    measured = {band.name: _measure(table, band, settings) for band in BANDS}
    if not any(measured.values()):
        known = ", ".join(names[0][0] for names in MAGNITUDE_COLUMNS.values())
        raise InputError(f"{what} has none of the known columns: {known}")
    for name, values in measured.items():
        if values:
            flux[:, channels[name]] = matched_values(values[0], rows, matched, 0.0)
            flux_err[:, channels[name]] = matched_values(values[1], rows, matched, np.inf)
    return spectra.replace(
        flux=flux,
        flux_err=flux_err,
        whitener=spectra.whitener.with_independent(bands, flux_err[:, bands]),
        input_flags=_missing_band_flags(spectra.input_flags, flux_err, channels),
        preparation=replace(spectra.preparation, photometry=settings),
    )


def _measure(table: Table, band: Band, settings: PhotometrySettings):
    """Flux and error of one band for every row of a table, or None if it lacks the band."""
    measured = _from_magnitudes(table, band, settings) or _from_nanomaggies(table, band, settings)
    if measured is None:
        return None
    flux, flux_err = measured
    limit = settings.max_norm_dg_2mass if band.name in TWO_MASS_BANDS else settings.max_norm_dg_wise
    if "norm_dg" in table.colnames:
        with np.errstate(invalid="ignore"):
            crowded = float_column(table["norm_dg"]) > limit
        flux_err = np.where(crowded, np.inf, flux_err)
    if band.name in TWO_MASS_BANDS and "ph_qual" in table.colnames:
        letter = TWO_MASS_BANDS.index(band.name)
        quality = [str(q)[letter : letter + 1] for q in np.ma.filled(table["ph_qual"], "")]
        good = [q in GOOD_2MASS_QUALITY and q != "" for q in quality]
        flux_err = np.where(good, flux_err, np.inf)
    return np.where(np.isfinite(flux_err), flux, 0.0), flux_err


def _from_magnitudes(table, band, settings):
    """Flux and error from Vega magnitudes."""
    for value, error in MAGNITUDE_COLUMNS[band.name]:
        if value in table.colnames and error in table.colnames:
            magnitude_err = np.hypot(float_column(table[error]), settings.magnitude_err_floor)
            return band_flux(float_column(table[value]), magnitude_err, band)
    return None


def _from_nanomaggies(table, band, settings):
    """Flux and error from nanomaggies; a negative flux is a measurement."""
    value, error = NANOMAGGY_COLUMNS.get(band.name, ("", ""))
    if value not in table.colnames or error not in table.colnames:
        return None
    unit = vega_zero_point(band) * np.exp(-LN_PER_MAG * NANOMAGGY_MAGNITUDE)
    flux, flux_err = unit * float_column(table[value]), unit * float_column(table[error])
    good = np.isfinite(flux) & np.isfinite(flux_err) & (flux_err > 0)
    flux_err = np.hypot(flux_err, LN_PER_MAG * settings.magnitude_err_floor * flux)
    return np.where(good, flux, 0.0), np.where(good, flux_err, np.inf)


def _missing_band_flags(flags: np.ndarray, flux_err: np.ndarray, channels: dict) -> np.ndarray:
    """Input flags with `MISSING_BAND` where J, H or Ks has no weight, and `NO_DATA` removed."""
    missing = np.isinf(flux_err[:, [channels[name] for name in TWO_MASS_BANDS]]).any(axis=1)
    replaced = int(InputFlag.MISSING_BAND | InputFlag.NO_DATA)
    return (flags & ~replaced) | np.where(missing, int(InputFlag.MISSING_BAND), 0)
