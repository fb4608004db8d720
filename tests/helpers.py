"""What several tests need: finite differences and simulated stars."""

from __future__ import annotations

import resource
import subprocess
import sys
from dataclasses import replace

import numpy as np
from astropy.table import MaskedColumn, Table
from PIL import Image

from xpfit import Spectra, XPModel
from xpfit.cli import main
from xpfit.data import Diagonal, Triangular
from xpfit.model import ccm89_variation


def numerical_gradient(function, x: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Fourth-order central differences of an array-valued function, last axis over x."""
    columns = []
    for i in range(len(x)):
        h = np.zeros_like(x)
        h[i] = step * max(1.0, abs(x[i]))
        near = np.asarray(function(x + h)) - np.asarray(function(x - h))
        far = np.asarray(function(x + 2 * h)) - np.asarray(function(x - 2 * h))
        columns.append((8 * near - far) / (12 * h[i]))
    return np.stack(columns, axis=-1)


def assert_close_derivative(exact, numerical, tolerance=1e-6):
    """Agreement relative to the largest element."""
    scale = np.max(np.abs(numerical))
    np.testing.assert_allclose(exact, numerical, rtol=0, atol=tolerance * scale)


def with_variation(model: XPModel) -> XPModel:
    """The model with an extinction curve that varies as CCM89's does with R(V)."""
    old = model.forward
    variation = ccm89_variation(model.wavelength)
    forward = replace(
        old, parameters=np.concatenate([old.parameters, variation]), curve_varies=True
    )
    return replace(model, forward=forward)


def with_luminosities(model: XPModel, rng: np.random.Generator) -> XPModel:
    """The model with a luminosity that is a linear function of the last hidden layer, absolute."""
    forward = replace(model.forward, parameters=model.forward.parameters.copy())
    output = forward.weights[forward.network.slices[-1]]
    weights, bias = forward.output_layer.split(output)
    grid = model.space.grid_channels(model.trained_channels)
    weights[:, grid] += 0.3 * rng.standard_normal((len(weights), 1))
    bias[grid] += 0.7
    return replace(model, forward=forward, absolute=True)


def gaia_source(source_id, parallax, error, **columns) -> Table:
    """Rows of gaia_source of stars of G = 14 and average colour, with solutions of 5 parameters."""
    n = len(source_id)
    values = {
        "source_id": source_id,
        "parallax": parallax,
        "parallax_error": error,
        "ruwe": np.ones(n),
        "phot_g_mean_mag": np.full(n, 14.0),
        "nu_eff_used_in_astrometry": np.full(n, 1.5),
        "pseudocolour": np.full(n, np.nan),
        "ecl_lat": np.full(n, 20.0),
        "astrometric_params_solved": np.full(n, 31),
    }
    return Table({**values, **columns})


def simulate(
    model: XPModel, n_star: int, rng: np.random.Generator, *, relative_error: float
) -> tuple[np.ndarray, Spectra]:
    """Stars of well populated types with known linear parameters, and their noisy spectra."""
    labels = np.empty((0, len(model.label_names)))
    while len(labels) < n_star:
        drawn = model.prior.sample(4 * n_star, rng)
        inside = model.in_range(drawn).all(axis=1)
        populated = model.prior.ln_p(drawn) > model.ln_prior_threshold + 3.0
        labels = np.concatenate([labels, drawn[inside & populated]])
    labels = labels[:n_star]
    extinction = rng.uniform(0.1, 1.0, n_star)
    parallax = np.exp(rng.uniform(1.0, 4.0, n_star))
    xi = rng.standard_normal(n_star) if model.forward.curve_varies else np.zeros(n_star)
    truth = np.column_stack([labels, extinction, parallax, xi])[:, : model.forward.n_stellar]
    flux = np.nan_to_num(model.predict(labels, extinction, parallax, xi=xi))
    noise = np.where(model.trained_channels, relative_error * flux, np.inf)
    noisy = flux + np.where(model.trained_channels, noise, 0.0) * rng.standard_normal(flux.shape)
    return truth, Spectra(np.arange(1, n_star + 1), model.space, noisy, noise)


def random_full_whiteners(flux_err: np.ndarray, rng: np.random.Generator) -> tuple:
    """Covariances with strong correlations, and their whiteners, for given errors."""
    n_star, n_obs = flux_err.shape
    mixing = rng.standard_normal((n_star, n_obs, 5)) * 0.7
    correlation = mixing @ np.swapaxes(mixing, 1, 2) + np.eye(n_obs)
    scale = flux_err / np.sqrt(np.diagonal(correlation, axis1=1, axis2=2))
    covariance = correlation * scale[:, :, None] * scale[:, None, :]
    return covariance, Triangular(np.tril(np.linalg.inv(np.linalg.cholesky(covariance))))


def without_weight(spectra: Spectra, star, channels=slice(None)) -> Spectra:
    """The same spectra, with independent errors, some of whose values are unknown."""
    flux_err = spectra.flux_err.copy()
    flux_err[star, channels] = np.inf
    return spectra.replace(flux_err=flux_err, whitener=Diagonal(1.0 / flux_err))


def simulated_catalogue(rng, n=4000, scatter=0.1):
    """A catalogue with known offsets and scatter: 50 K and 100 K in Teff, correct errors."""
    table = Table()
    teff = rng.uniform(4000.0, 6500.0, n)
    logg = np.where(np.arange(n) % 2 == 0, 2.5, 4.4)
    for name, reference, bias, sigma in (
        ("teff", teff, 50.0, 100.0),
        ("feh", rng.uniform(-1, 0.3, n), 0.0, scatter),
        ("logg", logg, -0.02, 0.2),
    ):
        table[name] = MaskedColumn(reference + bias + sigma * rng.standard_normal(n))
        table[f"{name}_err"] = np.full(n, sigma * 0.8)
        table[f"ref_{name}"] = MaskedColumn(reference)
        table[f"ref_{name}_err"] = np.full(n, sigma * 0.6)
    table["ref_snr"] = np.full(n, 100.0)
    table["quality_flags"] = np.zeros(n, dtype=np.uint8)
    table["fit_flags"] = np.zeros(n, dtype=np.int16)
    return table


def n_points(axes):
    """Points that lines of an axes mark with "." or ",", as those of single stars are."""
    marked = [line for line in axes.lines if line.get_marker() in (".", ",")]
    return sum(np.isfinite(line.get_xydata()).all(axis=1).sum() for line in marked)


def legend_of(axes):
    """Entries of the legend of an axes."""
    return [text.get_text() for text in axes.get_legend().get_texts()]


def picture_size(path, dpi=200):
    """Width and height in inches of a PNG file, which must not be of one colour."""
    with Image.open(path) as image:
        low, high = image.convert("L").getextrema()
        assert high - low > 100, f"{path} is blank"
        return tuple(round(n / dpi, 1) for n in image.size)


def processor_seconds(*arguments: str) -> float:
    """Time of the processor that Python takes with some arguments; the shorter of two runs."""
    taken = []
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return min(taken)


def run_command(*arguments) -> int:
    """Exit status of ``xpfit`` with these arguments."""
    return main([str(argument) for argument in arguments])
