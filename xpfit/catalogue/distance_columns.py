"""Columns of a catalogue on distance, absolute magnitude, luminosity and parallax tension."""

from __future__ import annotations

import numpy as np

from ..data import Spectra
from ..fit import FitResult
from ..fit.data import attainable_parallax_err
from ..fit.distance import distance_quantiles, parallax_tension, prior_slope, spectrum_term
from ..model import XPModel
from ..model.absolute import absolute_magnitude_g, ln_luminosity_with_error

DISTANCE_COLUMNS = (
    "distance", "distance_lo", "distance_hi", "absolute_magnitude_g", "absolute_magnitude_g_err",
    "ln_luminosity", "ln_luminosity_err", "parallax_tension",
)  # fmt: skip


def distance_columns(
    model: XPModel, spectra: Spectra, result: FitResult, prior: str = "none"
) -> dict[str, np.ndarray]:
    """What an absolute model says of distances and luminosities.

    Parameters
    ----------
    model : XPModel
    spectra : Spectra
        What was fitted.
    result : FitResult
    prior : str
        On distance, one of `xpfit.fit.distance.DISTANCE_PRIORS`.

    Returns
    -------
    dict of str to ndarray, shape (n_star,)
        `DISTANCE_COLUMNS`; NaN where unknown, and throughout for a model without luminosities.

    Raises
    ------
    InputError
        If there is no such prior.
    """
    unknown = np.full(len(result), np.nan)
    if not model.absolute:
        return dict.fromkeys(DISTANCE_COLUMNS, unknown)
    measured = spectra.parallax, attainable_parallax_err(spectra)
    term = spectrum_term(model, result, *measured)
    low, median, high = distance_quantiles(
        term, *measured, prior=prior, fit_slope=prior_slope(model)
    )
    g = spectra.gaia.get("phot_g_mean_mag", unknown)
    fit = result.parameters, result.covariance
    excess = getattr(result, "luminosity_excess", 0.0)
    values = (
        median, low, high, *absolute_magnitude_g(model, *fit, g),
        *ln_luminosity_with_error(model, *fit, excess), parallax_tension(term, *measured),
    )  # fmt: skip
    return dict(zip(DISTANCE_COLUMNS, values, strict=True))
