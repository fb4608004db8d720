"""XP spectra in sampled space: flux and covariance at given wavelengths."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from ..constants import FLUX_UNIT_SI
from ..data.preparation import XPSettings
from ..errors import InputError
from ..read import SAMPLED_WAVELENGTH, XP_BANDS
from ..read.grid import describe
from .band import BandCoefficients, read_band, table_basis
from .bases import Basis, SampledDesign, sampled_design
from .corrections import Correction, Samples
from .covariance import DataVectors, add_calibration, calibration_covariance

SAME_WAVELENGTH = 1e-6
"""Difference (nm) up to which wavelengths are the same."""

BAND_LIMIT = 639.0
"""Wavelength (nm) at which GaiaXPy gives BP and RP the same weight."""


def sample_continuous(
    table: Table,
    wavelength: np.ndarray,
    settings: XPSettings | None = None,
    correction: Correction | None = None,
    basis: Basis | None = None,
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
    basis : Basis, optional
        Basis functions of the spectra, from `xpfit.prepare.load_basis`; by default what GaiaXPy has
        for their numbers of coefficients.

    Returns
    -------
    DataVectors
        Of a source without BP or RP, the wavelengths that the other band covers alone. A source
        with invalid numbers is masked whole, with its `problem`.

    Raises
    ------
    InputError
        If GaiaXPy does not know these numbers of coefficients, or the basis has others.

    Notes
    -----
    f = c_BP D_BP m_BP + c_RP D_RP m_RP; C = D^T C_c D plus the terms of ZGR23's eq. 2. With the
    merged design matrix this is the exact covariance, in the overlap of BP and RP too.
    """
    settings = settings or XPSettings()
    basis = table_basis(table, basis)
    design = sampled_design(wavelength, basis=basis)
    shape = (len(table), len(design.wavelength))
    problem = np.array(table["problem"], dtype=object)
    covariance, mask = np.zeros((*shape, shape[1])), np.zeros(shape, dtype=bool)
    bands, parts = [], []
    for band in XP_BANDS:
        matrix = getattr(design, band)
        data = read_band(table, band, len(matrix), settings, problem)
        bands.append(data)
        parts.append(data.coefficients @ matrix)
        used = matrix.any(axis=0)
        sampled = matrix.T[used] @ data.covariance @ matrix[:, used]
        covariance[np.ix_(data.good, used, used)] += 0.5 * (sampled + np.swapaxes(sampled, 1, 2))
        mask |= data.absent[:, None] & used

    def at(grid: np.ndarray) -> Samples:
        flux, error = _sampled(bands, sampled_design(grid, basis=basis))
        return Samples(grid, flux, error, table, settings.truncate)

    factors = correction.factors(design.wavelength, at) if correction else None
    if factors:
        parts = [factors.factor * part for part in parts]
        covariance *= factors.factor[:, :, None] * factors.factor[:, None, :]
    flux = sum(parts)
    mask |= (problem != "")[:, None]
    calibration = calibration_covariance(flux, design.wavelength, settings)
    inflated = add_calibration(covariance, calibration, parts, settings)
    return DataVectors(flux, covariance, inflated, mask, problem.astype(str), factors)


def _sampled(bands: list[BandCoefficients], design: SampledDesign) -> tuple[np.ndarray, np.ndarray]:
    """Flux of sources at the wavelengths of a design, and its error from Gaia's alone."""
    flux, variance = 0.0, np.zeros((len(bands[0].good), len(design.wavelength)))
    for data, matrix in zip(bands, (design.bp, design.rp), strict=True):
        flux = flux + data.coefficients @ matrix
        variance[data.good] += np.einsum("ij,nij->nj", matrix, data.covariance @ matrix)
    return flux, np.sqrt(np.maximum(variance, 0.0))


def take_samples(
    table: Table,
    wavelength: np.ndarray,
    settings: XPSettings | None = None,
    correction: Correction | None = None,
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
    flux, error = _columns_at(table, wavelength, "the model")
    problem = np.array(table["problem"], dtype=object)
    missing = ~np.isfinite(flux) | ~np.isfinite(error)
    impossible = (~missing & ~(error > 0)).any(axis=1) & (problem == "")
    problem[impossible] = "errors that are not positive"
    mask = missing | (problem != "")[:, None]
    flux, error = np.where(mask, 0.0, flux), np.where(mask, 1.0, error)

    def at(grid: np.ndarray) -> Samples:
        values = _columns_at(table, grid, f"the correction {correction.name}")
        return Samples(grid, *values, table)

    factors = correction.factors(wavelength, at) if correction else None
    if factors:
        flux, error = factors.factor * flux, factors.factor * error
    index = np.arange(len(wavelength))
    covariance = np.zeros((*flux.shape, len(wavelength)))
    covariance[:, index, index] = error**2
    is_bp = wavelength < BAND_LIMIT
    parts = [flux * is_bp, flux * ~is_bp]
    calibration = calibration_covariance(flux, wavelength, settings)
    calibration[:, index, index] += (settings.uncorrelated_error * flux) ** 2
    inflated = add_calibration(covariance, calibration, parts, settings)
    return DataVectors(flux, covariance, inflated, mask, problem.astype(str), factors)


def _columns_at(table: Table, wavelength: np.ndarray, who: str) -> tuple[np.ndarray, np.ndarray]:
    """Flux and errors (1e-18 W m-2 nm-1) of a table of samples at wavelengths among its own."""
    grid = np.asarray(table.meta.get("wavelength", SAMPLED_WAVELENGTH))
    columns = np.abs(grid[:, None] - wavelength).argmin(axis=0)
    absent = np.abs(grid[columns] - wavelength) > SAME_WAVELENGTH
    if absent.any():
        raise InputError(
            f"{table.meta.get('path', 'the table')}: these samples are at {describe(grid)}; those "
            f"at {', '.join(f'{x:g}' for x in wavelength[absent][:3])} ... nm, which {who} "
            "needs, are not among them. Nothing is interpolated: use XP continuous spectra, or "
            "choose wavelengths among these"
        )
    flux, error = (
        np.asarray(table[name])[:, columns] / FLUX_UNIT_SI for name in ("flux", "flux_error")
    )
    return flux, error
