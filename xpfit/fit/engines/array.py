"""Levenberg-Marquardt in array code, all stars of a batch together: on GPUs, or without Numba."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ...arrays import batches, with_arrays
from ...model import XPModel
from ..data import FitData
from ..descent import Descents, iterate
from ..device import CPU, Device
from ..objective import Objective
from .base import Engine, LoadedStars


class ArrayEngine(Engine):
    """Levenberg-Marquardt in array code.

    Parameters
    ----------
    model : XPModel
    device : Device
    single : bool
        Iterate in single precision first, where it is faster, and finish in double.
    """

    name = "array"

    def __init__(self, model: XPModel, device: Device = CPU, single: bool = False) -> None:
        super().__init__(model)
        self.device = device
        self.forward = with_arrays(model.forward, device.asarray)
        self.prior = with_arrays(model.prior, device.asarray)
        self.single = with_arrays(self.forward, _to_single) if single else None
        scale = device.asarray(self.lm_settings.scale)
        self.device_settings = self.lm_settings._replace(scale=scale)

    def load(self, data: FitData) -> ArrayStars:
        """See `Engine.load`."""
        return ArrayStars(self, data)


class ArrayStars(LoadedStars):
    """Stars of an `ArrayEngine` (see `LoadedStars`)."""

    def __init__(self, engine: ArrayEngine, data: FitData) -> None:
        self.engine, self.data = engine, data
        absolute, how = engine.model.absolute, engine.model.parallax_prior
        self.objective = self.first = Objective(engine.forward, engine.prior, absolute, data, how)
        if engine.single is not None:
            whitener = with_arrays(data.whitener, _to_single)
            first = replace(data, flux=_to_single(data.flux), whitener=whitener)
            self.first = replace(self.objective, forward=engine.single, data=first)
        d, forward = data.n_obs, engine.forward
        # A descent's whitener, and a handful of arrays on the grid for each of its parameters.
        full = 8 * d * data.whitener.rows.shape[1]
        self.bytes = full + 80 * (forward.n_stellar + 2) * (d + forward.space.n_grid)

    def begin(self, star: np.ndarray, theta: np.ndarray) -> Descents:
        """See `LoadedStars.begin`."""
        descents = Descents.empty(star, theta, self.engine.lm_settings)
        self._evaluate(self.first, descents, np.arange(len(descents)))
        return descents

    def iterate(self, descents: Descents, which: np.ndarray, n_iterations: int) -> None:
        """See `LoadedStars.iterate`."""
        self._iterate(self.first, descents, which, n_iterations)

    def finish(self, descents: Descents, which: np.ndarray, n_iterations: int) -> None:
        """See `LoadedStars.finish`."""
        if self.first is not self.objective:
            self._iterate(self.first, descents, which, n_iterations)
            self._evaluate(self.objective, descents, which)
            descents.finished[which] = False
            descents.damping[which] = self.engine.lm_settings.initial_damping
        self._iterate(self.objective, descents, which, n_iterations)

    def _batches(self, which: np.ndarray) -> Iterator[np.ndarray]:
        """Descents that fit into memory together."""
        n = max(1, int(self.engine.device.free_bytes() / self.bytes))
        return (which[rows] for rows in batches(len(which), n))

    def _evaluate(self, objective: Objective, descents: Descents, which: np.ndarray) -> None:
        device = self.engine.device
        for rows in self._batches(which):
            batch = descents.take(rows)
            values = objective[device.asarray(batch.star)].evaluate(device.asarray(batch.theta))
            for name, value in vars(values).items():
                setattr(batch, name, device.to_numpy(value))
            descents.put(rows, batch)

    def _iterate(
        self, objective: Objective, descents: Descents, which: np.ndarray, n_iterations: int
    ) -> None:
        device = self.engine.device
        for rows in self._batches(which):
            batch = descents.take(rows).map(device.asarray)
            parts = iterate(objective[batch.star], self.engine.device_settings, batch, n_iterations)
            for done, part in parts:
                descents.put(rows[device.to_numpy(done)], part.map(device.to_numpy))


def _to_single(values: Any) -> Any:
    """Floating-point arrays in single precision; others unchanged."""
    xp = array_namespace(values)
    return xp.astype(values, xp.float32) if values.dtype == xp.float64 else values
