"""Levenberg-Marquardt in compiled code, star by star: the default."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...data.spectra import Spectra
from ...errors import InputError
from ...model import XPModel
from ...model.covariance import ModelCovariance
from ...nn import Dense, Tanh
from .. import kernel
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

    def __init__(self, model: XPModel, covariance: ModelCovariance | None = None) -> None:
        super().__init__(model, covariance)
        self.kernel_model = _kernel_model(model)

    def load(self, spectra: Spectra) -> NumbaStars:
        """See `Engine.load`."""
        precompile()
        whitener = np.ascontiguousarray(spectra.whitener)
        if self._root is not None:
            whitener = kernel.inflate(_rows(whitener), self._scale(spectra), self._root)
        return NumbaStars(self, (spectra.flux, whitener, spectra.parallax, spectra.parallax_err))


class NumbaStars(LoadedStars):
    """Stars of a `NumbaEngine` (see `LoadedStars`)."""

    def __init__(self, engine: NumbaEngine, data: tuple[Any, ...]) -> None:
        self.engine, self.data = engine, data
        flux, whitener, *parallaxes = data
        rows = _rows(whitener)
        self.stars = kernel.KernelStars(
            np.ascontiguousarray(flux), rows, kernel.find_ends(rows), *parallaxes
        )

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


def _rows(whitener: np.ndarray) -> np.ndarray:
    """Whiteners as the kernel takes them: diagonal ones have shape (n_star, 1, n_obs)."""
    return whitener[:, None, :] if whitener.ndim == 2 else whitener


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
    arrays = (
        forward.weights,
        forward.label_mean,
        forward.label_scale,
        forward.extinction_curve,
        forward.second_order,
        forward.variation,
        *model.space.kernel_arrays(),
        prior.ln_norm,
        prior.means,
        prior.precisions,
    )
    widths = [forward.n_label, *(layer.n_out for layer in layers if isinstance(layer, Dense))]
    return kernel.KernelModel(
        np.array(widths),
        *(np.ascontiguousarray(x, dtype=float) for x in arrays),
        bool(model.absolute),
    )
