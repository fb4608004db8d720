"""Linear least squares for extinction and amplitude, in the logarithm of the flux.

With f the flux of a reference model, f_pred - f_obs is to first order f (ln f_pred - ln f) + f -
f_obs, and ln f_pred = g(Theta) + 2 ln varpi - E R is linear in ln varpi and E.
"""

from __future__ import annotations

from array_api_compat import array_namespace

from ...arrays import Array
from ...data import ObservationSpace
from ..data import FitData

MIN_EXTINCTION = 0.003
"""Smallest extinction (mag) of a start: closer to zero, the loss no longer depends on ln E."""


def observed_reference(space: ObservationSpace, flux: Array) -> tuple[Array, Array]:
    """The observed spectrum as reference model: its flux and ln flux; (0, 0) if not positive.

    Parameters
    ----------
    space : ObservationSpace
    flux : ndarray, shape (n_star, n_obs)

    Returns
    -------
    reference, ln_reference : ndarray, shape (n_star, n_grid)
    """
    xp, observed = array_namespace(flux), space.spectrum(flux)
    positive = observed > 0
    reference = xp.where(positive, observed, xp.zeros_like(observed))
    return reference, xp.log(xp.where(positive, observed, xp.ones_like(observed)))


def linearise(
    space: ObservationSpace, data: FitData, reference: Array, ln_reference: Array, rows: Array
) -> tuple[Array, Array]:
    """Whitened residuals as a linear function: ``coefficients @ white - target``.

    Parameters
    ----------
    space : ObservationSpace
    data : FitData
    reference, ln_reference : ndarray, shape (n_star, n_grid)
        Flux of the reference model and its logarithm.
    rows : ndarray, shape (n_row, n_grid) or (n_star, n_row, n_grid)
        Spectra of which ln flux is a linear combination.

    Returns
    -------
    white : ndarray, shape (n_star, n_row, n_obs)
    target : ndarray, shape (n_star, n_obs)
    """
    white = data.whitener(space.observe(reference[:, None, :] * rows))
    target = space.observe(reference * ln_reference) + data.flux - space.observe(reference)
    return white, data.whitener(target)


def project_out(amplitude: Array, *values: Array) -> list[tuple[Array, Array]]:
    """Least squares in the amplitude: its coefficient, and what remains, of each of `values`.

    Parameters
    ----------
    amplitude : ndarray, shape (n_star, n_obs)
    *values : ndarray, shape (n_star, n_obs) or (n_star, n_row, n_obs)

    Returns
    -------
    list of (coefficient, remainder)
        Shapes (n_star[, n_row]) and that of the values.
    """
    xp = array_namespace(amplitude)
    direction = amplitude / positive_or_one(xp.sum(amplitude**2, axis=1))[:, None]
    results = []
    for value in values:
        coefficient = dot(value, direction)
        rows = amplitude if value.ndim == 2 else amplitude[:, None, :]
        results.append((coefficient, value - coefficient[..., None] * rows))
    return results


def positive_or_one(values: Array) -> Array:
    """The values, or 1 where they are not positive, to divide by."""
    xp = array_namespace(values)
    return xp.where(values > 0, values, xp.ones_like(values))


def dot(x: Array, y: Array) -> Array:
    """Scalar products over the data vector; x (n_star, [n_row,] n_obs), y (n_star, n_obs)."""
    if x.ndim == 3:
        return (x @ y[:, :, None])[:, :, 0]
    return array_namespace(x).sum(x * y, axis=1)
