"""Engines: three ways to descend to an optimum, one contract.

`ScipyEngine` is the reference, star by star with scipy.optimize. `NumbaEngine` is what a catalogue
runs on; `ArrayEngine` is the same algorithm in array code, for GPUs and where Numba is missing.
"""

from __future__ import annotations

import importlib.util
import warnings
from abc import ABC, abstractmethod

import numpy as np
from array_api_compat import array_namespace

from ..arrays import with_arrays
from ..data.space import CoefficientSpace
from ..data.spectra import Spectra
from ..errors import InputError
from ..model import XPModel
from ..model.covariance import ModelCovariance, inflate, residual_scale
from ..nn import Dense, Tanh
from .descent import Descents, descend
from .device import CPU, Device, device_of
from .objective import Objective
from .precompile import precompile
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
    data : tuple of ndarray
        Flux, whitener, parallax and its error, in the engine's namespace. Whiteners know of the
        emulator's own error.
    """

    data: tuple

    @property
    def n_obs(self) -> int:
        """Length of the data vectors."""
        return self.data[0].shape[1]

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

    Parameters
    ----------
    model : XPModel
    covariance : ModelCovariance, optional
        The emulator's own error, to be added to that of every star.

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

    def __init__(self, model: XPModel, covariance: ModelCovariance | None = None):
        self.model = model
        self.rules = Rules(model.forward.scale)
        self._root = None if covariance is None else covariance.root()

    @abstractmethod
    def load(self, spectra: Spectra) -> Stars:
        """Take in some stars, all of which can be fitted."""

    def _scale(self, spectra: Spectra) -> np.ndarray:
        """What the emulator's error is a fraction of."""
        return residual_scale(spectra.space, spectra.flux)


class ScipyEngine(Engine):
    """scipy.optimize for every star: the reference."""

    name = "scipy"
    in_steps = False
    in_threads = False

    def load(self, spectra):
        """See `Engine.load`."""
        whitener = spectra.whitener
        if self._root is not None:
            whitener = inflate(whitener, self._scale(spectra), self._root)
        return _ScipyStars(self, (spectra.flux, whitener, spectra.parallax, spectra.parallax_err))


class _ScipyStars(Stars):
    def __init__(self, engine: ScipyEngine, data: tuple):
        model = engine.model
        self.data, self.rules = data, engine.rules
        self.objective = Objective(model.forward, model.prior, model.absolute, *data)

    def begin(self, star, theta):
        descents = Descents.empty(star, theta, self.rules)
        if len(descents):
            descents.stand_at(self.objective[star].evaluate(descents.theta))
        return descents

    def descend(self, descents, which, n_iterations):
        # scipy.optimize takes half a second to import.
        from .map import maximise_posterior

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

    def __init__(
        self,
        model: XPModel,
        covariance: ModelCovariance | None = None,
        device: Device = CPU,
        single: bool = False,
    ):
        super().__init__(model, covariance)
        self.device = device
        self.forward = with_arrays(model.forward, device.asarray)
        self.prior = with_arrays(model.prior, device.asarray)
        self.single = with_arrays(self.forward, _to_single) if single else None
        self.rules_there = self.rules._replace(scale=device.asarray(self.rules.scale))

    def load(self, spectra):
        """See `Engine.load`."""
        asarray = self.device.asarray
        whitener = asarray(spectra.whitener)
        if self._root is not None:
            whitener = inflate(whitener, asarray(self._scale(spectra)), asarray(self._root))
        flux, *parallaxes = (
            asarray(x) for x in (spectra.flux, spectra.parallax, spectra.parallax_err)
        )
        return _ArrayStars(self, (flux, whitener, *parallaxes))


class _ArrayStars(Stars):
    def __init__(self, engine: ArrayEngine, data: tuple):
        self.engine, self.data = engine, data
        absolute = engine.model.absolute
        self.fine = self.coarse = Objective(engine.forward, engine.prior, absolute, *data)
        if engine.single is not None:
            flux, whitener = (_to_single(x) for x in data[:2])
            self.coarse = Objective(
                engine.single, engine.prior, absolute, flux, whitener, *data[2:]
            )
        d, forward = self.n_obs, engine.forward
        # A descent's whitener, and a handful of arrays on the grid for each of its parameters.
        full = 8 * d * d if data[1].ndim == 3 else 0
        self.bytes = full + 80 * (forward.n_stellar + 2) * (d + forward.space.n_grid)

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
            descents.damping[which] = self.engine.rules.start_damping
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
            steps = descend(objective[here.star], self.engine.rules_there, here, n_iterations)
            for some, there in steps:
                descents.put(rows[device.to_numpy(some)], there.map(device.to_numpy))


class NumbaEngine(Engine):
    """The same algorithm in compiled code, star by star."""

    name = "numba"

    def __init__(self, model: XPModel, covariance: ModelCovariance | None = None):
        super().__init__(model, covariance)
        from . import kernel

        self._kernel = kernel
        self._model = _kernel_model(model, kernel.KernelModel)

    def load(self, spectra):
        """See `Engine.load`."""
        precompile()
        whitener = np.ascontiguousarray(spectra.whitener)
        if self._root is not None:
            rows = whitener[:, None, :] if whitener.ndim == 2 else whitener
            whitener = self._kernel.inflate(rows, self._scale(spectra), self._root)
        return _NumbaStars(self, (spectra.flux, whitener, spectra.parallax, spectra.parallax_err))


class _NumbaStars(Stars):
    def __init__(self, engine: NumbaEngine, data: tuple):
        self.engine, self.data = engine, data
        flux, whitener, *parallaxes = data
        rows = whitener[:, None, :] if whitener.ndim == 2 else whitener
        self.stars = engine._kernel.KernelStars(
            np.ascontiguousarray(flux), rows, engine._kernel.find_ends(rows), *parallaxes
        )

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
    model: XPModel,
    covariance: ModelCovariance | None = None,
    engine: str = "auto",
    device: str = "cpu",
    single: bool = False,
) -> Engine:
    """Engine of a name.

    Parameters
    ----------
    model : XPModel
    covariance : ModelCovariance, optional
        The emulator's own error, to be added to that of every star.
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
        engine = "array" if device == "gpu" or single else _fastest()
    if engine != "array" and (device == "gpu" or single):
        raise InputError(
            f"the {engine} engine runs in double precision on the processor: "
            "use the array engine, or leave device and single precision alone"
        )
    if engine == "array":
        return ArrayEngine(model, covariance, place, single)
    if engine == "scipy":
        return ScipyEngine(model, covariance)
    if not _has_numba():
        raise InputError('the numba engine needs Numba: pip install "xpfit[fast]"')
    return NumbaEngine(model, covariance)


def _fastest() -> str:
    """Name of the fastest engine that is there."""
    if _has_numba():
        return "numba"
    warnings.warn(NO_NUMBA, stacklevel=4)
    return "array"


def _has_numba() -> bool:
    return importlib.util.find_spec("numba") is not None


def _to_single(values):
    """Floating-point arrays in single precision; others as they are."""
    xp = array_namespace(values)
    return xp.astype(values, xp.float32) if values.dtype == xp.float64 else values


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
