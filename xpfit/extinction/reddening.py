"""The amount of dust E in other units: E(B-V), E(440-550), R(V).

E is zero where there is no dust, and so are all that follow from it. Its unit is a convention of
each model (see `xpfit.model.gauge`): what is the same for all is the extinction at a wavelength,
A(lambda) = E R(lambda). Monochromatic amounts are proportional to E, with a factor that depends on
the model's curve alone (and on xi); E(B-V) depends on the star too, and on E itself.
"""

from __future__ import annotations

import numpy as np

from .continuation import ContinuedModel
from .inband import ModelExtinction

B_V = ("B", "V")

BLUE, VISUAL = 440.0, 550.0
"""nm; of the monochromatic reddening, which stands for E(B-V) (Fitzpatrick et al. 2019)."""


def monochromatic(continued: ContinuedModel, wavelength: np.ndarray, xi: np.ndarray) -> np.ndarray:
    """Extinction at single wavelengths.

    Parameters
    ----------
    continued : ContinuedModel
    wavelength : ndarray, shape (n,)
        nm, 300 to 5000.
    xi : ndarray, shape (n_star,)
        Zero for models whose curve does not vary.

    Returns
    -------
    ndarray, shape (n_star, n)
        A(lambda) in mag for E = 1.

    Raises
    ------
    InputError
        If a wavelength is out of range.
    """
    ln_curve, variation = continued.ln_curve(np.asarray(wavelength, dtype=float))
    return np.exp(ln_curve + np.asarray(xi, dtype=float)[:, None] * variation)


def reddening(b_v: ModelExtinction, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E(B-V) and E(440-550) of stars.

    Parameters
    ----------
    b_v : ModelExtinction
        In `B_V`.
    parameters : ndarray, shape (n_star, n_parameter)
        Linear, as a fit gives them.

    Returns
    -------
    e_b_v, e_440_550 : ndarray, shape (n_star,)
        mag: A(B) - A(V) in Johnson's passbands over the star's own spectrum, and A(440 nm) -
        A(550 nm).
    """
    layout = b_v.model.forward.layout
    blue, visual = b_v.extinction(parameters).T
    xi = parameters[:, layout.xi] if layout.has_xi else np.zeros(len(parameters))
    at = monochromatic(b_v.continued, np.array([BLUE, VISUAL]), xi)
    return blue - visual, parameters[:, layout.extinction] * (at[:, 0] - at[:, 1])
