"""The forward model: stellar parameters -> observed flux, with its exact derivatives.

Internally a star's parameters are `theta` = (teff in kK, feh, logg[, alpha_m], ln E, ln varpi); the
logarithms keep extinction and parallax positive (ZGR23, section 4.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..nn import Network, multilayer_perceptron

HIDDEN_LAYERS = (32, 32, 32)
"""Width of the hidden layers. ZGR23's text says 16; its 4484 parameters need 32."""


@dataclass
class ForwardModel:
    """f_pred = exp[g(Theta)] * varpi^2 * exp(-E R), R = exp(b)  (ZGR23, eqs. 1 and 8).

    Parameters
    ----------
    network : Network
        Standardised labels -> ln flux at 1 kpc without dust, n_obs values.
    parameters : ndarray, shape (n_parameters,)
        All global parameters: the network's, then b = ln R.
    label_mean, label_scale : ndarray, shape (n_label,)
        Standardisation of the network's inputs.
    """

    network: Network
    parameters: np.ndarray
    label_mean: np.ndarray
    label_scale: np.ndarray

    @classmethod
    def initialise(
        cls,
        labels: np.ndarray,
        extinction_curve: np.ndarray,
        rng: np.random.Generator,
        hidden: Sequence[int] = HIDDEN_LAYERS,
    ) -> ForwardModel:
        """Start with random weights.

        Parameters
        ----------
        labels : ndarray, shape (n_star, n_label)
            Training labels, which set the standardisation.
        extinction_curve : ndarray, shape (n_obs,)
            First guess of R.
        rng : numpy.random.Generator
        hidden : sequence of int
            Width of each hidden layer.
        """
        network = multilayer_perceptron(labels.shape[1], hidden, len(extinction_curve))
        parameters = np.concatenate([network.initialise(rng), np.log(extinction_curve)])
        return cls(network, parameters, labels.mean(axis=0), labels.std(axis=0))

    @property
    def n_label(self) -> int:
        """Number of labels in the stellar type."""
        return len(self.label_mean)

    @property
    def n_obs(self) -> int:
        """Number of values in the data vector."""
        return len(self.parameters) - self.network.n_parameters

    @property
    def weights(self) -> np.ndarray:
        """The network's part of `parameters` (a view)."""
        return self.parameters[: self.network.n_parameters]

    @property
    def ln_curve(self) -> np.ndarray:
        """b = ln R (a view of `parameters`)."""
        return self.parameters[self.network.n_parameters :]

    @property
    def extinction_curve(self) -> np.ndarray:
        """R = exp(b), shape (n_obs,)."""
        return np.exp(self.ln_curve)

    @property
    def is_weight(self) -> np.ndarray:
        """Which of `parameters` are network weights, the ones that are regularised."""
        return np.concatenate([self.network.is_weight, np.zeros(self.n_obs, dtype=bool)])

    def channel_mask(self, channels: np.ndarray) -> np.ndarray:
        """Which of `parameters` act on one of the given channels.

        Parameters
        ----------
        channels : ndarray of bool, shape (n_obs,)

        Returns
        -------
        ndarray of bool, shape (n_parameters,)
            True for all hidden layers, and for the output weights, biases and b of `channels`.
        """
        mask = np.ones(len(self.parameters), dtype=bool)
        output = self.network.layers[-1]
        weights, bias = output.split(mask[self.network.slices[-1]])
        weights[:] = channels
        bias[:] = channels
        mask[self.network.n_parameters :] = channels
        return mask

    def ln_absolute_flux(self, labels: np.ndarray) -> np.ndarray:
        """g(Theta): ln flux at 1 kpc without dust.

        Parameters
        ----------
        labels : ndarray, shape (n_star, n_label)

        Returns
        -------
        ndarray, shape (n_star, n_obs)
        """
        return self.network.forward(self.weights, self._standardise(labels))[0]

    def flux(self, theta: np.ndarray) -> np.ndarray:
        """Predicted flux.

        Parameters
        ----------
        theta : ndarray, shape (n_star, n_label + 2)
            Labels, ln E, ln varpi.

        Returns
        -------
        ndarray, shape (n_star, n_obs)
            1e-18 W m-2 nm-1.
        """
        return self._forward(theta)[0]

    def flux_and_jacobian(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predicted flux and its exact derivatives with respect to `theta`.

        Parameters
        ----------
        theta : ndarray, shape (n_star, n_label + 2)
            Labels, ln E, ln varpi.

        Returns
        -------
        flux : ndarray, shape (n_star, n_obs)
        jacobian : ndarray, shape (n_star, n_label + 2, n_obs)
            ``jacobian[s, k, i]`` = d flux[s, i] / d theta[s, k].
        """
        flux, caches = self._forward(theta)
        k = self.n_label
        jacobian = np.empty((len(theta), k + 2, self.n_obs))
        directions = np.broadcast_to(np.diag(1.0 / self.label_scale), (len(theta), k, k))
        jacobian[:, :k] = self.network.tangent(self.weights, caches, directions)
        jacobian[:, k] = -np.exp(theta[:, k])[:, None] * self.extinction_curve
        jacobian[:, k + 1] = 2.0
        jacobian *= flux[:, None, :]
        return flux, jacobian

    def flux_and_pullback(self, theta: np.ndarray):
        """Predicted flux, and the map from d loss / d flux to d loss / d parameters.

        Parameters
        ----------
        theta : ndarray, shape (n_star, n_label + 2)
            Labels, ln E, ln varpi.

        Returns
        -------
        flux : ndarray, shape (n_star, n_obs)
        pullback : callable
            Takes d loss / d flux, shape (n_star, n_obs), and returns the gradient with respect to
            `parameters`, shape (n_parameters,).
        """
        flux, caches = self._forward(theta)
        extinction = np.exp(theta[:, self.n_label])

        def pullback(dflux: np.ndarray) -> np.ndarray:
            d_ln_flux = dflux * flux
            network = self.network.backward(self.weights, caches, d_ln_flux)
            curve = -(extinction @ d_ln_flux) * self.extinction_curve
            return np.concatenate([network, curve])

        return flux, pullback

    def _standardise(self, labels: np.ndarray) -> np.ndarray:
        return (labels - self.label_mean) / self.label_scale

    def _forward(self, theta: np.ndarray) -> tuple[np.ndarray, list]:
        """Flux and the network's caches."""
        k = self.n_label
        g, caches = self.network.forward(self.weights, self._standardise(theta[:, :k]))
        optical_depth = np.exp(theta[:, k])[:, None] * self.extinction_curve
        return np.exp(g + 2.0 * theta[:, k + 1, None] - optical_depth), caches
