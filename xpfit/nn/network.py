"""A chain of layers over one flat parameter vector with named slices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from array_api_compat import array_namespace

from .activations import ReLU, Tanh
from .layers import Dense, Dropout, Layer


class Network:
    """A chain of layers, as a function of its inputs and of one flat parameter vector.

    Parameters
    ----------
    layers : sequence of Layer
        Applied in order.

    Attributes
    ----------
    n_parameters : int
        Length of the parameter vector.
    slices : list of slice
        Each layer's part of that vector.
    is_weight : ndarray of bool, shape (n_parameters,)
        True for weights, False for biases: only weights are regularised (ZGR23, eq. 12).
    """

    def __init__(self, layers: Sequence[Layer]):
        self.layers = list(layers)
        ends = np.cumsum([layer.n_parameters for layer in self.layers])
        self.slices = [
            slice(int(end) - layer.n_parameters, int(end))
            for layer, end in zip(self.layers, ends, strict=True)
        ]
        self.n_parameters = int(ends[-1])
        self.is_weight = np.concatenate([layer.is_weight for layer in self.layers])

    def initialise(self, rng: np.random.Generator) -> np.ndarray:
        """Draw a starting parameter vector, shape (n_parameters,)."""
        return np.concatenate([layer.initialise(rng) for layer in self.layers])

    def forward(
        self, parameters: np.ndarray, x: np.ndarray, rng: np.random.Generator | None = None
    ) -> tuple[np.ndarray, list]:
        """Evaluate the network.

        Parameters
        ----------
        parameters : ndarray, shape (n_parameters,)
        x : ndarray, shape (n_batch, n_in)
        rng : numpy.random.Generator, optional
            In training, for layers that behave differently there (`Dropout`, `BatchNorm`).

        Returns
        -------
        y : ndarray, shape (n_batch, n_out)
        caches : list
            One per layer, for `backward` and `tangent`.
        """
        caches = []
        for layer, where in zip(self.layers, self.slices, strict=True):
            x, cache = layer.forward(parameters[where], x, rng)
            caches.append(cache)
        return x, caches

    def backward(self, parameters: np.ndarray, caches: list, dy: np.ndarray) -> np.ndarray:
        """Gradient of a loss with respect to the parameters.

        Parameters
        ----------
        parameters : ndarray, shape (n_parameters,)
        caches : list
            From `forward`.
        dy : ndarray, shape (n_batch, n_out)
            Gradient of the loss with respect to the output.

        Returns
        -------
        ndarray, shape (n_parameters,)
        """
        return self.pullback(parameters, caches, dy)[0]

    def pullback(
        self, parameters: np.ndarray, caches: list, dy: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gradients with respect to the parameters and to the inputs, in one pass.

        Parameters
        ----------
        parameters, caches, dy
            As for `backward`.

        Returns
        -------
        gradient : ndarray, shape (n_parameters,)
        dx : ndarray, shape (n_batch, n_in)
        """
        gradients = []
        for layer, w, cache in reversed(self._steps(parameters, caches)):
            dy, gradient = layer.backward(w, cache, dy)
            gradients.append(gradient)
        return array_namespace(dy).concat(gradients[::-1]), dy

    def update_running_statistics(
        self, parameters: np.ndarray, caches: list, share: float = 0.1
    ) -> np.ndarray:
        """Parameters with running statistics (`BatchNorm`) moved towards the last batch's.

        Parameters
        ----------
        parameters : ndarray, shape (n_parameters,)
        caches : list
            From `forward`, in training.
        share : float
            Of the way.

        Returns
        -------
        ndarray, shape (n_parameters,)
        """
        steps = self._steps(parameters, caches)
        updated = [layer.update_running_statistics(w, cache, share) for layer, w, cache in steps]
        return array_namespace(parameters).concat(updated)

    def tangent(self, parameters: np.ndarray, caches: list, dx: np.ndarray) -> np.ndarray:
        """Derivatives of the output along directions in the input (forward mode).

        Parameters
        ----------
        parameters : ndarray, shape (n_parameters,)
        caches : list
            From `forward`.
        dx : ndarray, shape (n_batch, n_direction, n_in)

        Returns
        -------
        ndarray, shape (n_batch, n_direction, n_out)
        """
        for layer, w, cache in self._steps(parameters, caches):
            dx = layer.tangent(w, cache, dx)
        return dx

    def adjoint(self, parameters: np.ndarray, caches: list, dy: np.ndarray) -> np.ndarray:
        """Gradient of a loss with respect to the inputs alone.

        Parameters
        ----------
        parameters : ndarray, shape (n_parameters,)
        caches : list
            From `forward`.
        dy : ndarray, shape (n_batch, n_out)

        Returns
        -------
        ndarray, shape (n_batch, n_in)
        """
        for layer, w, cache in reversed(self._steps(parameters, caches)):
            dy = layer.adjoint(w, cache, dy)
        return dy

    def jacobian(self, parameters: np.ndarray, x: np.ndarray, outputs: Sequence[int]) -> np.ndarray:
        """Derivatives of chosen outputs with respect to all inputs (reverse mode).

        Parameters
        ----------
        parameters : ndarray, shape (n_parameters,)
        x : ndarray, shape (n_batch, n_in)
        outputs : sequence of int
            Those wanted; each costs a pass backwards.

        Returns
        -------
        ndarray, shape (n_batch, n_outputs, n_in)
        """
        xp = array_namespace(x)
        y, caches = self.forward(parameters, x)
        rows = []
        for output in outputs:
            dy = xp.zeros_like(y)
            dy[:, output] = 1.0
            rows.append(self.adjoint(parameters, caches, dy))
        return xp.stack(rows, axis=1)

    def curvature(
        self, parameters: np.ndarray, caches: list, dx: np.ndarray, dy: np.ndarray
    ) -> np.ndarray:
        """Second derivatives of sum(dy * y) along pairs of directions in the input.

        Parameters
        ----------
        parameters : ndarray, shape (n_parameters,)
        caches : list
            From `forward`.
        dx : ndarray, shape (n_batch, n_direction, n_in)
        dy : ndarray, shape (n_batch, n_out)
            Weights of the outputs.

        Returns
        -------
        ndarray, shape (n_batch, n_direction, n_direction)

        Notes
        -----
        A nonlinear layer, sum(dy_l * y_l(x_l)), adds dx_l^T diag(dy_l y_l'') dx_l, with dx_l the
        directions pushed forward to its input and dy_l the weights pulled back to its output.
        """
        steps = self._steps(parameters, caches)
        directions = [dx]
        for layer, w, cache in steps[:-1]:
            directions.append(layer.tangent(w, cache, directions[-1]))
        total = 0.0
        for (layer, w, cache), direction in zip(steps[::-1], directions[::-1], strict=True):
            term = layer.curvature(w, cache, direction, dy)
            total = total if term is None else total + term
            dy = layer.adjoint(w, cache, dy)
        return total

    def _steps(self, parameters: np.ndarray, caches: list) -> list[tuple]:
        """Each layer with its part of the parameters and its cache."""
        parts = [parameters[where] for where in self.slices]
        return list(zip(self.layers, parts, caches, strict=True))


def multilayer_perceptron(
    n_in: int,
    hidden: Sequence[int],
    n_out: int,
    *,
    before: Sequence[Layer] = (),
    after: Sequence[Layer] = (Tanh(),),
) -> Network:
    """Dense layers with activations between them, and a linear output (ZGR23, fig. 3).

    Parameters
    ----------
    n_in, n_out : int
        Number of inputs and outputs.
    hidden : sequence of int
        Width of each hidden layer.
    before, after : sequence of Layer
        What precedes and what follows the dense layer in each hidden layer.

    Returns
    -------
    Network
    """
    layers: list[Layer] = []
    for width in hidden:
        layers += [*before, Dense(n_in, width), *after]
        n_in = width
    return Network([*layers, Dense(n_in, n_out)])


def classifier_network(n_in: int, hidden: Sequence[int], dropout: float) -> Network:
    """Dropout, dense layer, ReLU for each hidden layer, and one linear output (ZGR23, appendix B).

    Parameters
    ----------
    n_in : int
        Number of inputs.
    hidden : sequence of int
        Width of each hidden layer.
    dropout : float
        Share of each hidden layer's inputs that is dropped in training.

    Returns
    -------
    Network
        Its output is a logit: the sigmoid of it is the probability.
    """
    return multilayer_perceptron(n_in, hidden, 1, before=(Dropout(dropout),), after=(ReLU(),))
