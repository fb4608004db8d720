"""First-order optimisers that update a flat parameter vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np


class Optimiser(Protocol):
    """Interface of optimisers."""

    def step(
        self, parameters: np.ndarray, gradient: np.ndarray, learning_rate: float
    ) -> np.ndarray:
        """Return the updated parameters; the argument is left as it is."""
        ...

    def state(self) -> dict[str, np.ndarray]:
        """Arrays that the next step depends on, besides its arguments."""
        ...

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from what `state` returned."""
        ...


class SGD:
    """Gradient descent with momentum: v <- m v - rate * gradient; p <- p + v.

    Parameters
    ----------
    momentum : float
        In [0, 1). ZGR23 use 0.5 for the model and 0 for the stars.
    """

    def __init__(self, momentum: float = 0.0):
        if not 0.0 <= momentum < 1.0:
            raise ValueError(f"momentum must lie in [0, 1), got {momentum}")
        self.momentum = momentum
        self._velocity: np.ndarray | float = 0.0

    def step(self, parameters, gradient, learning_rate):
        """See `Optimiser.step`."""
        self._velocity = self.momentum * self._velocity - learning_rate * gradient
        return parameters + self._velocity

    def state(self):
        """See `Optimiser.state`."""
        return {"velocity": np.asarray(self._velocity)}

    def restore(self, state):
        """See `Optimiser.restore`."""
        self._velocity = state["velocity"]


class Adam:
    """Adam (Kingma & Ba 2014, algorithm 1).

    Parameters
    ----------
    beta1, beta2 : float
        Decay rates of the running mean and mean square of the gradient.
    epsilon : float
        Keeps the division finite where the gradient vanishes.
    """

    def __init__(self, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8):
        for name, value in (("beta1", beta1), ("beta2", beta2)):
            if not 0.0 <= value < 1.0:
                raise ValueError(f"{name} must lie in [0, 1), got {value}")
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self._mean: np.ndarray | float = 0.0
        self._square: np.ndarray | float = 0.0
        self._n_steps = 0

    def step(self, parameters, gradient, learning_rate):
        """See `Optimiser.step`."""
        self._n_steps += 1
        self._mean = self.beta1 * self._mean + (1.0 - self.beta1) * gradient
        self._square = self.beta2 * self._square + (1.0 - self.beta2) * gradient**2
        mean = self._mean / (1.0 - self.beta1**self._n_steps)
        square = self._square / (1.0 - self.beta2**self._n_steps)
        return parameters - learning_rate * mean / (np.sqrt(square) + self.epsilon)

    def state(self):
        """See `Optimiser.state`."""
        return {
            "mean": np.asarray(self._mean),
            "square": np.asarray(self._square),
            "n_steps": np.asarray(self._n_steps),
        }

    def restore(self, state):
        """See `Optimiser.restore`."""
        self._mean, self._square = state["mean"], state["square"]
        self._n_steps = int(state["n_steps"])


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2).

    Parameters
    ----------
    weight_decay : float
        Share of the parameters, times the learning rate, that each step takes off.
    beta1, beta2, epsilon : float
        See `Adam`.
    """

    def __init__(
        self,
        weight_decay: float = 1e-2,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ):
        super().__init__(beta1, beta2, epsilon)
        self.weight_decay = weight_decay

    def step(self, parameters, gradient, learning_rate):
        """See `Optimiser.step`."""
        decayed = parameters * (1.0 - learning_rate * self.weight_decay)
        return decayed + (super().step(parameters, gradient, learning_rate) - parameters)


class Adamax(Adam):
    """Adam with the largest gradient so far in place of the mean square (Kingma & Ba, algorithm 2).

    Parameters
    ----------
    beta1, beta2 : float
        Decay rates of the running mean and of the running maximum of the gradient.
    epsilon : float
        Keeps the division finite where the gradient vanishes.
    """

    def step(self, parameters, gradient, learning_rate):
        """See `Optimiser.step`."""
        self._n_steps += 1
        self._mean = self.beta1 * self._mean + (1.0 - self.beta1) * gradient
        # Where Adam keeps the mean square.
        self._square = np.maximum(self.beta2 * self._square, np.abs(gradient))
        rate = learning_rate / (1.0 - self.beta1**self._n_steps)
        return parameters - rate * self._mean / (self._square + self.epsilon)
