"""Engines: three ways to descend to an optimum, one contract.

`ScipyEngine` is the reference, star by star with scipy.optimize. `NumbaEngine` is what a catalogue
runs on; `ArrayEngine` is the same algorithm in array code, for GPUs and where Numba is missing.
"""

from __future__ import annotations

import importlib.util
import warnings
from abc import ABC, abstractmethod

import numpy as np

from ..arrays import with_arrays
from ..errors import InputError
from ..model import XPModel
from ..nn import Dense, Tanh
from ..space import CoefficientSpace
from .descent import Descents, descend
from .device import CPU, Device, device_of
from .map import maximise_posterior
from .objective import Objective
from .rules import Rules

ENGINES = ("auto", "numba", "array", "scipy")
"""Names of the engines."""

NO_NUMBA = (
    'the Numba core is many times faster than the array engine: pip install "xpfit[fast]" gets it'
)


class Stars(ABC):
    """Stars that an engine has taken in and can descend with.

    Attributes
    ----------
    n_obs : int
        Length of their data vectors.
    """

    n_obs: int

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
    def descend(self, descents: Descents, which: np.ndarray, n_iterations: int) -> None:
        """Up to `n_iterations` more steps of some descents, in place."""

    def finish(self, descents: Descents, which: np.ndarray, n_iterations: int) -> None:
        """Like `descend`, for the last time: to full precision."""
        self.descend(descents, which, n_iterations)


class Engine(ABC):
    """A way to descend.

    Attributes
    ----------
    name : str
    in_steps : bool
        Whether descents can be interrupted, to be judged, and continued.
    in_threads : bool
        Whether threads can share it; else it needs processes.
    """

    name: str
    in_steps = True
    in_threads = True

    def __init__(self, model: XPModel):
        self.model = model
        self.rules = Rules(model.forward.scale)

    @abstractmethod
    def load(
        self,
        flux: np.ndarray,
        whitener: np.ndarray,
        parallax: np.ndarray,
        parallax_err: np.ndarray,
    ) -> Stars:
        """Take in some stars.

        Parameters
        ----------
        flux : ndarray, shape (n_star, n_obs)
        whitener : ndarray, shape (n_star, n_obs) or (n_star, n_obs, n_obs)
        parallax, parallax_err : ndarray, shape (n_star,)

        Returns
        -------
        Stars
        """


class ScipyEngine(Engine):
    """scipy.optimize for every star: the reference."""

    name = "scipy"
    in_steps = False
    in_threads = False

    def load(self, flux, whitener, parallax, parallax_err):
        """See `Engine.load`."""
        return _ScipyStars(
            _objective(self.model, flux, whitener, parallax, parallax_err), self.rules
        )


class _ScipyStars(Stars):
    def __init__(self, objective: Objective, rules: Rules):
        self.objective, self.rules = objective, rules
        self.n_obs = objective.flux.shape[1]

    def begin(self, star, theta):
        descents = Descents.empty(star, theta, self.rules)
        if len(descents):
            descents.stand_at(self.objective[star].evaluate(descents.theta))
        return descents

    def descend(self, descents, which, n_iterations):
        for m in which:
            objective = self.objective[descents.star[m : m + 1]]
            theta, steps = maximise_posterior(
                objective, descents.theta[m], self.rules.scale, n_iterations
            )
            here = descents.take(np.array([m]))
            here.theta = theta[None]
            here.stand_at(objective.evaluate(here.theta))
            here.n_iterations = here.n_iterations + steps
            descents.put(np.array([m]), here)


class ArrayEngine(Engine):
    """Levenberg-Marquardt in array code, all stars of a batch together.

    Parameters
    ----------
    model : XPModel
    device : Device
    single : bool
        Descend in single precision first, where it is faster, and finish in double.
    """

    name = "array"

    def __init__(self, model: XPModel, device: Device = CPU, single: bool = False):
        super().__init__(model)
        self.device, self.single = device, single
        asarray = device.asarray
        self._models = {np.float64: with_arrays(model.forward, asarray)}
        if single:
            self._models[np.float32] = with_arrays(
                model.forward, lambda x: asarray(x.astype(np.float32) if x.dtype == float else x)
            )
        self._prior = with_arrays(model.prior, asarray)
        self._rules = self.rules._replace(scale=asarray(self.rules.scale))

    def load(self, flux, whitener, parallax, parallax_err):
        """See `Engine.load`."""
        asarray = self.device.asarray
        objectives = [
            Objective(
                forward,
                self._prior,
                self.model.absolute,
                asarray(flux.astype(dtype, copy=False)),
                asarray(whitener.astype(dtype, copy=False)),
                asarray(parallax),
                asarray(parallax_err),
            )
            for dtype, forward in self._models.items()
        ]
        return _ArrayStars(self, objectives)


class _ArrayStars(Stars):
    def __init__(self, engine: ArrayEngine, objectives: list[Objective]):
        self.engine = engine
        self.fine, self.coarse = objectives[0], objectives[-1]
        d = self.n_obs = self.fine.flux.shape[1]
        p = self.fine.forward.n_stellar
        grid = self.fine.forward.space.n_grid
        # A descent's whitener, and a handful of arrays on the grid for each of its parameters.
        self.bytes = 8 * (self.fine.whitener.ndim == 3) * d * d + 80 * (p + 2) * (d + grid)

    def begin(self, star, theta):
        descents = Descents.empty(star, theta, self.engine.rules)
        self._evaluate(self.coarse, descents, np.arange(len(descents)))
        return descents

    def descend(self, descents, which, n_iterations):
        self._descend(self.coarse, descents, which, n_iterations)

    def finish(self, descents, which, n_iterations):
        if self.fine is not self.coarse:
            self._descend(self.coarse, descents, which, n_iterations)
            self._evaluate(self.fine, descents, which)
            descents.finished[which] = False
        self._descend(self.fine, descents, which, n_iterations)

    def _batches(self, which):
        """Descents that fit into memory together."""
        n = max(1, int(self.engine.device.free_bytes() / self.bytes))
        return (which[i : i + n] for i in range(0, len(which), n))

    def _evaluate(self, objective, descents, which):
        device = self.engine.device
        for rows in self._batches(which):
            here = descents.take(rows)
            there = objective[device.asarray(here.star)].evaluate(device.asarray(here.theta))
            for name, value in vars(there).items():
                setattr(here, name, device.to_numpy(value))
            descents.put(rows, here)

    def _descend(self, objective, descents, which, n_iterations):
        device = self.engine.device
        for rows in self._batches(which):
            here = descents.take(rows).map(device.asarray)
            steps = descend(objective[here.star], self.engine._rules, here, n_iterations)
            for some, there in steps:
                descents.put(rows[device.to_numpy(some)], there.map(device.to_numpy))


class NumbaEngine(Engine):
    """The same algorithm in compiled code, star by star."""

    name = "numba"

    def __init__(self, model: XPModel):
        super().__init__(model)
        from . import kernel

        self._kernel = kernel
        self._model = _kernel_model(model, kernel.KernelModel)

    def load(self, flux, whitener, parallax, parallax_err):
        """See `Engine.load`."""
        if whitener.ndim == 2:
            whitener = whitener[:, None, :]
        arrays = (np.ascontiguousarray(x) for x in (flux, whitener, parallax, parallax_err))
        return _NumbaStars(self, self._kernel.KernelStars(*arrays))


class _NumbaStars(Stars):
    def __init__(self, engine: NumbaEngine, stars):
        self.engine, self.stars = engine, stars
        self.n_obs = stars.flux.shape[1]

    def begin(self, star, theta):
        descents = Descents.empty(star, theta, self.engine.rules)
        kernel = self.engine._kernel
        kernel.evaluate(self.engine._model, self.stars, self._state(descents))
        return descents

    def descend(self, descents, which, n_iterations):
        self.engine._kernel.descend(
            self.engine._model,
            self.stars,
            self.engine.rules,
            self._state(descents),
            np.asarray(which, dtype=np.int64),
            n_iterations,
        )

    def _state(self, descents):
        return self.engine._kernel.KernelState(**vars(descents))


def choose_engine(
    model: XPModel, engine: str = "auto", device: str = "cpu", single: bool = False
) -> Engine:
    """Engine of a name.

    Parameters
    ----------
    model : XPModel
    engine : {"auto", "numba", "array", "scipy"}
        By default Numba's on the processor if Numba is installed, else the array engine.
    device : {"cpu", "gpu"}
    single : bool
        Single precision where it does no harm; the array engine alone knows it.

    Returns
    -------
    Engine

    Raises
    ------
    InputError
        If there is no such engine or device, or the two do not go together.
    """
    if engine not in ENGINES:
        raise InputError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    place = device_of(device)
    if engine == "auto":
        # Single precision is for GPUs; there and with it, the array engine is the only one.
        engine = "array" if device == "gpu" or single else _fastest(model)
    if engine != "array" and (device == "gpu" or single):
        raise InputError(
            f"the {engine} engine runs in double precision on the processor: "
            "use the array engine, or leave device and single precision alone"
        )
    if engine == "array":
        return ArrayEngine(model, place, single)
    if engine == "scipy":
        return ScipyEngine(model)
    if not _has_numba():
        raise InputError('the numba engine needs Numba: pip install "xpfit[fast]"')
    return NumbaEngine(model)


def _fastest(model: XPModel) -> str:
    """Name of the fastest engine that is there."""
    if _has_numba():
        return "numba"
    warnings.warn(NO_NUMBA, stacklevel=4)
    return "array"


def _has_numba() -> bool:
    return importlib.util.find_spec("numba") is not None


def _objective(model: XPModel, flux, whitener, parallax, parallax_err) -> Objective:
    return Objective(
        model.forward, model.prior, model.absolute, flux, whitener, parallax, parallax_err
    )


def _kernel_model(model: XPModel, kind):
    """The model as plain, contiguous arrays."""
    forward, prior, space = model.forward, model.prior, model.space
    layers = forward.network.layers
    expected = [Dense, Tanh] * (len(layers) // 2) + [Dense]
    if [type(layer) for layer in layers] != expected:
        raise InputError(
            "the numba engine knows networks of dense layers with tanh between them; "
            "use the array engine for this model"
        )
    empty = (np.empty((0, 0)),) * 4
    bases = empty
    if isinstance(space, CoefficientSpace):
        bp_inverse, rp_inverse = space.inverses
        bases = space.bp_basis, bp_inverse, space.rp_basis, rp_inverse
    arrays = (
        forward.weights,
        forward.label_mean,
        forward.label_scale,
        forward.extinction_curve,
        forward.second_order,
        forward.variation,
        *bases,
        prior.ln_norm,
        prior.means,
        prior.precisions,
    )
    widths = [forward.n_label, *(layer.n_out for layer in layers if isinstance(layer, Dense))]
    return kind(
        np.array(widths),
        *(np.ascontiguousarray(x, dtype=float) for x in arrays),
        bool(model.absolute),
    )
