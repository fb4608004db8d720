"""What the entry points take: the model, the stars and the descents as tuples of plain arrays."""

from __future__ import annotations

from collections import namedtuple
from typing import NamedTuple

import numpy as np

from .linalg import compiled

KernelModel = namedtuple(
    "KernelModel",
    "widths parameters label_mean label_scale curve second_order variation "
    "bp_basis bp_inverse rp_basis rp_inverse ln_norm means precisions absolute flat_parallax",
)
"""The model: network, extinction curve, observation space and prior."""

KernelStars = namedtuple("KernelStars", "flux whitener ends parallax parallax_err luminosity_err")
"""The data. Diagonal whiteners have shape (n_star, 1, n_obs).

`ends` (n_star, n_obs) is the number of elements of each row of a full whitener up to the last
non-zero one: most whiteners are triangular.
"""

KernelState = namedtuple(
    "KernelState",
    "star theta loss chi2 ln_prior gradient information gauss_newton hessian "
    "damping n_iterations finished",
)
"""The arrays of `xpfit.fit.descent.Descents`, which the kernel changes in place."""


class Workspace(NamedTuple):
    """Scratch arrays of one thread."""

    layers: np.ndarray  # (n_layer + 1, 1 + n_label, widest)
    intrinsic: np.ndarray  # (n_grid,): the emulator's spectrum times varpi^2
    transmission: np.ndarray  # (n_grid,): of the dust
    attenuated: np.ndarray  # (n_grid,): observed times transmission
    observed: np.ndarray  # (1 + n_label, n_grid): intrinsic, after the instrument's response
    d_ln_transmission: np.ndarray  # (2, n_grid): by ln E, by xi
    d2_ln_transmission: np.ndarray  # (2, n_grid): by ln E twice, by ln E and xi
    grid: np.ndarray  # (n_grid,)
    bits: np.ndarray  # (widest,) of int64
    adjoint: np.ndarray  # (2, widest)
    predicted: np.ndarray  # (1 + n_parameter, n_obs): flux and Jacobian
    whitened: np.ndarray  # the same, whitened; the first row is the residual
    obs: np.ndarray  # (n_obs,)
    prior: np.ndarray  # (n_component, 1 + n_label): ln density and its derivatives
    gradient: np.ndarray  # (n_parameter,)
    information: np.ndarray  # (n_parameter, n_parameter), like the next four
    gauss_newton: np.ndarray
    hessian: np.ndarray
    matrix: np.ndarray
    factor: np.ndarray
    step: np.ndarray  # (n_parameter,)
    trial: np.ndarray  # (n_parameter,)
    scalars: np.ndarray  # chi2, ln_prior


@compiled
def new_workspace(model, n_obs):
    """Allocate the scratch arrays."""
    n_label = len(model.label_mean)
    n_grid = len(model.curve)
    n_parameter = n_label + 2 + (len(model.variation) > 0)
    widest = model.widths.max()
    square = (n_parameter, n_parameter)
    return Workspace(
        np.empty((len(model.widths), 1 + n_label, widest)),
        np.empty(n_grid), np.empty(n_grid), np.empty(n_grid),
        np.empty((1 + n_label, n_grid)), np.zeros((2, n_grid)), np.zeros((2, n_grid)),
        np.empty(n_grid), np.empty(widest, dtype=np.int64), np.empty((2, widest)),
        np.empty((1 + n_parameter, n_obs)), np.empty((1 + n_parameter, n_obs)), np.empty(n_obs),
        np.empty((len(model.ln_norm), 1 + n_label)), np.empty(n_parameter),
        np.empty(square), np.empty(square), np.empty(square), np.empty(square), np.empty(square),
        np.empty(n_parameter), np.empty(n_parameter), np.empty(2),
    )  # fmt: skip
