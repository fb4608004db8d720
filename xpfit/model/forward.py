"""The forward model: stellar parameters -> observed flux, with its exact derivatives.

A star's parameters are `theta` = (teff in kK, feh, logg[, alpha_m], ln E, ln varpi[, xi]); the
logarithms keep extinction and parallax positive (ZGR23, section 4.1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import numpy as np
from array_api_compat import array_namespace, device

from ..arrays import Array
from ..data import ObservationSpace
from ..nn import Dense, Network, multilayer_perceptron
from ..quantities import Layout
from .extinction import ccm89_curve, ccm89_variation

HIDDEN_LAYERS = (32, 32, 32)
"""Width of the hidden layers. ZGR23's text says 16; its 4484 parameters need 32."""


@dataclass
class ForwardModel:
    """f_pred = exp[g(Theta)] * varpi^2 * exp(-E R), R = exp(b)  (ZGR23, eqs. 1 and 8).

    In coefficient space c_pred = varpi^2 M(E) c_abs(Theta). The emulator's spectrum on the grid
    gives the coefficients without dust, c_abs = H+ exp(g), and dust multiplies the spectrum of
    those, M(E) = H+ diag(exp(-E R + E^2 Q)) H per band. So dust acts on a spectrum that the
    instrument has blurred already; Q corrects for that to second order in E.

    Where the extinction curve varies from star to star, R = exp(b + xi a), with one xi per star of
    standard normal prior (Zhang & Green 2025).

    Parameters
    ----------
    network : Network
        Standardised labels -> ln flux on the grid, at 1 kpc without dust, n_grid values.
    parameters : ndarray, shape (n_parameters,)
        All global parameters: the network's, then b = ln R, then Q where the space has it, then a
        where the curve varies.
    label_mean, label_scale : ndarray, shape (n_label,)
        Standardisation of the network's inputs.
    space : ObservationSpace
        What the data vector is.
    curve_varies : bool
        Whether every star has a xi.
    """

    network: Network
    parameters: Array
    label_mean: Array
    label_scale: Array
    space: ObservationSpace
    curve_varies: bool = False

    @classmethod
    def initialise(
        cls,
        labels: Array,
        space: ObservationSpace,
        rng: np.random.Generator,
        hidden: Sequence[int] = HIDDEN_LAYERS,
        curve_varies: bool = False,
    ) -> ForwardModel:
        """Start with random weights, the extinction curve of CCM89 and no second-order term.

        Parameters
        ----------
        labels : ndarray, shape (n_star, n_label)
            Training labels, which set the standardisation.
        space : ObservationSpace
        rng : numpy.random.Generator
        hidden : sequence of int
            Width of each hidden layer.
        curve_varies : bool
            Start with the variation of CCM89's curve with R(V) too.
        """
        network = multilayer_perceptron(labels.shape[1], hidden, space.n_grid)
        parts = [network.initialise(rng), np.log(ccm89_curve(space.wavelength))]
        parts += [np.zeros(space.n_grid)] * space.second_order
        parts += [ccm89_variation(space.wavelength)] if curve_varies else []
        mean, scale = labels.mean(axis=0), labels.std(axis=0)
        return cls(network, np.concatenate(parts), mean, scale, space, curve_varies)

    @property
    def n_label(self) -> int:
        """Number of labels in the stellar type."""
        return int(self.label_mean.shape[0])

    @property
    def layout(self) -> Layout:
        """Columns of a star's parameters, theta."""
        return Layout(self.n_label, self.curve_varies)

    @property
    def n_stellar(self) -> int:
        """Number of parameters of one star, the length of its `theta`."""
        return self.layout.size

    @property
    def scale(self) -> Array:
        """Typical changes in `theta`: the labels' spread in training, and 1 for the rest."""
        return np.concatenate([self.label_scale, np.ones(self.n_stellar - self.n_label)])

    @property
    def output_layer(self) -> Dense:
        """The network's last layer."""
        return cast(Dense, self.network.layers[-1])

    @property
    def weights(self) -> Array:
        """The network's part of `parameters` (a view)."""
        return self.parameters[: self.network.n_parameters]

    @property
    def ln_curve(self) -> Array:
        """b = ln R (a view of `parameters`), shape (n_grid,)."""
        return self.parameters[self.network.n_parameters :][: self.space.n_grid]

    @property
    def second_order(self) -> Array:
        """Q (a view of `parameters`), shape (n_grid,), or (0,) where the space has none."""
        start = self.network.n_parameters + self.space.n_grid
        return self.parameters[start : start + self.space.n_grid * self.space.second_order]

    @property
    def variation(self) -> Array:
        """a = d ln R / d xi (a view of `parameters`), shape (n_grid,), or (0,) without xi."""
        return self.parameters[self.parameters.shape[0] - self.space.n_grid * self.curve_varies :]

    @property
    def extinction_curve(self) -> Array:
        """R = exp(b), the curve at xi = 0, shape (n_grid,)."""
        return array_namespace(self.parameters).exp(self.ln_curve)

    @property
    def is_weight(self) -> Array:
        """Which of `parameters` are network weights, the ones that are regularised."""
        n_other = len(self.parameters) - self.network.n_parameters
        return np.concatenate([self.network.is_weight, np.zeros(n_other, dtype=bool)])

    def channel_mask(self, channels: Array) -> Array:
        """Which of `parameters`, (n_parameters,), act on the given grid points, bool (n_grid,).

        All hidden layers, and output weights, biases, b and a of `channels`; also their Q, except
        in photometric bands, which are treated as monochromatic.
        """
        network = np.ones(self.network.n_parameters, dtype=bool)
        for part in self.output_layer.split(network[self.network.slices[-1]]):
            part[:] = channels
        second_order = (channels & ~self.space.is_band)[: len(self.second_order)]
        return np.concatenate([network, channels, second_order, channels[: len(self.variation)]])

    def ln_absolute_flux(self, labels: Array) -> Array:
        """g(Theta): ln flux at 1 kpc without dust, (n_star, n_grid), of (n_star, n_label)."""
        standardised = (labels - self.label_mean) / self.label_scale
        return self.network.forward(self.weights, standardised)[0]

    def hidden_values(self, labels: Array) -> Array:
        """Values of the network's last hidden layer, (n_star, n_hidden), of (n_star, n_label)."""
        standardised = (labels - self.label_mean) / self.label_scale
        # A dense layer keeps its input for its derivatives.
        return self.network.forward(self.weights, standardised)[1][-1]

    def with_grey_term(self, slope: Array, constant: Array, channels: Array) -> ForwardModel:
        """A model whose ln flux has a term in addition that is the same at all wavelengths.

        Parameters
        ----------
        slope : ndarray, shape (n_hidden,)
        constant : ndarray, shape (1,)
            The term is ``hidden_values(labels) @ slope + constant``.
        channels : ndarray of bool, shape (n_grid,)
            Grid points that it is added to.
        """
        model = replace(self, parameters=self.parameters.copy())
        weights, bias = model.output_layer.split(model.weights[model.network.slices[-1]])
        weights[:, channels] += slope[:, None]
        bias[channels] += constant
        return model

    def flux(self, theta: Array) -> Array:
        """Predicted flux.

        Parameters
        ----------
        theta : ndarray, shape (n_star, n_stellar)
            Labels, ln E, ln varpi, and xi if the curve varies.

        Returns
        -------
        ndarray, shape (n_star, n_obs)
            1e-18 W m-2 nm-1; coefficients in photo-electrons per second.
        """
        return self._predict(theta).flux

    def flux_and_jacobian(self, theta: Array) -> tuple[Array, Array]:
        """Predicted flux and its exact derivatives with respect to `theta`.

        Parameters
        ----------
        theta : ndarray, shape (n_star, n_stellar)

        Returns
        -------
        flux : ndarray, shape (n_star, n_obs)
        jacobian : ndarray, shape (n_star, n_stellar, n_obs)
            ``jacobian[s, k, i]`` = d flux[s, i] / d theta[s, k].
        """
        at = self._predict(theta)
        d = self._derivatives(theta, at)
        on_grid = d.observed * at.transmission[:, None, :]
        on_grid = on_grid + d.ln_transmission * at.attenuated[:, None, :]
        return at.flux, self.space.observe(on_grid)

    def curvature(self, theta: Array, weights: Array) -> Array:
        """Exact second derivatives of sum(weights * flux) with respect to `theta`.

        Parameters
        ----------
        theta : ndarray, shape (n_star, n_stellar)
        weights : ndarray, shape (n_star, n_obs)
            d chi2 / d flux gives what a Gauss-Newton Hessian of chi2 leaves out.

        Returns
        -------
        ndarray, shape (n_star, n_stellar, n_stellar)

        Notes
        -----
        On the grid the flux is S T: the observed spectrum S, a linear map of the intrinsic one,
        times the transmission T of the dust. With w the weights mapped back to the grid, the second
        derivatives of sum(w S T) are those of S''T + S'T' + T'S' + S T''. The intrinsic spectrum
        and T are exponentials, and the second derivative of exp(f) is exp(f) (f'f' + f'').
        """
        at, space, k = self._predict(theta), self.space, self.n_label
        d = self._derivatives(theta, at)
        on_grid = space.observe_adjoint(weights)
        on_observed = on_grid * at.transmission
        on_attenuated = on_grid * at.attenuated
        on_intrinsic = at.intrinsic * space.observe_adjoint(space.spectrum_adjoint(on_observed))
        mixed = _products(on_observed, d.observed, d.ln_transmission)
        total = _products(on_intrinsic, d.ln_intrinsic, d.ln_intrinsic)
        total = total + _products(on_attenuated, d.ln_transmission, d.ln_transmission)
        total = total + mixed + array_namespace(mixed).matrix_transpose(mixed)
        total[:, :k, :k] = total[:, :k, :k] + self.network.curvature(
            self.weights, at.caches, self._directions(theta), on_intrinsic
        )
        return self._add_dust_curvature(total, theta, at, on_attenuated)

    def flux_and_pullback(self, theta: Array) -> tuple[Array, Callable[[Array], Array]]:
        """Predicted flux, and the map from d loss / d flux to d loss / d parameters.

        Parameters
        ----------
        theta : ndarray, shape (n_star, n_stellar)

        Returns
        -------
        flux : ndarray, shape (n_star, n_obs)
        pullback : callable
            From d loss / d flux (n_star, n_obs) to d loss / d `parameters` (n_parameters,).
        """
        at, space = self._predict(theta), self.space
        extinction = np.exp(theta[:, self.n_label])

        def pullback(d_flux: Array) -> Array:
            d_attenuated = space.observe_adjoint(d_flux)
            d_observed = d_attenuated * at.transmission
            d_intrinsic = space.observe_adjoint(space.spectrum_adjoint(d_observed))
            network = self.network.backward(self.weights, at.caches, d_intrinsic * at.intrinsic)
            d_ln_transmission = d_attenuated * at.attenuated
            d_ln_curve = -extinction[:, None] * at.curve * d_ln_transmission
            second_order = (extinction**2 @ d_ln_transmission)[: len(self.second_order)]
            variation = theta[:, -1] @ d_ln_curve if self.curve_varies else np.empty(0)
            return np.concatenate([network, d_ln_curve.sum(axis=0), second_order, variation])

        return at.flux, pullback

    def _predict(self, theta: Array) -> _Prediction:
        """Flux, and all intermediate results."""
        xp, space, k = array_namespace(theta), self.space, self.n_label
        labels = (theta[:, :k] - self.label_mean) / self.label_scale
        g, caches = self.network.forward(self.weights, labels)
        intrinsic = xp.exp(g + 2.0 * theta[:, k + 1, None])
        extinction = xp.exp(theta[:, k, None])
        curve = self.extinction_curve
        if self.curve_varies:
            curve = xp.exp(self.ln_curve + theta[:, k + 2, None] * self.variation)
        ln_transmission = -extinction * curve
        if space.second_order:
            ln_transmission = ln_transmission + extinction**2 * self.second_order
        transmission = xp.exp(ln_transmission)
        attenuated = space.spectrum(space.observe(intrinsic)) * transmission
        flux = space.observe(attenuated)
        return _Prediction(intrinsic, curve, transmission, attenuated, flux, caches)

    def _derivatives(self, theta: Array, at: _Prediction) -> _Derivatives:
        """First derivatives with respect to `theta` on the grid."""
        xp, k = array_namespace(theta), self.n_label
        shape = (theta.shape[0], self.n_stellar, self.space.n_grid)
        ln_intrinsic, ln_transmission = (
            xp.zeros(shape, dtype=at.flux.dtype, device=device(theta)) for _ in range(2)
        )
        directions = self._directions(theta)
        ln_intrinsic[:, :k, :] = self.network.tangent(self.weights, at.caches, directions)
        ln_intrinsic[:, k + 1, :] = 2.0
        extinction = xp.exp(theta[:, k, None])
        slope = -extinction * at.curve
        ln_transmission[:, k, :] = slope
        if self.space.second_order:
            ln_transmission[:, k, :] = slope + 2.0 * extinction**2 * self.second_order
        if self.curve_varies:
            ln_transmission[:, k + 2, :] = slope * self.variation
        intrinsic = ln_intrinsic * at.intrinsic[:, None, :]
        observed = self.space.spectrum(self.space.observe(intrinsic))
        return _Derivatives(ln_intrinsic, observed, ln_transmission)

    def _add_dust_curvature(
        self, total: Array, theta: Array, at: _Prediction, weights: Array
    ) -> Array:
        """Add sum(weights * second derivatives of ln transmission)."""
        xp, k = array_namespace(theta), self.n_label
        extinction = xp.exp(theta[:, k, None])
        by_curve = -extinction * at.curve * weights
        by_extinction = by_curve
        if self.space.second_order:
            by_extinction = by_curve + 4.0 * extinction**2 * self.second_order * weights
        total[:, k, k] = total[:, k, k] + xp.sum(by_extinction, axis=-1)
        if self.curve_varies:
            mixed = xp.sum(by_curve * self.variation, axis=-1)
            total[:, k, k + 2] = total[:, k, k + 2] + mixed
            total[:, k + 2, k] = total[:, k + 2, k] + mixed
            by_xi = xp.sum(by_curve * self.variation**2, axis=-1)
            total[:, k + 2, k + 2] = total[:, k + 2, k + 2] + by_xi
        return total

    def _directions(self, theta: Array) -> Array:
        """Unit steps in the labels, in the network's inputs, shape (n_star, n_label, n_label)."""
        xp, k = array_namespace(theta), self.n_label
        unit = xp.eye(k, dtype=theta.dtype, device=device(theta)) / self.label_scale
        return xp.broadcast_to(unit, (theta.shape[0], k, k))


class _Prediction(NamedTuple):
    """Stages of a prediction, shape (n_star, n_grid) where no other is given."""

    intrinsic: Array  # the emulator's spectrum times varpi^2
    curve: Array  # extinction curve; (n_grid,) if it does not vary
    transmission: Array  # of the dust
    attenuated: Array  # the intrinsic spectrum after the instrument's response, times transmission
    flux: Array  # the data vector, (n_star, n_obs)
    caches: list[Any]  # of the network


class _Derivatives(NamedTuple):
    """First derivatives with respect to `theta`, each (n_star, n_stellar, n_grid)."""

    ln_intrinsic: Array
    observed: Array  # the intrinsic spectrum after the instrument's response
    ln_transmission: Array


def _products(weights: Array, left: Array, right: Array) -> Array:
    """Weighted sums over the grid of all products of derivatives, (n_star, n_left, n_right)."""
    return (left * weights[:, None, :]) @ array_namespace(right).matrix_transpose(right)
