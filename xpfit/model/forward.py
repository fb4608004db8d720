"""The forward model: stellar parameters -> observed flux, with its exact derivatives.

Internally a star's parameters are `theta` = (teff in kK, feh, logg[, alpha_m], ln E, ln varpi[,
xi]); the logarithms keep extinction and parallax positive (ZGR23, section 4.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from array_api_compat import array_namespace, device

from ..data.space import ObservationSpace
from ..nn import Network, multilayer_perceptron
from ..quantities import Layout
from .extinction import ccm89_curve, ccm89_variation

HIDDEN_LAYERS = (32, 32, 32)
"""Width of the hidden layers. ZGR23's text says 16; its 4484 parameters need 32."""


@dataclass
class ForwardModel:
    """f_pred = exp[g(Theta)] * varpi^2 * exp(-E R), R = exp(b)  (ZGR23, eqs. 1 and 8).

    In coefficient space c_pred = varpi^2 M(E) c_abs(Theta). The emulator's spectrum on the grid
    gives the coefficients without dust, c_abs = H+ exp(g), and dust multiplies the spectrum of
    those, M(E) = H+ diag(exp(-E R + E^2 Q)) H per band. So dust acts on light that the instrument
    has blurred already; Q makes up for that to second order in E.

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
    parameters: np.ndarray
    label_mean: np.ndarray
    label_scale: np.ndarray
    space: ObservationSpace
    curve_varies: bool = False

    @classmethod
    def initialise(
        cls,
        labels: np.ndarray,
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
        curve = ccm89_curve(space.wavelength)
        second_order = np.zeros(space.n_grid if space.second_order else 0)
        variation = ccm89_variation(space.wavelength) if curve_varies else np.empty(0)
        parameters = np.concatenate(
            [network.initialise(rng), np.log(curve), second_order, variation]
        )
        mean, scale = labels.mean(axis=0), labels.std(axis=0)
        return cls(network, parameters, mean, scale, space, curve_varies)

    @property
    def n_label(self) -> int:
        """Number of labels in the stellar type."""
        return self.label_mean.shape[0]

    @property
    def layout(self) -> Layout:
        """Columns of a star's parameters, theta."""
        return Layout(self.n_label, self.curve_varies)

    @property
    def n_stellar(self) -> int:
        """Number of parameters of one star, the length of its `theta`."""
        return self.layout.size

    @property
    def scale(self) -> np.ndarray:
        """Lengths that make a star's parameters comparable, shape (n_stellar,).

        The labels' spread in training, and one in ln E, ln varpi and xi.
        """
        return np.concatenate([self.label_scale, np.ones(self.n_stellar - self.n_label)])

    @property
    def weights(self) -> np.ndarray:
        """The network's part of `parameters` (a view)."""
        return self.parameters[: self.network.n_parameters]

    @property
    def ln_curve(self) -> np.ndarray:
        """b = ln R (a view of `parameters`), shape (n_grid,)."""
        return self.parameters[self.network.n_parameters :][: self.space.n_grid]

    @property
    def second_order(self) -> np.ndarray:
        """Q (a view of `parameters`), shape (n_grid,), or (0,) where the space has none."""
        start = self.network.n_parameters + self.space.n_grid
        return self.parameters[start : start + self.space.n_grid * self.space.second_order]

    @property
    def variation(self) -> np.ndarray:
        """a = d ln R / d xi (a view of `parameters`), shape (n_grid,), or (0,) without xi."""
        return self.parameters[self.parameters.shape[0] - self.space.n_grid * self.curve_varies :]

    @property
    def extinction_curve(self) -> np.ndarray:
        """R = exp(b), the curve at xi = 0, shape (n_grid,)."""
        return array_namespace(self.parameters).exp(self.ln_curve)

    @property
    def is_weight(self) -> np.ndarray:
        """Which of `parameters` are network weights, the ones that are regularised."""
        n_other = len(self.parameters) - self.network.n_parameters
        return np.concatenate([self.network.is_weight, np.zeros(n_other, dtype=bool)])

    def channel_mask(self, channels: np.ndarray) -> np.ndarray:
        """Which of `parameters` act on one of the given grid points.

        Parameters
        ----------
        channels : ndarray of bool, shape (n_grid,)

        Returns
        -------
        ndarray of bool, shape (n_parameters,)
            True for all hidden layers, and for the output weights, biases, b and a of `channels`;
            also for their Q, except in photometric bands, which are taken as monochromatic.
        """
        output = self.network.layers[-1]
        hidden = np.ones(self.network.n_parameters - output.n_parameters, dtype=bool)
        last = np.ones(output.n_parameters, dtype=bool)
        weights, bias = output.split(last)
        weights[:] = channels
        bias[:] = channels
        second_order = (channels & ~self.space.is_band)[: len(self.second_order)]
        variation = channels[: len(self.variation)]
        return np.concatenate([hidden, last, channels, second_order, variation])

    def ln_absolute_flux(self, labels: np.ndarray) -> np.ndarray:
        """g(Theta): ln flux at 1 kpc without dust.

        Parameters
        ----------
        labels : ndarray, shape (n_star, n_label)

        Returns
        -------
        ndarray, shape (n_star, n_grid)
        """
        return self.network.forward(self.weights, self._standardise(labels))[0]

    def flux(self, theta: np.ndarray) -> np.ndarray:
        """Predicted flux.

        Parameters
        ----------
        theta : ndarray, shape (n_star, n_stellar)
            Labels, ln E, ln varpi, and xi if there is one.

        Returns
        -------
        ndarray, shape (n_star, n_obs)
            1e-18 W m-2 nm-1; coefficients in photo-electrons per second.
        """
        return self._forward(theta).flux

    def flux_and_jacobian(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predicted flux and its exact derivatives with respect to `theta`.

        Parameters
        ----------
        theta : ndarray, shape (n_star, n_stellar)
            Labels, ln E, ln varpi, and xi if there is one.

        Returns
        -------
        flux : ndarray, shape (n_star, n_obs)
        jacobian : ndarray, shape (n_star, n_stellar, n_obs)
            ``jacobian[s, k, i]`` = d flux[s, i] / d theta[s, k].
        """
        light = self._forward(theta)
        slopes = self._slopes(theta, light)
        return light.flux, self.space.observe(
            slopes.seen * light.transmission[:, None, :] + slopes.dust * light.dimmed[:, None, :]
        )

    def curvature(self, theta: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Exact second derivatives of sum(weights * flux) with respect to `theta`.

        Parameters
        ----------
        theta : ndarray, shape (n_star, n_stellar)
            Labels, ln E, ln varpi, and xi if there is one.
        weights : ndarray, shape (n_star, n_obs)
            For what a Gauss-Newton Hessian of chi2 leaves out: d chi2 / d flux.

        Returns
        -------
        ndarray, shape (n_star, n_stellar, n_stellar)

        Notes
        -----
        On the grid the flux is S T: the spectrum S that the instrument sees, a linear map of what
        the star emits, times the dust's transmission T. So the sum's second derivatives are those
        of sum(w S T), with w the weights pulled back to the grid: S''T + S'T' + T'S' + S T''.
        Emission and transmission are exponentials, whose second derivative is exp(f) (f'f' + f'').
        """
        light, space, k = self._forward(theta), self.space, self.n_label
        slopes = self._slopes(theta, light)
        on_grid = space.observe_adjoint(weights)
        on_seen = on_grid * light.transmission
        on_dimmed = on_grid * light.dimmed
        on_emitted = space.observe_adjoint(space.spectrum_adjoint(on_seen)) * light.emitted
        mixed = _products(on_seen, slopes.seen, slopes.dust)
        total = _products(on_emitted, slopes.emitted, slopes.emitted)
        total = total + _products(on_dimmed, slopes.dust, slopes.dust)
        total = total + mixed + array_namespace(mixed).matrix_transpose(mixed)
        bends = self.network.curvature(
            self.weights, light.caches, self._directions(theta), on_emitted
        )
        total[:, :k, :k] = total[:, :k, :k] + bends
        return self._add_dust_bends(total, theta, light, on_dimmed)

    def flux_and_pullback(self, theta: np.ndarray):
        """Predicted flux, and the map from d loss / d flux to d loss / d parameters.

        Parameters
        ----------
        theta : ndarray, shape (n_star, n_stellar)
            Labels, ln E, ln varpi, and xi if there is one.

        Returns
        -------
        flux : ndarray, shape (n_star, n_obs)
        pullback : callable
            Takes d loss / d flux, shape (n_star, n_obs), and returns the gradient with respect to
            `parameters`, shape (n_parameters,).
        """
        light = self._forward(theta)
        extinction = np.exp(theta[:, self.n_label])
        space = self.space

        def pullback(dflux: np.ndarray) -> np.ndarray:
            d_dimmed = space.observe_adjoint(dflux)
            d_emitted = space.observe_adjoint(space.spectrum_adjoint(d_dimmed * light.transmission))
            network = self.network.backward(self.weights, light.caches, d_emitted * light.emitted)
            d_ln_transmission = d_dimmed * light.dimmed
            d_ln_curve = -extinction[:, None] * light.curve * d_ln_transmission
            second_order = (extinction**2 @ d_ln_transmission)[: len(self.second_order)]
            variation = theta[:, -1] @ d_ln_curve if self.curve_varies else np.empty(0)
            return np.concatenate([network, d_ln_curve.sum(axis=0), second_order, variation])

        return light.flux, pullback

    def _slopes(self, theta: np.ndarray, light: _Light) -> _Slopes:
        """First derivatives with respect to `theta`, each on the grid."""
        xp, k = array_namespace(theta), self.n_label
        shape = (theta.shape[0], self.n_stellar, self.space.n_grid)
        where = {"dtype": light.flux.dtype, "device": device(theta)}
        emitted, dust = xp.zeros(shape, **where), xp.zeros(shape, **where)
        emitted[:, :k, :] = self.network.tangent(
            self.weights, light.caches, self._directions(theta)
        )
        emitted[:, k + 1, :] = 2.0
        extinction = xp.exp(theta[:, k, None])
        slope = -extinction * light.curve
        dust[:, k, :] = slope
        if self.space.second_order:
            dust[:, k, :] = slope + 2.0 * extinction**2 * self.second_order
        if self.curve_varies:
            dust[:, k + 2, :] = slope * self.variation
        seen = self.space.spectrum(self.space.observe(emitted * light.emitted[:, None, :]))
        return _Slopes(emitted, seen, dust)

    def _add_dust_bends(self, total, theta, light, weights) -> np.ndarray:
        """Add sum(weights * second derivatives of ln transmission)."""
        xp, k = array_namespace(theta), self.n_label
        extinction = xp.exp(theta[:, k, None])
        bend = -extinction * light.curve * weights
        along = bend
        if self.space.second_order:
            along = bend + 4.0 * extinction**2 * self.second_order * weights
        total[:, k, k] = total[:, k, k] + xp.sum(along, axis=-1)
        if self.curve_varies:
            mixed = xp.sum(bend * self.variation, axis=-1)
            total[:, k, k + 2] = total[:, k, k + 2] + mixed
            total[:, k + 2, k] = total[:, k + 2, k] + mixed
            own = xp.sum(bend * self.variation**2, axis=-1)
            total[:, k + 2, k + 2] = total[:, k + 2, k + 2] + own
        return total

    def _directions(self, theta: np.ndarray) -> np.ndarray:
        """Unit steps in the labels as the network sees them, shape (n_star, n_label, n_label)."""
        xp, k = array_namespace(theta), self.n_label
        unit = xp.eye(k, dtype=theta.dtype, device=device(theta)) / self.label_scale
        return xp.broadcast_to(unit, (theta.shape[0], k, k))

    def _standardise(self, labels: np.ndarray) -> np.ndarray:
        return (labels - self.label_mean) / self.label_scale

    def _forward(self, theta: np.ndarray) -> _Light:
        """Follow the light from the star to the data vector."""
        xp, k = array_namespace(theta), self.n_label
        g, caches = self.network.forward(self.weights, self._standardise(theta[:, :k]))
        emitted = xp.exp(g + 2.0 * theta[:, k + 1, None])
        extinction = xp.exp(theta[:, k, None])
        curve = self.extinction_curve
        if self.curve_varies:
            curve = xp.exp(self.ln_curve + theta[:, k + 2, None] * self.variation)
        ln_transmission = -extinction * curve
        if self.space.second_order:
            ln_transmission = ln_transmission + extinction**2 * self.second_order
        transmission = xp.exp(ln_transmission)
        dimmed = self.space.spectrum(self.space.observe(emitted)) * transmission
        return _Light(emitted, curve, transmission, dimmed, self.space.observe(dimmed), caches)


@dataclass
class _Light:
    """Stages of a prediction: on the grid (n_star, n_grid), but for `flux` (n_star, n_obs).

    `emitted` is the emulator's spectrum times varpi^2, `dimmed` what the instrument sees of it,
    times the dust's `transmission`, which follows from the extinction `curve` (n_grid,), or
    (n_star, n_grid) if that varies; `flux` is the data vector; `caches` are the network's.
    """

    emitted: np.ndarray
    curve: np.ndarray
    transmission: np.ndarray
    dimmed: np.ndarray
    flux: np.ndarray
    caches: list


@dataclass
class _Slopes:
    """First derivatives by `theta` on the grid, each (n_star, n_stellar, n_grid).

    Of the logarithm of what is `emitted`, of the spectrum `seen`, which is what the instrument sees
    of that, and of the logarithm of the transmission of `dust`.
    """

    emitted: np.ndarray
    seen: np.ndarray
    dust: np.ndarray


def _products(weights: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Weighted sums over the grid of all products of derivatives, (n_star, n_left, n_right)."""
    return (left * weights[:, None, :]) @ array_namespace(right).matrix_transpose(right)
