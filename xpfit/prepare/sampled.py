"""XP spectra in sampled space: flux and covariance at given wavelengths."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from ..constants import FLUX_UNIT_SI
from ..data.preparation import XPSettings
from ..errors import InputError
from ..read import SAMPLED_WAVELENGTH, XP_BANDS
from ..read.grid import describe
from .band import band_sizes, read_band
from .bases import sampled_design
from .corrections import FluxCorrection
from .covariance import DataVectors, add_calibration, calibration_covariance

SAME_WAVELENGTH = 1e-6
"""Difference (nm) up to which wavelengths are the same."""

BAND_LIMIT = 639.0
"""Wavelength (nm) at which GaiaXPy gives BP and RP the same weight."""


def sample_continuous(
    table: Table,
    wavelength: np.ndarray,
    settings: XPSettings | None = None,
    correction: FluxCorrection | None = None,
) -> DataVectors:
    """Sample XP continuous spectra.

    Parameters
    ----------
    table : astropy.table.Table
        From `xpfit.read.read_continuous`.
    wavelength : ndarray, shape (n_obs,)
        nm, increasing, 330 to 1050.
    settings : XPSettings, optional
    correction : FluxCorrection, optional
        Applied to the flux and its covariance before the terms of `settings`.

    Returns
    -------
    DataVectors
        Of a source without BP or RP, the wavelengths that the other band covers alone. A source
        with invalid numbers is masked whole, with its `problem`.

    Notes
    -----
    f = c_BP D_BP m_BP + c_RP D_RP m_RP; C = D^T C_c D plus the terms of ZGR23's eq. 2. With the
    merged design matrix this is the exact covariance, in the overlap of BP and RP too.
    """
    settings = settings or XPSettings()
    design = sampled_design(wavelength, *(n or 55 for n in band_sizes(table)))
    shape = (len(table), len(design.wavelength))
    problem = np.array(table["problem"], dtype=object)
    covariance, mask = np.zeros((*shape, shape[1])), np.zeros(shape, dtype=bool)
    parts = []
    for band in XP_BANDS:
        matrix = getattr(design, band)
        data = read_band(table, band, len(matrix), settings, problem)
        parts.append(data.coefficients @ matrix)
        used = matrix.any(axis=0)
        sampled = matrix.T[used] @ data.covariance @ matrix[:, used]
        covariance[np.ix_(data.good, used, used)] += 0.5 * (sampled + np.swapaxes(sampled, 1, 2))
        mask |= data.absent[:, None] & used
    if correction:
        factor = correction.factor(design.wavelength, sum(parts), table)
        parts = [factor * part for part in parts]
        covariance *= factor[:, :, None] * factor[:, None, :]
    flux = sum(parts)
    mask |= (problem != "")[:, None]
    calibration = calibration_covariance(flux, design.wavelength, settings)
    inflated = add_calibration(covariance, calibration, parts, settings)
    return DataVectors(flux, covariance, inflated, mask, problem.astype(str))


def take_samples(
    table: Table,
    wavelength: np.ndarray,
    settings: XPSettings | None = None,
    correction: FluxCorrection | None = None,
) -> DataVectors:
    """Take XP sampled spectra as data vectors.

    Parameters
    ----------
    table : astropy.table.Table
        From `xpfit.read.read_sampled`.
    wavelength : ndarray, shape (n_obs,)
        nm; a subset of the samples'.
    settings : XPSettings, optional
    correction : FluxCorrection, optional
        Applied to flux and errors before the terms of `settings`.

    Returns
    -------
    DataVectors
        Samples that are missing are masked; a source with invalid numbers is masked whole, with
        its `problem`.

    Raises
    ------
    InputError
        If a wavelength is not among them.

    Notes
    -----
    The archive gives no correlations between the samples; `XPSettings.uncorrelated_error` makes up
    for them. BP and RP are separated at `BAND_LIMIT`.
    """
    settings = settings or XPSettings()
    grid = np.asarray(table.meta.get("wavelength", SAMPLED_WAVELENGTH))
    columns = np.abs(grid[:, None] - wavelength).argmin(axis=0)
    absent = np.abs(grid[columns] - wavelength) > SAME_WAVELENGTH
    if absent.any():
        raise InputError(
            f"{table.meta.get('path', 'the table')}: these samples are at {describe(grid)}; those "
            f"at {', '.join(f'{x:g}' for x in wavelength[absent][:3])} ... nm, which the model "
            "needs, are not among them. Nothing is interpolated: use XP continuous spectra, or "
            "choose wavelengths among these"
        )
    flux, error = (
        np.asarray(table[name])[:, columns] / FLUX_UNIT_SI for name in ("flux", "flux_error")
    )
    problem = np.array(table["problem"], dtype=object)
    missing = ~np.isfinite(flux) | ~np.isfinite(error)
    impossible = (~missing & ~(error > 0)).any(axis=1) & (problem == "")
    problem[impossible] = "errors that are not positive"
    mask = missing | (problem != "")[:, None]
    flux, error = np.where(mask, 0.0, flux), np.where(mask, 1.0, error)
    if correction:
        factor = correction.factor(wavelength, flux, table)
        flux, error = factor * flux, np.abs(factor) * error
    index = np.arange(len(wavelength))
    covariance = np.zeros((*flux.shape, len(wavelength)))
    covariance[:, index, index] = error**2
    is_bp = wavelength < BAND_LIMIT
    parts = [flux * is_bp, flux * ~is_bp]
    calibration = calibration_covariance(flux, wavelength, settings)
    calibration[:, index, index] += (settings.uncorrelated_error * flux) ** 2
    inflated = add_calibration(covariance, calibration, parts, settings)
    return DataVectors(flux, covariance, inflated, mask, problem.astype(str))
