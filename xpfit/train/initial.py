"""Start of a training: floors of the errors, constraints, initial parameters and network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arrays import batches
from ..data import Diagonal, Spectra, Whitener
from ..errors import InputError
from ..healpix import position_of_id
from ..model import ForwardModel
from ..model.gauge import amplitude_channels
from ..prepare import whiten_covariances
from .choice import estimated_extinction
from .recipe import Recipe
from .stars import CHUNK, StarConstraints
from .xi_sky import SkyPrior

DEFAULT_EXTINCTION = 0.1
"""Initial E (mag) of stars without an estimate."""

MIN_INITIAL_EXTINCTION = 0.02
"""Smallest initial E (mag): ln E has to be finite."""

MIN_RELATIVE_FLUX = 1e-3
"""Smallest initial flux, relative to the brightest point."""


def with_floor(spectra: Spectra, floor: float) -> Spectra:
    """Spectra with a fraction of the flux added to their errors, independently for each value.

    Photometric bands keep theirs. What coefficients are fractions of:
    `xpfit.data.ObservationSpace.scale`.
    """
    if not floor:
        return spectra
    n_xp = spectra.space.n_obs - spectra.space.n_bands
    added = floor * np.abs(spectra.space.scale(spectra.flux))
    added[:, n_xp:] = 0.0
    flux_err = np.hypot(spectra.flux_err, added)
    if spectra.whitener.kind == Diagonal.kind:
        return spectra.replace(flux_err=flux_err, whitener=Diagonal(1.0 / flux_err))
    whiteners, index = [], np.arange(spectra.space.n_obs)
    for rows in batches(len(spectra), CHUNK):
        covariance = spectra.whitener[rows].covariance()
        covariance[:, index, index] += added[rows] ** 2
        mask = ~np.isfinite(spectra.flux_err[rows])
        whiteners.append(whiten_covariances(covariance, mask).whitener)
    return spectra.replace(flux_err=flux_err, whitener=Whitener.concatenate(whiteners))


def star_constraints(
    spectra: Spectra, label_names: Sequence[str], recipe: Recipe, absolute: bool
) -> StarConstraints:
    """Measurements besides the flux; the errors of labels include the recipe's floors.

    The error of a label that has none is the floor alone. Stars without an estimate of E have a
    typical one where there is little dust.
    """
    floors = [recipe.label_error_floor.get(name, 0.0) for name in label_names]
    default = Recipe().label_error_floor
    missing = [recipe.label_error_floor.get(n) or default.get(n, 0.1) for n in label_names]
    labels = np.column_stack([spectra.labels[name] for name in label_names])
    error = np.column_stack([spectra.label_err[name] for name in label_names])
    error = np.where(np.isfinite(error) & (error > 0), error, missing)
    known = np.isfinite(spectra.parallax_err) & absolute
    extinction, extinction_err, _ = estimated_extinction(spectra, recipe)
    return StarConstraints(
        labels,
        np.hypot(error, floors),
        extinction,
        extinction_err,
        np.where(known, spectra.parallax, np.nan),
        np.where(known, spectra.parallax_err, np.inf),
        absolute,
        recipe.jacobian_terms,
    )


def sky_prior(spectra: Spectra, recipe: Recipe) -> SkyPrior | None:
    """The prior by which xi is alike in the same part of the sky; None if there is none.

    Raises
    ------
    InputError
        If no star has a position.
    """
    if not (recipe.extinction_variation and recipe.xi_sky_share):
        return None
    ra, dec = position_of_id(spectra.source_id)
    for name, of_id in (("ra", ra), ("dec", dec)):
        measured = spectra.gaia.get(name, np.full(len(spectra), np.nan))
        of_id[:] = np.where(np.isfinite(measured), measured, of_id)
    if not np.isfinite(ra + dec).any():
        raise InputError(
            "xi_sky_share needs positions of the stars, and there are neither ra and dec nor "
            "Gaia source ids; set it to 0"
        )
    return SkyPrior(ra, dec, recipe.xi_sky_share, recipe.xi_sky_scale)


def initial_theta(
    spectra: Spectra, constraints: StarConstraints, trained_grid: np.ndarray, curve_varies: bool
) -> np.ndarray:
    """Measured labels, estimated extinction, and parallax or flux in the amplitude window."""
    estimated = np.isfinite(constraints.extinction)
    extinction = np.where(estimated, constraints.extinction, DEFAULT_EXTINCTION)
    window = amplitude_channels(spectra.space) & trained_grid
    spectrum = spectra.space.spectrum(spectra.flux)
    level = np.maximum(np.median(spectrum[:, window], axis=1), np.finfo(float).tiny)
    ln_parallax = 0.5 * np.log(level)
    if constraints.absolute:
        ln_parallax = _initial_ln_parallax(constraints, ln_parallax)
    columns = [
        constraints.labels,
        np.log(np.maximum(extinction, MIN_INITIAL_EXTINCTION)),
        ln_parallax,
    ]
    return np.column_stack([*columns, np.zeros(len(spectra))] if curve_varies else columns)


def _initial_ln_parallax(constraints: StarConstraints, half_ln_level: np.ndarray) -> np.ndarray:
    """ln of the observed parallax, or of its error where that is larger.

    Stars without one get the parallax at which the median star has their flux.
    """
    measured = np.isfinite(constraints.parallax_err)
    ln_parallax = np.log(np.maximum(constraints.parallax, constraints.parallax_err), where=measured,
                         out=np.zeros(len(constraints)))  # fmt: skip
    typical = np.median((ln_parallax - half_ln_level)[measured])
    return np.where(measured, ln_parallax, half_ln_level + typical)


def start_from_typical_spectrum(
    forward: ForwardModel, spectra: Spectra, theta: np.ndarray, trained_grid: np.ndarray
) -> None:
    """Set the network's last bias so that it predicts the median spectrum for every type."""
    observed = spectra.space.grid_channels(np.isfinite(spectra.flux_err))
    spectrum = spectra.space.spectrum(spectra.flux)
    varpi2 = np.exp(2.0 * theta[:, forward.layout.parallax, None])
    relative = np.where(observed, spectrum / varpi2, np.nan)
    typical = np.ones(len(trained_grid))
    typical[trained_grid] = np.nanmedian(relative[:, trained_grid], axis=0)
    # Outside the instrument's response, the basis functions oscillate around zero.
    typical = np.maximum(typical, MIN_RELATIVE_FLUX * typical.max())
    output = forward.network.layers[-1]
    _, bias = output.split(forward.weights[forward.network.slices[-1]])
    bias += np.log(typical)
