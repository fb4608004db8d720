"""Bases of XP spectra, obtained through GaiaXPy: the one module that talks to it.

GaiaXPy's functions are linear in the coefficients, so that unit coefficient vectors give the
matrices.
"""

from __future__ import annotations

from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from io import StringIO

import numpy as np

from ..constants import FLUX_UNIT_SI

BASIS_IDS = {"bp": 56, "rp": 57}
"""Gaia DR3's identifiers of the two sets of basis functions."""


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
    """Design matrices at some wavelengths; remembered between calls.

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
    from matplotlib import rc_context

    # GaiaXPy reports on standard output, which belongs to our caller, and takes hold of the stream
    # when it is imported; it also switches all of matplotlib to LaTeX.
    with redirect_stdout(StringIO()), rc_context():
        from gaiaxpy import calibrate

        spectra, _ = calibrate(
            _unit_spectra(n_bp, n_rp), sampling=grid, truncation=False, save_file=False
        )
    flux = np.stack(spectra["flux"].to_numpy()) / FLUX_UNIT_SI
    flux.flags.writeable = grid.flags.writeable = False
    return SampledDesign(grid, flux[:n_bp], flux[n_bp:])


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
