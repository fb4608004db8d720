"""First-order optimisers that update a flat parameter vector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import numpy as np

from ..constraints import BELOW_1, require


class Optimiser(ABC):
    """Base of the optimisers: dataclasses whose fields are settings and, if no argument, state."""

    @abstractmethod
    def step(
        self, parameters: np.ndarray, gradient: np.ndarray, learning_rate: float
    ) -> np.ndarray:
        """Return the updated parameters; the argument is left as it is."""

    def state(self) -> dict[str, np.ndarray]:
        """Arrays that the next step depends on, besides its arguments."""
        return {f.name: np.asarray(getattr(self, f.name)) for f in fields(self) if not f.init}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from what `state` returned."""
        for name in self.state():
            value = state[name]
            # Python numbers, so that single precision stays single.
            setattr(self, name, value if value.ndim else value.item())


@dataclass(eq=False)
class SGD(Optimiser):
    """Gradient descent with momentum: v <- m v - rate * gradient; p <- p + v.

    Parameters
    ----------
    momentum : float
        In [0, 1). ZGR23 use 0.5 for the model and 0 for the stars.
    """

    momentum: float = 0.0
    velocity: np.ndarray | float = field(default=0.0, init=False)

    def __post_init__(self):
        require("momentum", self.momentum, BELOW_1)

    def step(self, parameters, gradient, learning_rate):
        """See `Optimiser.step`."""
        self.velocity = self.momentum * self.velocity - learning_rate * gradient
        return parameters + self.velocity


@dataclass(eq=False)
class Adam(Optimiser):
    """Adam (Kingma & Ba 2014, algorithm 1).

    Parameters
    ----------
    beta1, beta2 : float
        Decay rates of the running mean and mean square of the gradient.
    epsilon : float
        Keeps the division finite where the gradient vanishes.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    mean: np.ndarray | float = field(default=0.0, init=False)
    square: np.ndarray | float = field(default=0.0, init=False)
    n_steps: int = field(default=0, init=False)

    def __post_init__(self):
        require("beta1", self.beta1, BELOW_1)
        require("beta2", self.beta2, BELOW_1)

    def step(self, parameters, gradient, learning_rate):
        """See `Optimiser.step`."""
        self.n_steps += 1
        self.mean = self.beta1 * self.mean + (1.0 - self.beta1) * gradient
        self.square = self.beta2 * self.square + (1.0 - self.beta2) * gradient**2
        mean = self.mean / (1.0 - self.beta1**self.n_steps)
        square = self.square / (1.0 - self.beta2**self.n_steps)
        return parameters - learning_rate * mean / (np.sqrt(square) + self.epsilon)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2).

    Parameters
    ----------
    weight_decay : float
        Share of the parameters, times the learning rate, that each step subtracts.
    **options
        Of `Adam`.
    """

    def __init__(self, weight_decay: float = 1e-2, **options: float):
        super().__init__(**options)
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
        self.n_steps += 1
        self.mean = self.beta1 * self.mean + (1.0 - self.beta1) * gradient
        # Where Adam keeps the mean square.
        self.square = np.maximum(self.beta2 * self.square, np.abs(gradient))
        rate = learning_rate / (1.0 - self.beta1**self.n_steps)
        return parameters - rate * self.mean / (self.square + self.epsilon)
