"""The gauge of a model without parallaxes.

Where the amplitude of every star is free, ln f_abs is defined only up to a function of Theta, and
R only up to a constant, since exp(-E c) is absorbed by the amplitude too. Both freedoms are fixed
here, so that two trainings give comparable models:

* the mean of ln f_abs over 592-782 nm (`xpfit.constants.AMPLITUDE_WINDOW`) is zero for every Theta,
  so that a star's amplitude is the geometric mean of its dust-free flux there;
* R in the reddest trained channel (Ks for the library) has its CCM89 value, which is in effect the
  definition of E by A(Ks) = 0.36 E; the second-order term Q, where there is one, is zero there.

Where the curve varies, two more are fixed, in every model: a is zero in the reddest trained channel
(there, E alone sets the extinction), and over the stars with dust xi has mean zero and mean square
one, its uncertainty included, as its prior says.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..constants import AMPLITUDE_WINDOW
from ..data import ObservationSpace
from .extinction import ccm89_curve
from .forward import ForwardModel

MIN_CURVE = 1e-3
"""Smallest R after the change of gauge: R = exp(b) is positive."""


def amplitude_channels(space: ObservationSpace) -> Array:
    """Which grid points lie in the amplitude window, shape (n_grid,)."""
    low, high = AMPLITUDE_WINDOW
    return (space.wavelength >= low) & (space.wavelength <= high) & space.covered


def fix_gauge(forward: ForwardModel, trained: np.ndarray) -> None:
    """Transform a model without parallaxes to the gauge defined above, in place.

    The spectral shapes that it predicts do not change; amplitudes of stars do, and must be
    determined again (see `best_ln_parallax`).

    Parameters
    ----------
    forward : ForwardModel
    trained : ndarray of bool, shape (n_grid,)
        Grid points that the training data constrain; the others are left as they are.
    """
    space = forward.space
    anchor = reddest_channel(space, trained)
    remove_luminosity(forward, trained)
    shift = ccm89_curve(space.wavelength[anchor : anchor + 1])[0] - forward.extinction_curve[anchor]
    shifted = np.maximum(forward.extinction_curve[trained] + shift, MIN_CURVE)
    forward.ln_curve[trained] = np.log(shifted)
    if space.second_order:
        forward.second_order[trained] -= forward.second_order[anchor]


def curve_scale(forward: ForwardModel, trained: np.ndarray, absolute: bool) -> float:
    """Give the curve the scale of CCM89's, in place, where no estimate of E tells it.

    exp(-E R) is the same for E / s and s R: only estimates of E tell them apart.

    Parameters
    ----------
    forward : ForwardModel
    trained : ndarray of bool, shape (n_grid,)
        Grid points that the training data constrain; the others are left as they are.
    absolute : bool
        Whether R has no free constant: then its mean becomes CCM89's. Else R in the reddest channel
        is kept (`fix_gauge`), and the mean of what R is above that becomes CCM89's.

    Returns
    -------
    float
        Factor on the E of the stars, by which (but for the constant) predictions do not change.
    """
    anchor = reddest_channel(forward.space, trained)
    curve = forward.extinction_curve
    start = np.zeros(len(curve))
    start[trained] = ccm89_curve(forward.space.wavelength[trained])
    fixed, start_fixed = (0.0, 0.0) if absolute else (curve[anchor], start[anchor])
    scale = (start[trained].mean() - start_fixed) / (curve[trained].mean() - fixed)
    if not scale > 0:
        return 1.0
    scaled = fixed + scale * (curve[trained] - fixed)
    forward.ln_curve[trained] = np.log(np.maximum(scaled, MIN_CURVE))
    if forward.space.second_order:
        forward.second_order[trained] *= scale**2
    return float(1.0 / scale)


def remove_luminosity(forward: ForwardModel, trained: np.ndarray) -> None:
    """Subtract the mean of ln f_abs over the amplitude window, for every Theta, in place.

    Parameters
    ----------
    forward : ForwardModel
    trained : ndarray of bool, shape (n_grid,)
        Grid points that the training data constrain; the others are left as they are.

    Notes
    -----
    ln f_abs is linear in the last hidden layer, and so is its mean: subtracting the mean of the
    output weights and biases removes it exactly. Without trained points in the window, the mean is
    that of all trained points.
    """
    output = forward.weights[forward.network.slices[-1]]
    weights, bias = forward.output_layer.split(output)
    window = amplitude_channels(forward.space) & trained
    if not window.any():
        window = trained
    weights[:, trained] -= weights[:, window].mean(axis=1, keepdims=True)
    bias[trained] -= bias[window].mean()


def reddest_channel(space: ObservationSpace, trained: np.ndarray) -> int:
    """The grid point of longest wavelength among the trained ones."""
    measured = np.flatnonzero(trained & space.covered)
    return int(measured[np.argmax(space.wavelength[measured])])


def standardise_variation(
    forward: ForwardModel, theta: np.ndarray, xi_variance: np.ndarray, dusty: np.ndarray
) -> np.ndarray:
    """Give xi the mean and mean square of its prior, by moving b and a, in place.

    Parameters
    ----------
    forward : ForwardModel
        Whose curve varies.
    theta : ndarray, shape (n_star, n_stellar)
    xi_variance : ndarray, shape (n_star,)
        Uncertainty of each xi, squared.
    dusty : ndarray of bool, shape (n_star,)
        Stars with enough dust to constrain xi.

    Returns
    -------
    ndarray, shape (n_star, n_stellar)
        `theta` with new xi. Predictions are the same as before.
    """
    xi = theta[:, -1]
    mean = xi[dusty].mean()
    spread = np.sqrt(np.mean((xi[dusty] - mean) ** 2 + xi_variance[dusty]))
    forward.ln_curve[:] += mean * forward.variation
    forward.variation[:] *= spread
    return np.column_stack([theta[:, :-1], (xi - mean) / spread])


def best_ln_parallax(
    ln_parallax: np.ndarray, flux_pred: np.ndarray, flux_obs: np.ndarray
) -> np.ndarray:
    """ln varpi that minimises chi2 when everything else is held, for given predictions.

    Parameters
    ----------
    ln_parallax : ndarray, shape (n_star,)
        At which the prediction was made.
    flux_pred, flux_obs : ndarray, shape (n_star, n_obs)
        Whitened predicted and observed flux.

    Returns
    -------
    ndarray, shape (n_star,)
        The present value where the best amplitude is not positive or there are no data.
    """
    overlap = np.einsum("si,si->s", flux_pred, flux_obs)
    norm = np.einsum("si,si->s", flux_pred, flux_pred)
    good = (overlap > 0) & (norm > 0)
    ratio = np.where(good, overlap, 1.0) / np.where(good, norm, 1.0)
    return ln_parallax + 0.5 * np.log(ratio)
