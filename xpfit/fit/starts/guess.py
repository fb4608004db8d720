"""Starts from given labels, such as the predictions of a neural network."""

from __future__ import annotations

from array_api_compat import array_namespace

from ...arrays import Array
from ...model import ForwardModel
from ..data import FitData
from .linear import MIN_EXTINCTION, dot, linearise, observed_reference, positive_or_one, project_out


def complete_guesses(forward: ForwardModel, labels: Array, data: FitData) -> Array:
    """Starts from guessed labels, at the extinction and amplitude that fit ln flux best.

    Parameters
    ----------
    forward : ForwardModel
    labels : ndarray, shape (n_star, n_label)
    data : FitData

    Returns
    -------
    ndarray, shape (n_star, n_parameter)

    Notes
    -----
    As in `ProfileStarts`: linear least squares in ln varpi and E about a reference model, which is
    first the observed flux, where positive, and then the result of that.
    """
    xp, space = array_namespace(data.flux), forward.space
    ln_absolute = forward.ln_absolute_flux(labels)
    curve = forward.extinction_curve
    rows = xp.stack([2.0 * xp.ones_like(curve), -curve])
    reference, ln_reference = observed_reference(space, data.flux)
    for _ in range(2):
        white, target = linearise(space, data, reference, ln_reference - ln_absolute, rows)
        (per_extinction, dust), (ln_parallax, target) = project_out(
            white[:, 0, :], white[:, 1, :], target
        )
        extinction = dot(target, dust) / positive_or_one(dot(dust, dust))
        extinction = xp.clip(extinction, MIN_EXTINCTION, None)
        ln_parallax = ln_parallax - per_extinction * extinction
        ln_reference = ln_absolute + 2.0 * ln_parallax[:, None] - extinction[:, None] * curve
        reference = xp.exp(ln_reference)
    parts = [labels, xp.log(extinction)[:, None], ln_parallax[:, None]]
    if forward.curve_varies:
        parts.append(xp.zeros_like(parts[1]))
    return xp.concat(parts, axis=1)
