"""Extinction curves by name: Cardelli et al.'s own, others from the package dust_extinction."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import astropy.units as u
import numpy as np

from ..errors import InputError
from ..model import ccm89

Curve = Callable[[np.ndarray], np.ndarray]
"""From wavelengths (nm) to A(lambda) in mag for unit amount of dust."""

CCM89 = "CCM89"

PUBLISHED = (CCM89, "O94", "F99", "F04", "M14", "F19", "G23")
"""Optical and infrared curves with one parameter, R(V), named as in dust_extinction."""


def published_curve(name: str, r_v: float = 3.1) -> Curve:
    """A published extinction curve.

    Parameters
    ----------
    name : str
        In `PUBLISHED`. All but CCM89 need the package ``dust_extinction``.
    r_v : float
        R(V).

    Returns
    -------
    callable
        From wavelengths (nm) to A(lambda) in mag for E(B-V) = A(V) / R(V) = 1 mag.

    Raises
    ------
    InputError
        If there is no such curve or package, or R(V) is out of the curve's range; called, if a
        wavelength is.
    """
    if name not in PUBLISHED:
        raise InputError(f"no extinction curve {name!r}; choose from {', '.join(PUBLISHED)}")
    if not np.isfinite(r_v) or r_v <= 0:
        raise InputError(f"R(V) must be positive, got {r_v:g}")
    relative = _ccm89(r_v) if name == CCM89 else _of_package(name, r_v)

    def curve(wavelength: np.ndarray) -> np.ndarray:
        wavelength = np.asarray(wavelength, dtype=float)
        try:
            return r_v * relative(wavelength)
        except ValueError as error:
            raise InputError(
                f"the curve {name} is not given between {wavelength.min():g} and "
                f"{wavelength.max():g} nm ({' '.join(str(error).split())[:100]})"
            ) from error

    return curve


def _ccm89(r_v: float) -> Curve:
    """A(lambda) / A(V) of Cardelli et al."""
    return lambda wavelength: ccm89(wavelength, r_v)


def _of_package(name: str, r_v: float) -> Curve:
    """A(lambda) / A(V) of a curve of the package."""
    try:
        module = importlib.import_module("dust_extinction.parameter_averages")
    except ImportError as error:
        raise InputError(
            f"the curve {name} needs the package dust_extinction: "
            f'pip install "xpfit[curves]" ({error})'
        ) from error
    try:
        average = getattr(module, name)(Rv=r_v)
    except ValueError as error:
        raise InputError(f"the curve {name}: {error}") from error
    return lambda wavelength: np.asarray(average(wavelength * u.nm))
