"""Learning-rate schedules: functions of the epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class StepSchedule:
    """A rate that is multiplied by `factor` when each milestone is reached.

    Parameters
    ----------
    initial : float
        Rate at epoch 0.
    milestones : sequence of int
        Epochs at which the rate drops; ZGR23 use 32, 64 and 96.
    factor : float
        What it is multiplied by.
    """

    initial: float
    milestones: Sequence[int] = ()
    factor: float = 0.1

    def __call__(self, epoch: float) -> float:
        """Rate at an epoch (a fraction is allowed)."""
        n_drops = sum(epoch >= milestone for milestone in self.milestones)
        return self.initial * self.factor**n_drops


@dataclass(frozen=True)
class CosineSchedule:
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
