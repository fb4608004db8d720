"""Fit results -> table for users: the columns of ZGR23's table 2, and further ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import astropy.units as u
import numpy as np
from astropy.table import Column, Table, vstack

from .._version import __version__
from ..constants import FLUX_UNIT_SI
from ..data import CoefficientSpace, FitFlag, InputFlag, Spectra, id_flags
from ..fit import FitResult
from ..healpix import position_of_id
from ..model import XPModel
from ..model.gauge import amplitude_channels
from ..prepare.corrections import CAUTION
from ..quality import Confidence, confidence_for, fit_flags, quality_flags
from ..quantities import BASIC_LABELS, STELLAR_PARAMETERS, quantity
from ..releases import RELEASES, id_column_of
from .describe import Description, describe, describe_label
from .distance_columns import distance_columns

DEFAULT = "default"

VALIDATION_KEY = "HELDOUT"
"""Of the metadata: the fraction of all stars that the model was not trained on (see
`xpfit.data.split`), if any was held out."""

REFERENCE_PREFIX = "ref_"
"""Prefix of the columns of reference labels that came with the spectra."""


def result_table(
    model: XPModel,
    spectra: Spectra,
    result: FitResult,
    confidence: Confidence | str | None = DEFAULT,
    *,
    reference: bool = True,
    provenance: Mapping[str, str] | None = None,
    distance_prior: str = "none",
) -> Table:
    """Catalogue of fitted stars.

    Parameters
    ----------
    model : XPModel
    spectra : Spectra
        What was fitted.
    result : FitResult
    confidence : Confidence, "default" or None
        Classifiers for the model's fits. The default are those that come with xpfit's own model;
        with other models, or None, confidence is unknown.
    reference : bool
        Add the reference labels that came with the spectra, if any did.
    provenance : mapping of str to str, optional
        Further entries of the table's metadata, such as settings.
    distance_prior : str
        On the distance: ``"none"`` (the posterior of the fit as it is) or ``"uniform"`` (stars of
        uniform density in space). See `xpfit.fit.distance`.

    Returns
    -------
    astropy.table.Table
        One row per star. First the columns of ZGR23's table 2 in their order, then each parameter
        by its name with its error (`teff` in K), then distance and luminosity, diagnostics of the
        fit, observed quantities, and reference labels. Unknown floating-point numbers are NaN, as
        are all parameters of stars that were not fitted.

    Raises
    ------
    InputError
        If there is no such prior on distance.

    Notes
    -----
    Of a model with other parameters than the five, `stellar_params_*` hold the marginal
    distribution of the five, and `all_params_*_triu` the whole matrices.
    """
    if isinstance(confidence, str):
        confidence = confidence_for(model)
    metadata = {"DISTPRI": distance_prior, "RELEASE": spectra.release, **(provenance or {})}
    table = Table(meta=_metadata(model, confidence, metadata))
    probability, unlike = np.full((len(spectra), len(BASIC_LABELS)), np.nan), None
    if confidence is not None:
        probability, unlike = confidence.of_fit(model, spectra, result)
    five = _marginal(model, result)
    ra, dec, approximate = _positions(spectra)
    add_column(table, RELEASES[spectra.release].id_column, result.source_id)
    add_column(table, "ra", ra)
    add_column(table, "dec", dec)
    add_column(table, "stellar_params_est", five["est"])
    add_column(table, "stellar_params_err", five["err"])
    add_column(table, "chi2_opt", result.chi2)
    add_column(table, "ln_prior", result.ln_prior)
    for label, values in zip(BASIC_LABELS, probability.T, strict=True):
        add_column(table, f"{label}_confidence", values)
    add_column(table, "quality_flags", quality_flags(model, spectra, result, probability))
    add_column(table, "stellar_params_icov_triu", five["icov"])
    add_column(table, "stellar_params_cov_triu", five["cov"])
    _add_parameters(table, model, result)
    for name, values in distance_columns(model, spectra, result, distance_prior).items():
        add_column(table, name, values)
    flags = fit_flags(model, spectra, result, unlike)
    flags[approximate] |= int(FitFlag.APPROXIMATE_POSITION)
    add_column(table, "fit_flags", flags)
    _add_diagnostics(table, result)
    _add_observed(table, spectra)
    if reference and spectra.labels:
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
        Rows in order; sources that are in more than one row are flagged.
    """
    table = vstack(list(tables), metadata_conflicts="silent")
    table["fit_flags"] |= duplicate_flags(np.asarray(table[id_column_of(table.colnames)]))
    return table


def duplicate_flags(source_id: np.ndarray) -> np.ndarray:
    """Fit flags of sources that are in more than one row, shape (n_row,)."""
    repeated = (id_flags(source_id) & InputFlag.DUPLICATE_ID) != 0
    return np.where(repeated, int(FitFlag.DUPLICATE_ID), 0).astype(np.int32)


def _metadata(model: XPModel, confidence: Confidence | None, provenance: Mapping[str, str]) -> dict:
    """Facts about the fit, under names that FITS accepts."""
    held_out = model.training.get("held_out")
    return {
        "CREATOR": f"xpfit {__version__}",
        "MODELID": model.fingerprint,
        "CONFID": confidence.fingerprint if confidence else "none",
        "ABSOLUTE": model.absolute,
        "LABELS": ",".join(model.label_names),
        "NTRAINED": len(model.source_ids),
        "LNPMIN": model.ln_prior_threshold,
        "PREPARED": json.dumps(model.preparation.to_dict(), sort_keys=True),
        **({VALIDATION_KEY: held_out} if held_out else {}),
        **provenance,
    }


def add_column(table: Table, name: str, values: np.ndarray, description: Description | None = None):
    """Add a column with its unit, UCD and description."""
    known = description or describe(name)
    table[name] = Column(values, unit=known.unit, description=known.text, meta={"ucd": known.ucd})


def _positions(spectra: Spectra) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ra and dec, and where they are only those of the HEALPix cell in the source id."""
    unknown = np.full(len(spectra), np.nan)
    ra, dec = (spectra.gaia.get(name, unknown) for name in ("ra", "dec"))
    measured = np.isfinite(ra) & np.isfinite(dec)
    if measured.all():
        return ra, dec, ~measured
    ra_of_id, dec_of_id = position_of_id(spectra.source_id)
    return np.where(measured, ra, ra_of_id), np.where(measured, dec, dec_of_id), ~measured


def _marginal(model: XPModel, result: FitResult) -> dict[str, np.ndarray]:
    """Estimates, errors and triangles of the five parameters; NaN for what the model lacks."""
    known = [
        name
        for name in STELLAR_PARAMETERS
        if name in result.parameter_names and (name != "parallax" or model.absolute)
    ]
    place = np.array([STELLAR_PARAMETERS.index(name) for name in known])
    index = np.array([result.parameter_names.index(name) for name in known])
    n_star, n = len(result), len(STELLAR_PARAMETERS)
    five = {name: np.full((n_star, n), np.nan) for name in ("est", "err")}
    five["est"][:, place] = result.parameters[:, index]
    five["err"][:, place] = result.errors[:, index]
    covariance = result.covariance[:, index[:, None], index]
    if len(known) == len(result.parameter_names):
        inverse = result.inverse_covariance[:, index[:, None], index]
    else:
        inverse = np.full_like(covariance, np.nan)
        finite = np.isfinite(covariance).all(axis=(1, 2))
        # For a matrix that is singular, `inv` would stop all the others.
        inverse[finite] = np.linalg.pinv(covariance[finite], rcond=1e-300, hermitian=True)
    for name, matrix in (("cov", covariance), ("icov", inverse)):
        whole = np.full((n_star, n, n), np.nan)
        whole[:, place[:, None], place] = matrix
        five[name] = triangle(whole)
    return five


def triangle(matrix: np.ndarray) -> np.ndarray:
    """Upper triangles of matrices (n_star, n, n), row by row: (n_star, n (n + 1) / 2)."""
    rows, columns = np.triu_indices(matrix.shape[1])
    return matrix[:, rows, columns]


def _add_parameters(table: Table, model: XPModel, result: FitResult) -> None:
    """Add each parameter by its name, in the units of tables."""
    for i, name in enumerate(result.parameter_names):
        value, error = result.parameters[:, i], result.errors[:, i]
        if name == "parallax" and not model.absolute:
            value = error = np.full(len(result), np.nan)
        _add_measurement(table, name, value, error)
    if "xi" in result.parameter_names:
        add_column(table, "r_v", model.r_v(result["xi"]))
    _add_amplitude(table, model, result)
    if set(result.parameter_names) != set(STELLAR_PARAMETERS):
        order = ", ".join(result.parameter_names)
        last = "" if model.absolute else "; for the parallax, the square root of the amplitude"
        for kind, matrix in (("icov", result.inverse_covariance), ("cov", result.covariance)):
            name = f"all_params_{kind}_triu"
            text = f"{describe(name).text} of ({order}) in kK, dex, mag, mas{last}"
            add_column(table, name, triangle(matrix), replace(describe(name), text=text))


def _add_measurement(table: Table, name: str, value, error, prefix: str = "") -> None:
    """Add a parameter and its error."""
    factor = quantity(name).factor
    add_column(table, f"{prefix}{name}", value * factor, describe_label(name, prefix))
    add_column(table, f"{prefix}{name}_err", error * factor, describe_label(f"{name}_err", prefix))


def _add_amplitude(table: Table, model: XPModel, result: FitResult) -> None:
    """Add the dust-free flux, of which models without luminosities know no more."""
    known, layout, theta = describe("amplitude"), model.forward.layout, result.theta
    window = amplitude_channels(model.space) & model.trained_grid
    window = window if window.any() else model.trained_grid
    ln_flux = model.forward.ln_absolute_flux(theta[:, layout.labels])[:, window].mean(axis=1)
    amplitude = np.exp(ln_flux + 2.0 * theta[:, layout.parallax])
    if model.space.name == CoefficientSpace.name:
        text = known.text.replace("flux", "internal spectrum")
        add_column(table, "amplitude", amplitude, Description(text, known.ucd, u.electron / u.s))
    else:
        add_column(table, "amplitude", amplitude * FLUX_UNIT_SI)


def _add_diagnostics(table: Table, result: FitResult) -> None:
    """Add diagnostics of the fit."""
    add_column(table, "n_obs", result.n_obs.astype(np.int16))
    add_column(table, "status", result.status.astype(np.uint8))
    for name in (
        "n_iterations",
        "n_restarts",
        "gradient_norm",
        "min_hessian_eigenvalue",
        "second_mode",
    ):
        add_column(table, name, getattr(result, name))


def _add_observed(table: Table, spectra: Spectra) -> None:
    """Add Gaia's parallax and magnitudes, where they are known, and codes of the correction."""
    observed = np.isfinite(spectra.parallax_err)
    add_column(table, "gaia_parallax", np.where(observed, spectra.parallax, np.nan))
    add_column(table, "gaia_parallax_error", np.where(observed, spectra.parallax_err, np.nan))
    for name in ("phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag"):
        add_column(table, name, spectra.gaia.get(name, np.full(len(spectra), np.nan)))
    if CAUTION in spectra.gaia:
        add_column(table, CAUTION, spectra.gaia[CAUTION])


def _add_reference(table: Table, spectra: Spectra) -> None:
    """Add the labels that came with the spectra."""
    for name, values in spectra.labels.items():
        _add_measurement(table, name, values, spectra.label_err[name], REFERENCE_PREFIX)
    add_column(table, f"{REFERENCE_PREFIX}snr", spectra.snr)
    known = np.isfinite(spectra.extinction_err)
    error = np.where(known, spectra.extinction_err, np.nan)
    for name, values in (("extinction", spectra.extinction), ("extinction_err", error)):
        add_column(table, REFERENCE_PREFIX + name, values, describe(name, REFERENCE_PREFIX))
