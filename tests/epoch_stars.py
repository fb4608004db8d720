"""Stars whose epoch spectra are simulated."""

from __future__ import annotations

import numpy as np
from astropy.table import Table, vstack

from xpfit import XPModel
from xpfit.prepare.band import coefficient_covariance
from xpfit.simulate.noise import g_magnitude

GIANT = np.array([5.0, -0.2, 2.5])
"""Teff (kK), [Fe/H] and log g."""


def theta_of(
    model: XPModel, labels: np.ndarray, g: float = 13.0, extinction: float = 0.05
) -> np.ndarray:
    """Parameters of a star of magnitude g, by the shapes of spectra, shape (n_parameter,)."""
    layout = model.forward.layout
    theta = np.zeros((1, layout.size))
    theta[0, layout.labels], theta[0, layout.extinction] = labels, np.log(extinction)
    at = g_magnitude(model.wavelength, model.shapes_only().forward.flux(theta))[0]
    theta[0, layout.parallax] = 0.2 * np.log(10.0) * (at - g)
    return theta[0]


def epoch_rows(
    sources: Table, n_epoch: int, rng: np.random.Generator, brightness: np.ndarray | float = 1.0
) -> Table:
    """Epoch spectra, as they are assumed to come, whose means are XP continuous spectra.

    `brightness`, of each epoch, is a factor on all coefficients.
    """
    stars = []
    for source in sources:
        table = Table(rows=[source] * n_epoch, names=sources.colnames)
        for band in ("bp", "rp"):
            name, size = f"{band}_coefficient", np.sqrt(n_epoch)
            errors = np.asarray(table[f"{name}_errors"], dtype=float) * size
            covariance = coefficient_covariance(errors, np.asarray(table[f"{name}_correlations"]))
            noise = np.linalg.cholesky(covariance) @ rng.standard_normal((*errors.shape, 1))
            factor = np.broadcast_to(brightness, n_epoch)[:, None]
            table[f"{name}s"] = factor * np.asarray(table[f"{name}s"]) + noise[:, :, 0]
            table[f"{name}_errors"] = errors
        table["transit_id"] = np.arange(n_epoch) + 17
        table["obs_time"] = np.sort(rng.uniform(2456900.0, 2458900.0, n_epoch))
        stars.append(table)
    return vstack(stars)
