"""The APOGEE-XP library -> `Spectra`."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from ..constants import AK_PER_EXTINCTION, BANDS, FLUX_UNIT_SI, WAVELENGTH
from ..data import (
    InputFlag,
    LibrarySettings,
    ObservationSpace,
    Preparation,
    SampledSpace,
    Spectra,
    id_flags,
)  # fmt: skip
from ..errors import InputError
from ..quantities import quantity
from ..read import LIBRARY_WAVELENGTH
from ..read.columns import MEANINGS
from ..read.known import name_of, possible_values
from ..read.tables import float_column
from .magnitudes import band_flux

LIBRARY_LABELS = {"teff": "teff", "feh": "fe_h", "logg": "logg", "alpha_m": "alpha_m"}
"""xpfit's label names and the library's columns."""


LIBRARY_BANDS = {"j": "J", "h": "H", "k": "Ks"}
"""The library's magnitudes and xpfit's bands."""


def library_spectra(
    table: Table, settings: LibrarySettings | None = None, space: ObservationSpace | None = None
) -> Spectra:
    """Turn rows of the library into data vectors.

    XP samples, then J, H, Ks as flux; W1 and W2, which the library lacks, carry no weight. Neither
    do samples that are not finite, or whose error is not positive; a negative flux with a good
    error is a measurement and stays.

    Parameters
    ----------
    table : astropy.table.Table
        From `xpfit.read.read_library`.
    settings : LibrarySettings, optional
        Error floors and limits.
    space : ObservationSpace, optional
        Sampled space at a subset of the library's wavelengths; by default ZGR23's 61.

    Returns
    -------
    Spectra
        With `extinction` = A(Ks) / 0.36 and the labels of `LIBRARY_LABELS`.

    Raises
    ------
    InputError
        If the space is another than that.
    """
    settings = settings or LibrarySettings()
    space = space or SampledSpace(WAVELENGTH)
    xp_flux, xp_err = _xp_flux(table, _library_samples(space), settings.xp_error_floor)
    magnitudes = [_possible(table, name, known) for name, known in LIBRARY_BANDS.items()]
    magnitudes += [np.full(len(table), np.nan)] * (len(BANDS) - len(magnitudes))
    bands = [
        band_flux(magnitude, settings.magnitude_err, band)
        for magnitude, band in zip(magnitudes, BANDS, strict=True)
    ]
    extinction, extinction_err = _extinction_estimate(table, settings)
    source_id = np.ma.filled(table["gaiaedr3_source_id"], 0).astype(np.int64)
    labels, label_err = library_labels(table)
    return Spectra(
        source_id=source_id,
        space=space,
        flux=np.column_stack([xp_flux, *[flux for flux, _ in bands]]),
        flux_err=np.column_stack([xp_err, *[error for _, error in bands]]),
        extinction=extinction,
        extinction_err=extinction_err,
        labels=labels,
        label_err=label_err,
        snr=float_column(table["snr"]),
        gaia={
            name: float_column(table[f"gaiaedr3_{name}"])
            for name in ("phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag")
        },
        input_flags=_input_flags(source_id, xp_err, [error for _, error in bands[:3]]),
        preparation=Preparation(settings),
    )


def _library_samples(space: ObservationSpace) -> np.ndarray:
    """Which of the library's samples a space takes, as indices."""
    if not isinstance(space, SampledSpace):
        raise InputError(
            "the library holds sampled spectra, without coefficients; use a model in sampled space"
        )
    wanted = space.wavelength[~space.is_band]
    known = np.isin(wanted, LIBRARY_WAVELENGTH)
    if not known.all():
        raise InputError(
            f"the library has no flux at {wanted[~known][0]:g} nm; its samples are at "
            f"{LIBRARY_WAVELENGTH[0]:g}, {LIBRARY_WAVELENGTH[1]:g}, ... "
            f"{LIBRARY_WAVELENGTH[-1]:g} nm"
        )
    return np.searchsorted(LIBRARY_WAVELENGTH, wanted)


def _xp_flux(
    table: Table, columns: np.ndarray, error_floor: float
) -> tuple[np.ndarray, np.ndarray]:
    """Flux and error of samples, infinite error where a sample is unusable."""
    scale = float_column(table["medflux"])[:, None] / FLUX_UNIT_SI
    flux = float_column(table["flux"])[:, columns] * scale
    error = float_column(table["flux_error"])[:, columns] * scale
    good = np.isfinite(flux) & np.isfinite(error) & (error > 0)
    with np.errstate(invalid="ignore"):
        error = np.hypot(error, error_floor * flux)
    return np.where(good, flux, 0.0), np.where(good, error, np.inf)


def _extinction_estimate(table: Table, settings: LibrarySettings) -> tuple[np.ndarray, np.ndarray]:
    """E = A(Ks) / 0.36 and its error; unknown where A(Ks) is missing or out of limits."""
    extinction = float_column(table["ak_targ"]) / AK_PER_EXTINCTION
    low, high = settings.extinction_limits
    known = (extinction >= low) & (extinction <= high)
    error = np.hypot(settings.extinction_err, settings.extinction_fractional_err * extinction)
    return np.where(known, extinction, np.nan), np.where(known, error, np.inf)


def library_labels(table: Table) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Labels of rows of the library and their errors.

    Parameters
    ----------
    table : astropy.table.Table
        From `xpfit.read.read_library`.

    Returns
    -------
    labels, label_err : dict of str to ndarray of shape (n_star,)
        By xpfit's names, temperatures in kK; NaN where unknown.
    """
    return _labels(table), _labels(table, "_err")


def _labels(table: Table, suffix: str = "") -> dict[str, np.ndarray]:
    """Labels, or with suffix ``_err`` their errors, by xpfit's names; temperatures in kK."""
    return {
        name: _possible(table, column + suffix, name + suffix) / quantity(name).factor
        for name, column in LIBRARY_LABELS.items()
    }


def _possible(table: Table, column: str, known_as: str) -> np.ndarray:
    """Possible values of a column of the library, NaN elsewhere."""
    where = f"{name_of(table, 'the library')}: column {column}"
    return possible_values(table[column], MEANINGS[known_as], where)[0]


def _input_flags(source_id: np.ndarray, xp_err: np.ndarray, band_errs: list) -> np.ndarray:
    """Sum of `InputFlag` values per star."""
    flags = id_flags(source_id)
    flags[np.isinf(xp_err).any(axis=1)] |= int(InputFlag.MASKED_SAMPLES)
    flags[np.isinf(np.column_stack(band_errs)).any(axis=1)] |= int(InputFlag.MISSING_BAND)
    return flags
