"""What every engine does: it loads stars, and minimises their losses from given starts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ...data.spectra import Spectra
from ...model import XPModel
from ...model.covariance import ModelCovariance, residual_scale
from ..descent import Descents
from ..lm_settings import LMSettings


class LoadedStars(ABC):
    """Stars whose losses an engine can minimise.

    Attributes
    ----------
    data : tuple of arrays
        Flux, whitener, parallax and its error, in the engine's namespace. The whiteners contain
        the model covariance.
    """

    data: tuple[Any, ...]

    @property
    def n_obs(self) -> int:
        """Length of the data vectors."""
        return int(self.data[0].shape[1])

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
    covariance : ModelCovariance, optional
        The emulator's own error, which is added to the covariance of every star.

    Attributes
    ----------
    name : str
    lm_settings : LMSettings
    can_pause : bool
        Whether descents can be interrupted and continued.
    thread_safe : bool
        Whether several threads can use the engine; else it needs several processes.
    """

    name: str
    can_pause = True
    thread_safe = True

    def __init__(self, model: XPModel, covariance: ModelCovariance | None = None) -> None:
        self.model = model
        self.lm_settings = LMSettings(model.forward.scale)
        self._root = None if covariance is None else covariance.root()

    @abstractmethod
    def load(self, spectra: Spectra) -> LoadedStars:
        """Load stars, all of which can be fitted."""

    def _scale(self, spectra: Spectra) -> np.ndarray:
        """What the model covariance is relative to, shape (n_star, n_obs)."""
        return residual_scale(spectra.space, spectra.flux)
