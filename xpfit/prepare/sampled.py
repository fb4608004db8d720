"""XP continuous spectra in sampled space: flux and covariance at some wavelengths."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from astropy.table import Table

from ..errors import InputError
from ..read import XP_BANDS
from .bases import SampledDesign, sampled_design
from .corrections import FluxCorrection


@dataclass(frozen=True)
class SampledSettings:
    """Terms that inflate the covariance of sampled spectra (ZGR23, eq. 2).

    Parameters
    ----------
    independent_error : float
        Fraction by which the flux at every wavelength may vary on its own.
    zero_point_error : float
        Fraction by which the whole spectrum may vary.
    band_error : float
        Fraction by which BP and RP may vary against each other.
    divide_by_standard_deviation : bool
        Divide the archive's coefficient errors by ``*_standard_deviation``, as ZGR23 did by
        oversight (their footnote 2). The archive's errors include that factor already: dividing
        makes errors 5-36 % too small on bright stars. Only for reproducing the published catalogue.
    """

    independent_error: float = 0.005
    zero_point_error: float = 0.005
    band_error: float = 0.001
    divide_by_standard_deviation: bool = False

    def __post_init__(self):
        for name in ("independent_error", "zero_point_error", "band_error"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} must not be negative, got {getattr(self, name)}")

    def to_dict(self) -> dict:
        """Plain values, for a file's metadata."""
        return asdict(self)


@dataclass
class SampledSpectra:
    """Sampled flux and covariance of N sources, in units of 1e-18 W m-2 nm-1.

    Attributes
    ----------
    flux : ndarray, shape (n_star, n_obs)
    gaia_covariance : ndarray, shape (n_star, n_obs, n_obs)
        From the archive's errors and correlations alone (and the correction, if any).
    covariance : ndarray, shape (n_star, n_obs, n_obs)
        With the terms of `SampledSettings`.
    mask : ndarray of bool, shape (n_star, n_obs)
        Values that cannot be used: a band is absent, or the whole source is bad.
    problem : ndarray of str, shape (n_star,)
        Why a source is bad; empty if it is not.
    """

    flux: np.ndarray
    gaia_covariance: np.ndarray
    covariance: np.ndarray
    mask: np.ndarray
    problem: np.ndarray


def coefficient_covariance(errors: np.ndarray, correlations: np.ndarray) -> np.ndarray:
    """Covariances diag(e) Corr diag(e) of one band's coefficients.

    Parameters
    ----------
    errors : ndarray, shape (n_star, n)
    correlations : ndarray, shape (n_star, n (n - 1) / 2)
        Upper triangle without the diagonal, column by column, as the archive gives it.

    Returns
    -------
    ndarray, shape (n_star, n, n)
    """
    return _correlation_matrix(correlations, errors.shape[1]) * (
        errors[:, :, None] * errors[:, None, :]
    )


def _correlation_matrix(correlations: np.ndarray, n: int) -> np.ndarray:
    """Full matrices from column-by-column upper triangles."""
    # The lower triangle row by row is the upper one column by column.
    rows, columns = np.tril_indices(n, -1)
    matrix = np.zeros((len(correlations), n, n))
    matrix[:, rows, columns] = correlations
    matrix += np.swapaxes(matrix, 1, 2)
    matrix[:, np.arange(n), np.arange(n)] = 1.0
    return matrix


def sample_continuous(
    table: Table,
    wavelength: np.ndarray,
    settings: SampledSettings | None = None,
    correction: FluxCorrection | None = None,
) -> SampledSpectra:
    """Sample XP continuous spectra.

    Parameters
    ----------
    table : astropy.table.Table
        From `xpfit.read.read_continuous`.
    wavelength : ndarray, shape (n_obs,)
        nm, increasing, 330 to 1050.
    settings : SampledSettings, optional
    correction : FluxCorrection, optional
        Applied to the flux and its covariance before the terms of `settings`.

    Returns
    -------
    SampledSpectra
        Of a source without BP or RP, the wavelengths that the other band covers alone. A source
        whose numbers cannot be right is masked whole, with its `problem`.

    Notes
    -----
    f = c_BP D_BP m_BP + c_RP D_RP m_RP; C = D^T C_c D plus the terms of ZGR23's eq. 2. With the
    merged design matrix this is the exact covariance, in the overlap of BP and RP too.
    """
    settings = settings or SampledSettings()
    sizes = [table[f"{band}_coefficients"].shape[1] for band in XP_BANDS]
    design = sampled_design(wavelength, *(n or 55 for n in sizes))
    shape = (len(table), len(design.wavelength))
    problem = np.array(table["problem"], dtype=object)
    covariance, mask = np.zeros((*shape, shape[1])), np.zeros(shape, dtype=bool)
    band_flux = {}
    for band in XP_BANDS:
        band_flux[band], band_covariance, absent = _sample_band(
            table, band, design, settings, problem
        )
        covariance += band_covariance
        mask |= absent[:, None] & getattr(design, band).any(axis=0)
    if correction:
        total = band_flux["bp"] + band_flux["rp"]
        factor = correction.factor(design.wavelength, total, table)
        band_flux = {band: factor * part for band, part in band_flux.items()}
        covariance *= factor[:, :, None] * factor[:, None, :]
    flux = band_flux["bp"] + band_flux["rp"]
    mask |= (problem != "")[:, None]
    return SampledSpectra(
        flux, covariance, _inflate(covariance, band_flux, settings), mask, problem.astype(str)
    )


def _sample_band(table, band, design: SampledDesign, settings, problem):
    """Flux and covariance of one band, zero where it is absent or bad."""
    matrix = getattr(design, band)
    coefficients, errors, correlations = (
        np.asarray(table[f"{band}_{name}"], dtype=float)
        for name in ("coefficients", "coefficient_errors", "coefficient_correlations")
    )
    absent = np.isnan(coefficients).all(axis=1)
    if coefficients.shape[1] == 0:
        coefficients = np.full((len(table), len(matrix)), np.nan)
    good = ~absent & (problem == "")
    good[good] = _check_band(band, coefficients, errors, correlations, good, problem)
    if settings.divide_by_standard_deviation:
        errors = errors / np.asarray(table[f"{band}_standard_deviation"])[:, None]
    flux = np.zeros((len(table), matrix.shape[1]))
    covariance = np.zeros((len(table), matrix.shape[1], matrix.shape[1]))
    flux[good] = coefficients[good] @ matrix
    used = matrix.any(axis=0)
    inner = coefficient_covariance(errors[good], correlations[good])
    sampled = matrix.T[used] @ inner @ matrix[:, used]
    covariance[np.ix_(good, used, used)] = 0.5 * (sampled + np.swapaxes(sampled, 1, 2))
    return flux, covariance, absent


def _check_band(band, coefficients, errors, correlations, rows, problem) -> np.ndarray:
    """Which of some rows have numbers that can be right; the others get a `problem`."""
    index = np.flatnonzero(rows)
    ok = np.ones(len(index), dtype=bool)
    finite = np.isfinite(correlations[index])
    tests = {
        "coefficients that are not finite": ~np.isfinite(coefficients[index]).all(axis=1),
        "no correlations": ~finite.any(axis=1),
        "correlations that are not finite": ~finite.all(axis=1),
        "correlations outside [-1, 1]": (np.abs(correlations[index]) > 1.0).any(axis=1),
        "errors that are not positive": ~(errors[index] > 0).all(axis=1)
        | ~np.isfinite(errors[index]).all(axis=1),
    }
    for text, bad in tests.items():
        problem[index[ok & bad]] = f"{band}: {text}"
        ok &= ~bad
    definite = _positive_definite(_correlation_matrix(correlations[index[ok]], errors.shape[1]))
    problem[index[ok][~definite]] = f"{band}: correlations that are not positive definite"
    ok[ok] = definite
    return ok


def _positive_definite(matrices: np.ndarray) -> np.ndarray:
    """Which matrices have a Cholesky factor."""
    try:
        np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        if len(matrices) == 1:
            return np.array([False])
        half = len(matrices) // 2
        return np.concatenate([_positive_definite(part) for part in np.split(matrices, [half])])
    return np.ones(len(matrices), dtype=bool)


def _inflate(covariance, band_flux, settings: SampledSettings) -> np.ndarray:
    """Covariance with the calibration terms of ZGR23's eq. 2."""
    flux = band_flux["bp"] + band_flux["rp"]
    index = np.arange(flux.shape[1])
    inflated = covariance + settings.zero_point_error**2 * flux[:, :, None] * flux[:, None, :]
    inflated[:, index, index] += (settings.independent_error * flux) ** 2
    for part in band_flux.values():
        inflated += settings.band_error**2 * part[:, :, None] * part[:, None, :]
    return inflated
