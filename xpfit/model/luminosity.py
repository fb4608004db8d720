"""The error of the emulator's luminosity, which depends on stellar type.

It is a grey component of the model covariance: all flux values of a star are off by one factor,
exp(delta), with delta normally distributed. Where the parallax is measured to better than delta,
fits must find delta rather than change the star's type. Since ln of the flux is linear in ln varpi,
delta need not be a parameter of the flux: the loss depends on u = ln varpi + delta / 2, and delta
is found, given u, from the parallax alone (`parallax_given_amplitude`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from array_api_compat import array_namespace

from ..arrays import Array

BELOW = 40.0
"""How far below the emulator's ln varpi that of a star with a negative parallax may be."""

NEWTON_STEPS = 30


@dataclass
class LuminosityError:
    """Standard error of the emulator's ln luminosity.

    The luminosity of a star is less certain than the shape of its spectrum: stars of the same type
    differ in mass, some are unresolved binaries, and the luminosities that the emulator has learned
    from have errors in common.

    Parameters
    ----------
    types : ndarray, shape (n_type, n_label)
        Stellar types, such as red clump or subgiant, in the model's labels.
    width : ndarray, shape (n_label,)
        How far in each label a type extends.
    error : ndarray, shape (n_type,)
        Standard error of ln luminosity at each.
    """

    types: np.ndarray
    width: np.ndarray
    error: np.ndarray

    def __call__(self, labels: Array) -> Array:
        """Standard error of ln luminosity of stars.

        Parameters
        ----------
        labels : ndarray, shape (n_star, n_label)

        Returns
        -------
        ndarray, shape (n_star,)
            Between those of the types; the variance is their mean with the weights of
            `type_weights`.
        """
        weights: Array = type_weights(labels, self.types, self.width)
        # Not a matrix product: those are rounded differently for different numbers of stars.
        return np.sqrt(np.sum(weights * self.error**2, axis=1))


def parallax_given_amplitude(
    ln_amplitude: Array, observed: Array, error: Array, ln_error: Array, flat_prior: bool
) -> tuple[Array, Array]:
    """Most probable ln varpi of stars whose luminosity is uncertain.

    Parameters
    ----------
    ln_amplitude : ndarray, shape (n_star,)
        u = ln varpi + delta / 2, which the flux depends on.
    observed, error : ndarray, shape (n_star,)
        Measured parallax, mas; infinite error where there is none.
    ln_error : ndarray, shape (n_star,)
        Standard error of ln varpi at given u: half that of ln luminosity, positive.
    flat_prior : bool
        Whether the prior is flat in varpi, else in ln varpi.

    Returns
    -------
    ln_parallax : ndarray, shape (n_star,)
        t at the minimum of ((e^t - observed) / error)^2 + ((t - u) / ln_error)^2 [- 2 t].
    curvature : ndarray, shape (n_star,)
        Half of the second derivative there, times ln_error^2: 1 without a measured parallax.

    Notes
    -----
    Newton's method, between bounds that are tightened at every step, so that it cannot fail. Array
    code.
    """
    xp = array_namespace(ln_amplitude)
    known = xp.isfinite(error)
    one = xp.ones_like(ln_amplitude)
    centre = ln_amplitude + ln_error**2 if flat_prior else ln_amplitude
    ratio = xp.where(known, ln_error / xp.where(known, error, one), 0.0 * one) ** 2
    observed = xp.where(known, observed, one)
    # The derivative is negative below, and positive above, ln of the observed parallax and centre.
    ln_observed = xp.log(xp.where(observed > 0, observed, one))
    positive = known & (observed > 0)
    low = xp.where(positive, xp.minimum(centre, ln_observed), centre - BELOW)
    high = xp.where(positive, xp.maximum(centre, ln_observed), centre)
    low = xp.where(known, low, centre)
    value = 0.5 * (low + high)
    for _ in range(NEWTON_STEPS):
        slope, curvature = _slope(value, centre, ratio, observed)
        low = xp.where(slope < 0, value, low)
        high = xp.where(slope > 0, value, high)
        step = value - slope / xp.where(curvature > 0, curvature, one)
        inside = (curvature > 0) & (step >= low) & (step <= high)
        value = xp.where(slope == 0, value, xp.where(inside, step, 0.5 * (low + high)))
    return value, _slope(value, centre, ratio, observed)[1]


def split_amplitude(
    ln_amplitude: np.ndarray,
    observed: np.ndarray,
    error: np.ndarray,
    luminosity_err: np.ndarray,
    flat_prior: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Most probable ln varpi, and its standard error at fixed amplitude; NumPy only.

    Parameters
    ----------
    ln_amplitude, observed, error, flat_prior
        As for `parallax_given_amplitude`.
    luminosity_err : ndarray, shape (n_star,)
        Standard error of ln luminosity. Where it is zero, ln varpi is the amplitude.

    Returns
    -------
    ln_parallax, ln_parallax_err : ndarray, shape (n_star,)
    """
    ln_parallax, ln_err = ln_amplitude.copy(), np.zeros_like(ln_amplitude)
    rows, half = luminosity_err > 0, 0.5 * luminosity_err[luminosity_err > 0]
    ln_parallax[rows], curvature = parallax_given_amplitude(
        ln_amplitude[rows], observed[rows], error[rows], half, flat_prior
    )
    ln_err[rows] = half / np.sqrt(np.maximum(curvature, np.finfo(float).tiny))
    return ln_parallax, ln_err


def _slope(value: Array, centre: Array, ratio: Array, observed: Array) -> tuple[Array, Array]:
    """Half of the first and second derivative of the loss, times ln_error^2."""
    parallax = array_namespace(value).exp(value)
    slope = ratio * (parallax - observed) * parallax + value - centre
    return slope, ratio * (2.0 * parallax - observed) * parallax + 1.0


def type_weights(labels: Array, types: np.ndarray, width: np.ndarray) -> Array:
    """Weights by which quantities that are known at some types are interpolated.

    Parameters
    ----------
    labels : ndarray, shape (n_star, n_label)
    types : ndarray, shape (n_type, n_label)
    width : ndarray, shape (n_label,)

    Returns
    -------
    ndarray, shape (n_star, n_type)
        Gaussians about the types, which sum to one for every star.
    """
    distance2 = np.sum(((labels[:, None, :] - types) / width) ** 2, axis=2)
    # Relative to the nearest type: far from all of them, that one alone counts.
    weights = np.exp(-0.5 * (distance2 - distance2.min(axis=1, keepdims=True)))
    return weights / weights.sum(axis=1, keepdims=True)
