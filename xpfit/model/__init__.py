"""Emulator, extinction curve, forward model, mixture prior, and the file that holds them."""

from .extinction import ccm89, ccm89_curve, ccm89_variation, r_v_of_curve
from .forward import ForwardModel
from .prior import GaussianMixture
from .trained import XPModel

__all__ = [
    "ForwardModel",
    "GaussianMixture",
    "XPModel",
    "ccm89",
    "ccm89_curve",
    "ccm89_variation",
    "r_v_of_curve",
]
