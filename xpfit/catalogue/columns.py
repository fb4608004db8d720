"""Fit results -> the table that people read."""

from __future__ import annotations

from collections.abc import Sequence

import astropy.units as u
import numpy as np
from astropy.table import MaskedColumn, Table, vstack

from .._version import __version__
from ..constants import FLUX_UNIT_SI
from ..fit import FitResult
from ..model import XPModel
from ..prepare import KELVIN_PER_UNIT
from ..prepare.sources import id_flags
from ..quality import FitFlag, fit_flags, quality_flags
from ..space import CoefficientSpace
from ..spectra import InputFlag, Spectra

PARAMETER_UNITS = {
    "teff": u.K,
    "extinction": u.mag,
    "parallax": u.mas,
}
"""Units of parameters; those in dex have none here, because FITS knows no dex."""

DESCRIPTIONS = {
    "teff": "effective temperature",
    "feh": "metallicity [Fe/H] in dex",
    "logg": "surface gravity log g in dex (cm s-2)",
    "alpha_m": "alpha enhancement [alpha/M] in dex",
    "extinction": "amount of dust E, close to E(B-V)",
    "parallax": "parallax; masked if the model knows no luminosities",
    "xi": "place of the extinction curve among all, in units of their spread",
}

REFERENCE_PREFIX = "ref_"
"""Reference labels that came with the spectra follow under their names with this prefix."""


def result_table(model: XPModel, spectra: Spectra, result: FitResult) -> Table:
    """Catalogue of fitted stars.

    Parameters
    ----------
    model : XPModel
    spectra : Spectra
        What was fitted.
    result : FitResult

    Returns
    -------
    astropy.table.Table
        One row per star, with units and descriptions: parameters and errors (`teff` in K),
        `amplitude` if the model is not absolute, `chi2`, `ln_prior`, `n_obs`, `status`,
        `n_iterations`, `n_restarts`, `gradient_norm`, `min_hessian_eigenvalue`, `second_mode` if it
        was looked for, `quality_flags`, `fit_flags`, the upper triangles of covariance and inverse
        covariance, and reference labels if there were any.
        Parameters of stars that were not fitted are masked.
    """
    table = Table(meta=_metadata(model))
    table["source_id"] = MaskedColumn(
        result.source_id, mask=result.source_id <= 0, description="Gaia source id"
    )
    for i, name in enumerate(result.parameter_names):
        mask = ~np.isfinite(result.parameters[:, i]) | (name == "parallax" and not model.absolute)
        _add_measurement(table, name, result.parameters[:, i], result.errors[:, i], mask)
    if "xi" in result.parameter_names:
        r_v = model.r_v(result["xi"])
        table["r_v"] = MaskedColumn(
            r_v, mask=~np.isfinite(r_v), description="R(V) of the CCM89 curve closest to that at xi"
        )
    if not model.absolute:
        _add_amplitude(table, model, result)
    _add_diagnostics(table, model, spectra, result)
    _add_triangles(table, result)
    _add_reference(table, spectra)
    return table


def join_tables(tables: Sequence[Table]) -> Table:
    """One catalogue from those of several parts of a sample.

    Parameters
    ----------
    tables : sequence of astropy.table.Table
        From `result_table`, with the same model.

    Returns
    -------
    astropy.table.Table
        Rows in order; sources that stand in several parts are flagged.
    """
    table = vstack(list(tables), metadata_conflicts="silent")
    ids = np.ma.filled(table["source_id"], 0)
    repeated = (id_flags(ids) & InputFlag.DUPLICATE_ID) != 0
    table["fit_flags"][repeated] |= int(FitFlag.DUPLICATE_ID)
    return table


def _metadata(model: XPModel) -> dict:
    """Facts about the fit, under names that FITS accepts."""
    return {
        "CREATOR": f"xpfit {__version__}",
        "ABSOLUTE": model.absolute,
        "LABELS": ",".join(model.label_names),
        "NTRAINED": len(model.source_ids),
    }


def _add_measurement(table, name, value, error, mask, prefix="", what="") -> None:
    """Add a parameter and its error, in the units that people read."""
    factor = KELVIN_PER_UNIT if name == "teff" else 1.0
    for suffix, values, text in (("", value, ""), ("_err", error, "standard error of ")):
        table[f"{prefix}{name}{suffix}"] = MaskedColumn(
            values * factor,
            mask=mask | ~np.isfinite(values),
            unit=PARAMETER_UNITS.get(name),
            description=f"{text}{what}{DESCRIPTIONS[name]}",
        )


def _add_amplitude(table: Table, model: XPModel, result: FitResult) -> None:
    """Add what takes the parallax's place in a model that knows shapes only."""
    amplitude = result["parallax"] ** 2
    if model.space.name == CoefficientSpace.name:
        factor, unit, what = 1.0, u.electron / u.s, "internal spectrum"
    else:
        factor, unit, what = FLUX_UNIT_SI, u.W / u.m**2 / u.nm, "flux"
    table["amplitude"] = MaskedColumn(
        amplitude * factor,
        mask=~np.isfinite(amplitude),
        unit=unit,
        description=f"geometric mean of the dust-free {what} at 592-782 nm",
    )


def _add_diagnostics(table, model, spectra, result) -> None:
    """Add goodness of fit, status and flags."""
    for name, text in (
        ("chi2", "chi2 of the flux at the best fit"),
        ("ln_prior", "ln of the prior density of stellar type (kK, dex) at the best fit"),
        ("gradient_norm", "length of the loss's gradient at the best fit, standardised"),
        ("min_hessian_eigenvalue", "smallest curvature of the loss at the best fit, standardised"),
        ("second_mode", "how much lower ln posterior is at the second best mode"),
    ):
        values = getattr(result, name)
        if name != "second_mode" or np.isfinite(values).any():
            table[name] = MaskedColumn(values, mask=~np.isfinite(values), description=text)
    for name, values, text in (
        ("n_obs", result.n_obs.astype(np.int16), "number of flux values used"),
        ("status", result.status, "0 converged, 1 not converged, 2 not fitted"),
        ("n_iterations", result.n_iterations, "steps of the optimiser over all starts"),
        ("n_restarts", result.n_restarts, "further starts of stars that had not converged"),
        (
            "quality_flags",
            quality_flags(model, spectra, result),
            "8 chi2/dof > 2, 16 low prior, 32 parallax off by 10 sigma",
        ),
        (
            "fit_flags",
            fit_flags(model, spectra, result),
            "1 not converged, 2 out of range, 4 bad input, 8 band missing, 32 samples missing, "
            "64 no id, 128 repeated id, 256 second mode",
        ),
    ):
        table[name] = MaskedColumn(values, description=text)


def _add_triangles(table: Table, result: FitResult) -> None:
    """Add upper triangles of covariance and inverse covariance, in the model's units."""
    rows, columns = np.triu_indices(len(result.parameter_names))
    order = ", ".join(result.parameter_names)
    last = "" if result.absolute else "; in place of the parallax, the square root of the amplitude"
    for name, matrix, text in (
        ("stellar_params_cov_triu", result.covariance, "covariance"),
        ("stellar_params_icov_triu", result.inverse_covariance, "inverse covariance"),
    ):
        values = matrix[:, rows, columns]
        table[name] = MaskedColumn(
            values,
            mask=~np.isfinite(values),
            description=f"upper triangle of the {text} of ({order}) in kK, dex, mag, mas{last}",
        )


def _add_reference(table: Table, spectra: Spectra) -> None:
    """Add the labels that came with the spectra."""
    for name, values in spectra.labels.items():
        if np.isfinite(values).any():
            mask = ~np.isfinite(values)
            _add_measurement(
                table, name, values, spectra.label_err[name], mask, REFERENCE_PREFIX, "reference "
            )
    for name, values, text in (
        ("snr", spectra.snr, "signal-to-noise ratio of the reference spectrum"),
        ("extinction", spectra.extinction, "reference estimate of E"),
    ):
        if np.isfinite(values).any():
            table[REFERENCE_PREFIX + name] = MaskedColumn(
                values, mask=~np.isfinite(values), description=text
            )
