"""How much dust there typically is in front of a star, by latitude and distance alone."""

from __future__ import annotations

import numpy as np

PLANE_DENSITY = 3e-4
"""E (mag) per pc in the Galactic plane: about 1 mag / kpc in V."""

SCALE_HEIGHT = 100.0
"""pc, over which the density of dust falls by e."""


def typical_extinction(latitude: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """E of an exponential disc of dust (Parenago 1940, Astron. Zh. 17, 3).

    Parameters
    ----------
    latitude : ndarray, shape (n_star,)
        Galactic, degrees.
    distance : ndarray, shape (n_star,)
        pc; NaN where unknown: then E is that of the whole line of sight.

    Returns
    -------
    ndarray, shape (n_star,)
        mag; NaN where the latitude is unknown. Real lines of sight differ from it by factors of
        about two.
    """
    sine = np.maximum(np.abs(np.sin(np.radians(latitude))), 1e-6)
    column = PLANE_DENSITY * SCALE_HEIGHT / sine
    passed = -np.expm1(-np.asarray(distance) * sine / SCALE_HEIGHT)
    return column * np.where(np.isfinite(distance), passed, 1.0)
