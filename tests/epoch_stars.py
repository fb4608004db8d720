"""Stars whose epoch spectra are simulated."""

from __future__ import annotations

import numpy as np

from xpfit import XPModel
from xpfit.simulate.noise import g_magnitude

GIANT = np.array([5.0, -0.2, 2.5])
"""Teff (kK), [Fe/H] and log g."""


def theta_of(
    model: XPModel, labels: np.ndarray, g: float = 13.0, extinction: float = 0.05
) -> np.ndarray:
    """Parameters of a star of magnitude g, by the shapes of spectra, shape (n_parameter,)."""
    layout = model.forward.layout
    theta = np.zeros((1, layout.size))
    theta[0, layout.labels], theta[0, layout.extinction] = labels, np.log(extinction)
    at = g_magnitude(model.wavelength, model.shapes_only().forward.flux(theta))[0]
    theta[0, layout.parallax] = 0.2 * np.log(10.0) * (at - g)
    return theta[0]
