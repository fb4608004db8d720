"""Features of the confidence classifiers (ZGR23, appendix B)."""

from __future__ import annotations

import numpy as np

from ..data import Spectra
from ..fit import FitResult
from ..model import XPModel
from ..releases import EXCESS_FACTOR

FLOOR = 1e-7
"""Lower limit of the arguments of logarithms (ZGR23, appendix B)."""

STELLAR_LABELS = ("teff", "logg", "feh")
"""Labels whose estimates and errors are features, in the paper's order."""


def _ln(values: np.ndarray) -> np.ndarray:
    """ln max(x, 1e-7); NaN stays."""
    return np.log(np.maximum(values, FLOOR))


GAIA_FEATURES = {
    "asinh_g_snr": (np.arcsinh, "phot_g_mean_flux_over_error"),
    "asinh_bp_snr": (np.arcsinh, "phot_bp_mean_flux_over_error"),
    "asinh_rp_snr": (np.arcsinh, "phot_rp_mean_flux_over_error"),
    f"ln_{EXCESS_FACTOR}": (_ln, EXCESS_FACTOR),
    "phot_g_mean_mag": (np.asarray, "phot_g_mean_mag"),
    "ln_ruwe": (_ln, "ruwe"),
    "fidelity_v2": (np.asarray, "fidelity_v2"),
    "norm_dg": (np.asarray, "norm_dg"),
    "ln_bp_chi_squared": (_ln, "bp_chi_squared"),
    "ln_rp_chi_squared": (_ln, "rp_chi_squared"),
}
"""Features that are functions of a column of Gaia's tables."""

OPTIONAL = {
    "parallax": ("ln_dplx2", "asinh_plx_snr"),
    **{column: (name,) for name, (_, column) in GAIA_FEATURES.items()},
}
"""Features that may be unknown of a star, by what they are made of."""

FITTED = {
    "chi2": ("ln_rchi2_opt",),
    "prior": ("ln_prior",),
    "labels": tuple(f"{name}_est" for name in STELLAR_LABELS),
    "errors": tuple(f"{name}_est_err" for name in STELLAR_LABELS),
}
"""Features that every fit gives, as do the residuals."""

FEATURES = (
    "ln_rchi2_opt",
    "ln_dplx2",
    "ln_prior",
    *(f"{name}_est" for name in STELLAR_LABELS),
    *(f"{name}_est_err" for name in STELLAR_LABELS),
    "asinh_plx_snr",
    *GAIA_FEATURES,
)
"""Names in the paper's order; the residuals follow."""


def confidence_features(
    model: XPModel, spectra: Spectra, result: FitResult
) -> dict[str, np.ndarray]:
    """Features of fitted stars, by the names of ZGR23's appendix B.

    Parameters
    ----------
    model : XPModel
    spectra : Spectra
        That were fitted, with the columns of Gaia's tables.
    result : FitResult

    Returns
    -------
    dict of str to ndarray, shape (n_star,)
        NaN where unknown: a missing measurement, or a table that was not given. The last features,
        `asinh_residual_K`, are asinh((f_pred - f_obs) / sigma_f) of the K-th XP value. Teff is in
        kK.
    """
    n_star, gaia = len(spectra), spectra.gaia
    unknown = np.full(n_star, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        pull = np.abs(spectra.parallax - result["parallax"]) / spectra.parallax_err
        known = np.isfinite(spectra.parallax_err) & model.absolute
        features = {
            "ln_rchi2_opt": _ln(result.chi2 / np.maximum(result.dof, 1)),
            "ln_dplx2": np.where(known, _ln(pull), np.nan),
            "ln_prior": result.ln_prior,
        }
        for suffix, value in (("est", result.__getitem__), ("est_err", result.error)):
            features |= {f"{name}_{suffix}": value(name) for name in STELLAR_LABELS}
        snr = np.arcsinh(spectra.parallax / spectra.parallax_err)
        features["asinh_plx_snr"] = np.where(known, snr, np.nan)
        for name, (function, column) in GAIA_FEATURES.items():
            features[name] = function(gaia.get(column, unknown))
        residuals = np.arcsinh(_normalised_residuals(model, spectra, result))
    features = {name: features[name] for name in FEATURES}
    return features | {f"asinh_residual_{k}": column for k, column in enumerate(residuals.T)}


def _normalised_residuals(model: XPModel, spectra: Spectra, result: FitResult) -> np.ndarray:
    """(f_pred - f_obs) / sigma_f of the XP values, (n_star, n_xp), NaN where there is no weight."""
    space = model.space
    n_xp = space.n_obs - space.n_bands
    residuals = np.full((len(spectra), n_xp), np.nan)
    fitted = np.flatnonzero(np.isfinite(result.parameters).all(axis=1))
    if len(fitted):
        predicted = model.forward.flux(result.theta[fitted])
        offset = (predicted - spectra.flux[fitted]) / spectra.flux_err[fitted]
        used = np.isfinite(spectra.flux_err[fitted]) & model.trained_channels
        residuals[fitted] = np.where(used, offset, np.nan)[:, :n_xp]
    return residuals
