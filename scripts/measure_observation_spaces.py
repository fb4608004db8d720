"""How much smaller the errors of fits in coefficient space are than in sampled space.

Spectra of a trained model are turned into coefficients, each as bright as a real star and with its
covariance; the calibration terms of `XPSettings` are added in either space, and the Fisher matrices
of the stars' parameters (parallax included, without prior) are compared.

    python scripts/measure_observation_spaces.py FILE...    # XP continuous spectra: their errors
"""

from __future__ import annotations

import argparse

import numpy as np
from astropy.table import Table
from scipy.interpolate import CubicSpline

from xpfit import XPModel, XPSettings, load_model
from xpfit.prepare import coefficient_space, coefficient_vectors, whiten_covariances
from xpfit.prepare.bases import sampled_design
from xpfit.prepare.covariance import add_calibration, calibration_covariance
from xpfit.read import read_continuous

FINE_STEP = 2.0
"""nm; the model's flux is interpolated to this step and turned into coefficients there."""

STEPS = (10.0, 6.0, 2.0)
"""nm; of the sampled spaces that are compared, from 392 to 992 nm."""

N_STARS = 500


def draw_stars(model: XPModel, rng: np.random.Generator) -> np.ndarray:
    """theta of stars of well populated types, E from 0.1 to 1 mag."""
    types = model.prior.sample(20 * N_STARS, rng)
    populated = model.in_range(types).all(axis=1)
    populated &= model.prior.ln_p(types) > model.ln_prior_threshold + 3.0
    types = types[populated][:N_STARS]
    ln_extinction = np.log(rng.uniform(0.1, 1.0, len(types)))
    more = np.zeros((len(types), model.forward.n_stellar - types.shape[1] - 1))
    return np.column_stack([types, ln_extinction, more])


def as_coefficients(model: XPModel, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (n_star, 110) of the model's spectra, and their Jacobian."""
    is_xp = ~model.space.is_band
    grid = model.wavelength[is_xp]
    fine = np.arange(grid[0], grid[-1] + 0.5 * FINE_STEP, FINE_STEP)
    design = sampled_design(fine)
    inverse = np.linalg.pinv(np.vstack([design.bp, design.rp]), rcond=1e-3)
    flux, jacobian = model.forward.flux_and_jacobian(theta)
    return tuple(
        CubicSpline(grid, x[..., is_xp], axis=-1)(fine) @ inverse for x in (flux, jacobian)
    )


def errors(covariance: np.ndarray, jacobian: np.ndarray) -> np.ndarray:
    """Errors of the parameters, (n_star, n_parameter), by their Fisher matrices."""
    white = whiten_covariances(covariance).whitener(jacobian)
    information = white @ np.swapaxes(white, 1, 2)
    return np.sqrt(np.diagonal(np.linalg.inv(information), axis1=1, axis2=2))


def main() -> None:
    """Print the ratios of errors."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("files", nargs="+", metavar="FILE")
    paths = parser.parse_args().files
    rng, model, space = np.random.default_rng(6), load_model(), coefficient_space()
    tables = [table for path in paths for table in read_continuous(path)]
    gaia = [coefficient_vectors(table, space, XPSettings(0.0, 0.0, 0.0)) for table in tables]
    usable = np.concatenate([~data.mask.any(axis=1) for data in gaia])
    stars = rng.choice(np.flatnonzero(usable), N_STARS)
    theta = draw_stars(model, rng)
    coefficients, jacobian = as_coefficients(model, theta)
    brightness = np.linalg.norm(np.concatenate([d.flux for d in gaia])[stars], axis=1)
    scale = brightness / np.linalg.norm(coefficients, axis=1)
    coefficients, jacobian = coefficients * scale[:, None], jacobian * scale[:, None, None]
    covariance = np.concatenate([data.gaia_covariance for data in gaia])[stars]
    native = errors(covariance + _calibration(coefficients, space), jacobian)
    print(f"{N_STARS} stars with the covariances of {usable.sum()} real ones; error in coefficient")
    print(
        "space over that in sampled space: median, 10 % and 90 % of stars and parameters, largest"
    )
    for step in STEPS:
        design = sampled_design(np.arange(392.0, 993.0, step))
        sampling = np.vstack([design.bp, design.rp])
        parts = [coefficients[:, :55] @ design.bp, coefficients[:, 55:] @ design.rp]
        settings = XPSettings()
        calibration = calibration_covariance(sum(parts), design.wavelength, settings)
        sampled = sampling.T @ covariance @ sampling
        sampled = add_calibration(sampled, calibration, parts, settings)
        ratio = native / errors(sampled, jacobian @ sampling)
        numbers = (np.median(ratio), *np.quantile(ratio, [0.1, 0.9]), ratio.max())
        print(f"{step:5.0f} nm" + "".join(f"{number:8.2f}" for number in numbers))


def _calibration(coefficients: np.ndarray, space) -> np.ndarray:
    """Covariance of the coefficients from the calibration terms alone."""
    table = Table({"problem": np.full(len(coefficients), "")})
    for band, columns in (("bp", slice(0, 55)), ("rp", slice(55, 110))):
        table[f"{band}_coefficients"] = coefficients[:, columns]
        table[f"{band}_coefficient_errors"] = np.ones((len(coefficients), 55))
        table[f"{band}_coefficient_correlations"] = np.zeros((len(coefficients), 55 * 54 // 2))
    data = coefficient_vectors(table, space)
    return data.covariance - data.gaia_covariance


if __name__ == "__main__":
    main()
