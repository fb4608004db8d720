"""Levenberg-Marquardt in compiled code, star by star: the default."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...data import Triangular, Whitener
from ...errors import InputError
from ...model import XPModel
from ...model.prior import FLAT
from ...nn import Dense, Tanh
from .. import kernel
from ..data import FitData
from ..descent import Descents
from ..precompile import precompile
from .base import Engine, LoadedStars


class NumbaEngine(Engine):
    """The algorithm of `ArrayEngine` in the compiled `xpfit.fit.kernel`.

    Raises
    ------
    InputError
        If the model's network has other layers than dense ones with tanh between them.
    """

    name = "numba"

    def __init__(self, model: XPModel) -> None:
        super().__init__(model)
        self.kernel_model = _kernel_model(model)

    def inflate(self, whitener: Whitener, scale: np.ndarray, root: np.ndarray) -> Triangular:
        """See `Engine.inflate`."""
        precompile()
        arrays = (_read_only(x) for x in (whitener.rows, scale, root))
        return Triangular(kernel.inflate(*arrays))

    def load(self, data: FitData) -> NumbaStars:
        """See `Engine.load`."""
        precompile()
        return NumbaStars(self, data)


class NumbaStars(LoadedStars):
    """Stars of a `NumbaEngine` (see `LoadedStars`)."""

    def __init__(self, engine: NumbaEngine, data: FitData) -> None:
        self.engine, self.data = engine, data
        rows = _read_only(data.whitener.rows)
        parallaxes = data.parallax, data.parallax_err, data.luminosity_err
        arrays = (data.flux, rows, kernel.find_ends(rows), *parallaxes)
        self.stars = kernel.KernelStars(*(_read_only(x) for x in arrays))

    def begin(self, star: np.ndarray, theta: np.ndarray) -> Descents:
        """See `LoadedStars.begin`."""
        descents = Descents.empty(star, theta, self.engine.lm_settings)
        kernel.evaluate(self.engine.kernel_model, self.stars, _state(descents))
        return descents

    def iterate(self, descents: Descents, which: np.ndarray, n_iterations: int) -> None:
        """See `LoadedStars.iterate`."""
        kernel.iterate(
            self.engine.kernel_model,
            self.stars,
            self.engine.lm_settings,
            _state(descents),
            np.asarray(which, dtype=np.int64),
            n_iterations,
        )


def _read_only(values: np.ndarray) -> np.ndarray:
    """Read-only view: Numba would compile again for arrays that can be written to."""
    view = np.ascontiguousarray(values).view()
    view.flags.writeable = False
    return view


def _state(descents: Descents) -> kernel.KernelState:
    return kernel.KernelState(**vars(descents))


def _kernel_model(model: XPModel) -> kernel.KernelModel:
    """The model as plain, contiguous arrays."""
    forward, prior = model.forward, model.prior
    layers = forward.network.layers
    expected = [Dense, Tanh] * (len(layers) // 2) + [Dense]
    if [type(layer) for layer in layers] != expected:
        raise InputError(
            "the numba engine supports only networks of dense layers with tanh between them; "
            "use the array engine for this model"
        )
    widths = [forward.n_label, *(layer.n_out for layer in layers if isinstance(layer, Dense))]
    bases = ("bp_basis", "bp_inverse", "rp_basis", "rp_inverse")
    arrays: dict[str, Any] = {
        "parameters": forward.weights,
        "curve": forward.extinction_curve,
        **{
            x: getattr(forward, x)
            for x in ("label_mean", "label_scale", "second_order", "variation")
        },
        **dict(zip(bases, model.space.kernel_arrays(), strict=True)),
        **{x: getattr(prior, x) for x in ("ln_norm", "means", "precisions")},
    }
    arrays = {name: np.ascontiguousarray(x, dtype=float) for name, x in arrays.items()}
    return kernel.KernelModel(
        widths=np.array(widths),
        absolute=bool(model.absolute),
        flat_parallax=model.parallax_prior == FLAT,
        **arrays,
    )
