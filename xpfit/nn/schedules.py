"""Learning-rate schedules: functions of the epoch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


class Schedule(ABC):
    """Learning rate as a function of the epoch."""

    @abstractmethod
    def __call__(self, epoch: float) -> float:
        """Rate at an epoch (a fraction is allowed)."""

    def observe(self, loss: float) -> None:  # noqa: B027
        """Record an epoch's validation loss, which the rate may depend on."""


@dataclass(frozen=True)
class StepSchedule(Schedule):
    """A rate that is multiplied by `factor` when each milestone is reached.

    Parameters
    ----------
    initial : float
        Rate at epoch 0.
    milestones : sequence of int
        Epochs at which the rate drops; ZGR23 use 32, 64 and 96.
    factor : float
        By which it is multiplied.
    """

    initial: float
    milestones: Sequence[int] = ()
    factor: float = 0.1

    def __call__(self, epoch: float) -> float:
        """Rate at an epoch (a fraction is allowed)."""
        n_drops = sum(epoch >= milestone for milestone in self.milestones)
        return self.initial * self.factor**n_drops


@dataclass(frozen=True)
class CosineSchedule(Schedule):
    """A rate that falls along half a cosine from `initial` to `final` over `n_epochs`.

    Parameters
    ----------
    initial, final : float
        Rates at epoch 0 and from epoch `n_epochs` on.
    n_epochs : float
        Length of the fall.
    """

    initial: float
    n_epochs: float
    final: float = 0.0

    def __call__(self, epoch: float) -> float:
        """Rate at an epoch (a fraction is allowed)."""
        progress = min(max(epoch / self.n_epochs, 0.0), 1.0)
        return self.final + 0.5 * (self.initial - self.final) * (1.0 + np.cos(np.pi * progress))


@dataclass(frozen=True)
class WarmRestartSchedule(Schedule):
    """Cosine cycles, each longer than the one before (Loshchilov & Hutter 2017).

    Parameters
    ----------
    initial, final : float
        Rates at the beginning and at the end of each cycle.
    first : float
        Epochs of the first cycle.
    factor : float
        Length of each cycle over that of the one before.
    """

    initial: float
    first: float
    factor: float = 2.0
    final: float = 0.0

    def __call__(self, epoch: float) -> float:
        """Rate at an epoch (a fraction is allowed)."""
        length = self.first
        while epoch >= length:
            epoch, length = epoch - length, length * self.factor
        return CosineSchedule(self.initial, length, self.final)(epoch)


class PlateauSchedule(Schedule):
    """A rate that is multiplied by `factor` whenever a loss has stopped falling.

    Parameters
    ----------
    initial : float
        Rate at the beginning.
    patience : int
        Epochs without a new lowest loss after which the rate drops.
    factor : float
        By which it is multiplied.

    Attributes
    ----------
    rate : float
    best : float
        Lowest loss so far.
    n_stale : int
        Epochs since then.
    """

    def __init__(self, initial: float, patience: int, factor: float = 0.1):
        self.rate, self.patience, self.factor = initial, patience, factor
        self.best, self.n_stale = np.inf, 0

    def __call__(self, epoch: float) -> float:
        """Rate at the current epoch, whatever `epoch` is."""
        return self.rate

    def observe(self, loss: float) -> None:
        """See `Schedule.observe`."""
        self.n_stale += 1
        if loss < self.best:
            self.best, self.n_stale = loss, 0
        elif self.n_stale % self.patience == 0:
            self.rate *= self.factor
