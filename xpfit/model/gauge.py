"""The gauge of a model without parallaxes.

Where the amplitude of every star is free, ln f_abs is defined only up to a function of Theta, and
R only up to a constant, since exp(-E c) is absorbed by the amplitude too. Both freedoms are fixed
here, so that two trainings give comparable models:

* the mean of ln f_abs over 592-782 nm (`xpfit.constants.AMPLITUDE_WINDOW`) is zero for every Theta,
  so that a star's amplitude is the geometric mean of its dust-free flux there;
* R in the reddest trained channel (Ks for the library) has its CCM89 value, which is in effect the
  definition of E by A(Ks) = 0.36 E; the second-order term Q, where there is one, is zero there.
"""

from __future__ import annotations

import numpy as np

from ..constants import AMPLITUDE_WINDOW
from ..space import ObservationSpace
from .extinction import ccm89_curve
from .forward import ForwardModel

MIN_CURVE = 1e-3
"""Smallest R that the shift of gauge may leave: R = exp(b) has to stay positive."""


def amplitude_channels(space: ObservationSpace) -> np.ndarray:
    """Which grid points lie in the amplitude window, shape (n_grid,)."""
    low, high = AMPLITUDE_WINDOW
    return (space.wavelength >= low) & (space.wavelength <= high) & space.covered


def fix_gauge(forward: ForwardModel, trained: np.ndarray) -> None:
    """Bring a model without parallaxes into the documented gauge, in place.

    The spectral shapes that it predicts do not change; amplitudes of stars do and have to be solved
    again (see `best_ln_parallax`).

    Parameters
    ----------
    forward : ForwardModel
    trained : ndarray of bool, shape (n_grid,)
        Grid points that the training data constrain; the others are left as they are.
    """
    space = forward.space
    output = forward.network.layers[-1]
    weights, bias = output.split(forward.weights[forward.network.slices[-1]])
    window = amplitude_channels(space) & trained
    weights[:, trained] -= weights[:, window].mean(axis=1, keepdims=True)
    bias[trained] -= bias[window].mean()
    measured = np.flatnonzero(trained & space.covered)
    anchor = measured[np.argmax(space.wavelength[measured])]
    shift = ccm89_curve(space.wavelength[anchor : anchor + 1])[0] - forward.extinction_curve[anchor]
    shifted = np.maximum(forward.extinction_curve[trained] + shift, MIN_CURVE)
    forward.ln_curve[trained] = np.log(shifted)
    if space.second_order:
        forward.second_order[trained] -= forward.second_order[anchor]


def best_ln_parallax(theta: np.ndarray, flux_pred: np.ndarray, flux_obs: np.ndarray) -> np.ndarray:
    """ln varpi that minimises chi2 when everything else is held, for given predictions.

    Parameters
    ----------
    theta : ndarray, shape (n_star, n_label + 2)
        Parameters at which the prediction was made.
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
    return theta[:, -1] + 0.5 * np.log(ratio)
