"""A model and spectra in coefficient space, made from the shipped model in sampled space."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from archive import archive_sources
from astropy.table import Table, vstack

from xpfit import XPModel
from xpfit.data.space import CoefficientSpace
from xpfit.model import ForwardModel
from xpfit.nn import multilayer_perceptron
from xpfit.prepare import coefficient_space, coefficient_vectors
from xpfit.read import XP_BANDS, read_continuous

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "xp_continuous"
REAL_FILES = ("bright_five.csv", "18Sco.csv", "XP_CONTINUOUS_RAW.csv")

RESPONSE_U = np.arange(0.0, 61.0, 5.0)
RESPONSE = {
    "bp": [0.1, 0.1, 1.0, 24.0, 19.0, 12.0, 8.5, 4.0, 1.7, 0.9, 0.2, 0.1, 0.1],
    "rp": [0.1, 0.2, 2.0, 12.0, 14.5, 18.0, 21.0, 22.0, 16.0, 4.5, 0.7, 0.4, 0.1],
}
"""Electrons per second for unit flux, roughly, as seen on real stars."""

BLUR = 1.0
"""Width of the instrument's line spread in pseudo-wavelengths (Gaussian sigma)."""

N_XP = 110


def coefficient_twin(model: XPModel, space: CoefficientSpace | None = None) -> XPModel:
    """The model whose spectra, as the instrument sees them, are those of a sampled model."""
    space, sampled = space or coefficient_space(), model.space
    n_u = space.bp_basis.shape[1]
    grid = sampled.wavelength[~sampled.is_band]
    at = np.clip(space.wavelength[: 2 * n_u], grid[0], grid[-1])
    u = np.linspace(0.0, 60.0, n_u)
    blur = np.exp(-0.5 * ((u[:, None] - u) / BLUR) ** 2)
    blur /= blur.sum(axis=0)
    to_grid = np.zeros((sampled.n_grid, space.n_grid))
    interpolation = np.array([np.interp(at, grid, row) for row in np.eye(len(grid))])
    for band in range(2):
        columns = slice(band * n_u, (band + 1) * n_u)
        to_grid[: len(grid), columns] = interpolation[:, columns] @ blur
    to_grid[len(grid) :, 2 * n_u :] = np.eye(space.n_bands)
    old = model.forward
    output = old.network.layers[-1]
    weights, bias = output.split(old.weights[old.network.slices[-1]])
    response = [np.interp(u, RESPONSE_U, np.log(RESPONSE[band])) @ blur for band in XP_BANDS]
    parameters = np.concatenate(
        [
            old.weights[: old.network.slices[-1].start],
            (weights @ to_grid).ravel(),
            bias @ to_grid + np.concatenate([*response, np.zeros(space.n_bands)]),
            np.log(old.extinction_curve @ to_grid),
            np.where(space.is_band, 0.0, 0.002),
        ]
    )
    network = multilayer_perceptron(old.n_label, (32, 32, 32), space.n_grid)
    forward = ForwardModel(network, parameters, old.label_mean, old.label_scale, space)
    trained = np.arange(space.n_obs) < space.n_obs - 2
    return replace(model, forward=forward, trained_channels=trained, covariance=None)


def error_templates(rng: np.random.Generator) -> Table:
    """Real stars' errors and correlations, or simulated ones where the shared files are absent."""
    if not SHARED.is_dir():
        return archive_sources(8, rng)
    tables = [next(read_continuous(SHARED / name)) for name in REAL_FILES]
    return vstack(tables, metadata_conflicts="silent")


def draw_types(model: XPModel, n_star: int, rng: np.random.Generator) -> np.ndarray:
    """(labels, ln E, ln varpi) of well populated types, E from 0.1 to 1, unit parallax."""
    labels = np.empty((0, len(model.label_names)))
    while len(labels) < n_star:
        drawn = model.prior.sample(4 * n_star, rng)
        keep = model.in_range(drawn).all(axis=1)
        keep &= model.prior.ln_p(drawn) > model.ln_prior_threshold + 3.0
        labels = np.concatenate([labels, drawn[keep]])
    extinction = rng.uniform(0.1, 1.0, n_star)
    return np.column_stack([labels[:n_star], np.log(extinction), np.zeros(n_star)])


def simulate_coefficients(
    model: XPModel, n_star: int, rng: np.random.Generator, error_factor: float = 1.0
) -> tuple[np.ndarray, Table]:
    """Stars of known theta, each as bright as a template star and with its covariance.

    A factor on the errors stands for fainter stars.
    """
    templates = error_templates(rng)
    chosen = templates[rng.integers(0, len(templates), n_star)]
    theta = draw_types(model, n_star, rng)
    space = model.space
    assert isinstance(space, CoefficientSpace)
    coefficients = model.forward.flux(theta)[:, :N_XP]
    bright = np.hstack([np.asarray(chosen[f"{band}_coefficients"], float) for band in XP_BANDS])
    ratio = np.linalg.norm(bright, axis=1) / np.linalg.norm(coefficients, axis=1)
    theta[:, -1] = 0.5 * np.log(ratio)
    coefficients *= ratio[:, None]
    table = Table({"source_id": np.arange(1, n_star + 1), "problem": np.full(n_star, "")})
    for band, columns in zip(XP_BANDS, (slice(0, 55), slice(55, N_XP)), strict=True):
        table[f"{band}_coefficients"] = coefficients[:, columns]
        for name, factor in (("errors", error_factor), ("correlations", 1.0)):
            values = np.asarray(chosen[f"{band}_coefficient_{name}"], dtype=float)
            table[f"{band}_coefficient_{name}"] = factor * values
        table[f"{band}_n_relevant_bases"] = np.full(n_star, 55.0)
        table[f"{band}_standard_deviation"] = np.ones(n_star)
    spread = np.linalg.cholesky(coefficient_vectors(table, space).covariance)
    noise = (spread @ rng.standard_normal((n_star, N_XP, 1)))[:, :, 0]
    table["bp_coefficients"] += noise[:, :55]
    table["rp_coefficients"] += noise[:, 55:]
    return theta, table
