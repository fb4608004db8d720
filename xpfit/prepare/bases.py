"""Bases of XP spectra, obtained through GaiaXPy: the only module that imports it.

GaiaXPy's functions are linear in the coefficients, so that unit coefficient vectors give the
matrices.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from io import StringIO

import numpy as np

from ..constants import BANDS, FLUX_UNIT_SI
from ..data.space import CoefficientSpace
from ..read import XP_BANDS

BASIS_IDS = {"bp": 56, "rp": 57}
"""Gaia DR3's identifiers of the two sets of basis functions."""

PSEUDO_WAVELENGTH = np.linspace(0.0, 60.0, 121)
"""Grid of pseudo-wavelengths u on which Gaia's internal spectra are represented."""


@dataclass(frozen=True)
class SampledDesign:
    """Design matrices of the externally calibrated spectrum, merge weights included.

    Attributes
    ----------
    wavelength : ndarray, shape (n_obs,)
        nm.
    bp, rp : ndarray, shape (n_coefficient, n_obs)
        ``flux = bp_coefficients @ bp + rp_coefficients @ rp`` in 1e-18 W m-2 nm-1: c D m of
        ZGR23's section 2.1, with D the design matrix and m the merge weights.
    """

    wavelength: np.ndarray
    bp: np.ndarray
    rp: np.ndarray


def sampled_design(wavelength: np.ndarray, n_bp: int = 55, n_rp: int = 55) -> SampledDesign:
    """Design matrices at given wavelengths, cached.

    Parameters
    ----------
    wavelength : ndarray, shape (n_obs,)
        nm, increasing, 330 to 1050.
    n_bp, n_rp : int
        Number of coefficients.

    Returns
    -------
    SampledDesign
    """
    return _sampled_design(tuple(float(w) for w in wavelength), n_bp, n_rp)


@lru_cache(maxsize=16)
def _sampled_design(wavelength: tuple[float, ...], n_bp: int, n_rp: int) -> SampledDesign:
    grid = np.array(wavelength)
    with _quiet_gaiaxpy() as gaiaxpy:
        spectra, _ = gaiaxpy.calibrate(
            _unit_spectra(n_bp, n_rp), sampling=grid, truncation=False, save_file=False
        )
    flux = np.stack(spectra["flux"].to_numpy()) / FLUX_UNIT_SI
    flux.flags.writeable = grid.flags.writeable = False
    return SampledDesign(grid, flux[:n_bp], flux[n_bp:])


@lru_cache(maxsize=16)
def coefficient_space(n_bp: int = 55, n_rp: int = 55) -> CoefficientSpace:
    """Coefficient space of Gaia's XP spectra with 2MASS and WISE, cached.

    Parameters
    ----------
    n_bp, n_rp : int
        Number of coefficients.

    Returns
    -------
    CoefficientSpace
        On the 121 pseudo-wavelengths of `PSEUDO_WAVELENGTH` in each band.
    """
    with _quiet_gaiaxpy() as gaiaxpy:
        spectra, _ = gaiaxpy.convert(
            _unit_spectra(n_bp, n_rp), sampling=PSEUDO_WAVELENGTH, truncation=False, save_file=False
        )
        wavelength, covered = [], []
        for band in XP_BANDS:
            wavelength.append(gaiaxpy.pwl_to_wl(band, PSEUDO_WAVELENGTH))
            low, high = sorted(gaiaxpy.pwl_range(band))
            covered.append((low <= PSEUDO_WAVELENGTH) & (high >= PSEUDO_WAVELENGTH))
    by_band = {
        band: np.stack(rows.sort_values("source_id")["flux"].to_numpy())
        for band, rows in spectra.groupby(spectra["xp"].str.lower())
    }
    return CoefficientSpace(
        np.concatenate([*wavelength, [band.wavelength for band in BANDS]]),
        np.concatenate([*covered, np.ones(len(BANDS), dtype=bool)]),
        by_band["bp"][:n_bp],
        by_band["rp"][n_bp:],
    )


@contextmanager
def _quiet_gaiaxpy():
    """GaiaXPy, without its side effects.

    It prints to standard output (whose stream it takes on import), switches matplotlib to LaTeX,
    and warns of its own use of other packages.
    """
    from matplotlib import rc_context

    with redirect_stdout(StringIO()), rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import gaiaxpy

        yield gaiaxpy


def _unit_spectra(n_bp: int, n_rp: int):
    """Spectra with one coefficient of one band set to one, as GaiaXPy takes them."""
    import pandas as pd

    rows = []
    for i in range(n_bp + n_rp):
        unit = np.zeros(n_bp + n_rp)
        unit[i] = 1.0
        row = {"source_id": i + 1}
        for band, coefficients in (("bp", unit[:n_bp]), ("rp", unit[n_bp:])):
            n = len(coefficients)
            row |= {
                f"{band}_basis_function_id": BASIS_IDS[band],
                f"{band}_n_parameters": n,
                f"{band}_coefficients": coefficients,
                f"{band}_coefficient_errors": np.ones(n),
                f"{band}_coefficient_correlations": np.zeros(n * (n - 1) // 2),
                f"{band}_n_relevant_bases": n,
                f"{band}_relative_shrinking": 1.0,
                f"{band}_standard_deviation": 1.0,
            }
        rows.append(row)
    return pd.DataFrame(rows)
