"""What every engine does: it loads stars, and minimises their losses from given starts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ...data import Triangular, Whitener
from ...model import XPModel
from ..data import FitData
from ..descent import Descents
from ..device import CPU
from ..lm_settings import LMSettings


class LoadedStars(ABC):
    """Stars whose losses an engine can minimise.

    Attributes
    ----------
    data : FitData
        In the engine's namespace.
    """

    data: FitData

    @abstractmethod
    def begin(self, star: np.ndarray, theta: np.ndarray) -> Descents:
        """Descents at their starts, evaluated.

        Parameters
        ----------
        star : ndarray of int, shape (n_descent,)
            Row of the star; those of one star follow each other.
        theta : ndarray, shape (n_descent, n_parameter)
        """

    @abstractmethod
    def iterate(self, descents: Descents, which: np.ndarray, n_iterations: int) -> None:
        """Up to `n_iterations` further steps of the descents in rows `which`, in place."""

    def finish(self, descents: Descents, which: np.ndarray, n_iterations: int) -> None:
        """Like `iterate`, for the last time: to full precision."""
        self.iterate(descents, which, n_iterations)


class Engine(ABC):
    """An implementation of the optimiser.

    Parameters
    ----------
    model : XPModel

    Attributes
    ----------
    name : str
    device : Device
        Where its arrays are.
    lm_settings : LMSettings
    can_pause : bool
        Whether descents can be interrupted and continued.
    thread_safe : bool
        Whether several threads can use the engine; else it needs several processes.
    """

    name: str
    can_pause = True
    thread_safe = True
    device = CPU

    def __init__(self, model: XPModel) -> None:
        self.model = model
        self.lm_settings = LMSettings(model.forward.scale)

    def inflate(self, whitener: Whitener, scale: Any, root: Any) -> Triangular:
        """`xpfit.data.Whitener.inflate`, or a faster version of it."""
        return whitener.inflate(scale, root)

    @abstractmethod
    def load(self, data: FitData) -> LoadedStars:
        """Load stars, all of which can be fitted."""
