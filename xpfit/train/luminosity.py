"""The emulator's luminosity, learned from isochrones and parallaxes once its shapes are known.

A model of spectral shapes leaves ln f_abs undefined up to a function of stellar type. Where
training stars have spectroscopic luminosities (`xpfit.prepare.luminosities`), that function is
learned last, as a linear function of the network's last hidden layer that is added to all channels.
So the shapes, and what fits without a parallax find from them, are those of the model without
luminosities.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..data import SampledSpace, Spectra
from ..errors import InputError
from ..model import ForwardModel
from ..model.bolometric import bolometric_flux, ln_luminosity
from ..model.luminosity import LuminosityError, type_weights
from .initial import star_constraints
from .outcome import TrainingResult
from .updates import at_measured_labels

TYPES = {
    "luminous giants": (4.1, -0.2, 1.2),
    "metal-poor giants": (4.7, -1.6, 1.6),
    "giant branch": (4.4, 0.0, 2.0),
    "red clump": (4.8, -0.1, 2.45),
    "lower giant branch": (4.8, 0.0, 2.95),
    "subgiants": (5.1, -0.1, 3.55),
    "turn-off stars": (6.1, -0.2, 3.8),
    "F dwarfs": (6.3, -0.1, 4.15),
    "G dwarfs": (5.75, 0.0, 4.42),
    "K dwarfs": (4.7, 0.0, 4.6),
}
"""Stellar types, (Teff in kK, [Fe/H], log g), for which zero points and errors are found."""

TYPE_LABELS = ("teff", "feh", "logg")
TYPE_WIDTH = (0.35, 0.6, 0.2)
"""How far in each label a type extends (see `xpfit.model.luminosity.type_weights`)."""

MIN_PARALLAX_OVER_ERROR = 10.0
"""Parallaxes with less are not used: their ln is not Gaussian, and selecting them is biased."""

ZERO_POINT_PRIOR = 0.15
"""Standard error of ln luminosity from isochrones, common to stars of a type, without parallaxes:
about the difference between sets of isochrones, and of Teff and log g between surveys."""

DWARF_LOGG = 3.7
DWARF_ZERO_POINT_ERROR = 0.05
"""Types with a higher log g than this keep the isochrones' luminosities, whose error this is.

Measured parallaxes would make dwarfs brighter by 0.3 to 0.6 in ln luminosity at the survey's
labels, the Sun by 0.4: log g of dwarfs is too uncertain to judge isochrones by, and the stars
with parallaxes are chosen by brightness.
"""

IS_GIANT = np.array([logg < DWARF_LOGG for _, _, logg in TYPES.values()])
"""Which of `TYPES` have zero points of their own."""

ISOCHRONE_ERROR = 0.15
"""Error of ln luminosity that a luminosity from isochrones counts with beside a measured one."""

MIN_ERROR = 0.15
"""Smallest error of the emulator's ln luminosity: stars of a type differ in mass, and one in ten is
a binary that shows in nothing else."""

COEFFICIENT_PRIOR = 1.0
"""Standard deviation of the coefficients of the hidden values, which are between -1 and 1."""

LUMINOSITY = "ln_luminosity"

NO_DUST = -50.0
"""ln E of a star without dust."""

CLIP = 2.5
"""Robust standard deviations beyond which a star counts less: binaries, wrong labels."""

N_ITERATIONS = 20
"""Of reweighting."""

N_FOR_SCATTER = 15.0
"""Measured stars of a type (as a sum of weights) that outweigh the prior on their scatter."""

SCATTER = 0.25
"""Scatter of ln luminosity at a given type where too few stars have parallaxes to measure it, and
in the weights of those that have one."""


@dataclass(frozen=True)
class Calibration:
    """Luminosities of training stars on the scale of measured parallaxes.

    Attributes
    ----------
    ln_luminosity, error : ndarray, shape (n_star,)
        Calibrated, measured where there is a good parallax; NaN where nothing is known.
    measured : ndarray of bool, shape (n_star,)
    zero_point_err : ndarray, shape (n_star,)
        Standard error of what was added to ln luminosities from isochrones.
    """

    ln_luminosity: np.ndarray
    error: np.ndarray
    measured: np.ndarray
    zero_point_err: np.ndarray


def learn_luminosities(result: TrainingResult) -> tuple[TrainingResult, LuminosityError]:
    """Add luminosities to a model of spectral shapes.

    Parameters
    ----------
    result : TrainingResult
        Of a training without parallaxes, whose spectra have the label `ln_luminosity`, and may have
        parallaxes.

    Returns
    -------
    result : TrainingResult
        With an absolute forward model, and with the parallaxes of the stars.
    error : LuminosityError

    Raises
    ------
    InputError
        If the model is not in sampled space, or lacks Teff, [Fe/H] or log g.
    """
    if not isinstance(result.spectra.space, SampledSpace):
        raise InputError(
            "luminosities are learned from the flux at wavelengths; train in sampled space, or "
            "from parallaxes alone"
        )
    missing = [name for name in TYPE_LABELS if name not in result.label_names]
    if missing:
        raise InputError(f"luminosities need the labels {', '.join(missing)} too")
    theta = at_measured_labels(result.forward, result.theta, result.data)
    layout = result.forward.layout
    labels, flux = theta[:, layout.labels], dust_free_flux(result, theta)
    types, width = types_in_labels(result.label_names)
    weights = type_weights(labels, types, width)
    hidden = result.forward.hidden_values(labels)
    design = np.column_stack([hidden, np.ones(len(hidden))])
    calibration = calibrate(result.spectra, flux, weights)
    # What the emulator lacks: ln of the amplitude minus that of varpi^2.
    ln_varpi2 = ln_luminosity(flux) - calibration.ln_luminosity
    grey = 2.0 * theta[:, layout.parallax] - ln_varpi2
    keep = np.isfinite(grey) & (result.clean_flags == 0)
    error = np.hypot(np.where(calibration.measured, calibration.error, ISOCHRONE_ERROR), SCATTER)
    prior = np.append(np.full(hidden.shape[1], COEFFICIENT_PRIOR), np.inf)
    coefficients, _ = robust_least_squares(design[keep], grey[keep], error[keep], prior)
    kept = calibration.measured & keep
    residual = (grey - design @ coefficients)[kept]
    scatter = scatter_by_type(weights[kept], residual, calibration.error[kept])
    zero_point_err = weights.T @ calibration.zero_point_err / np.maximum(weights.sum(axis=0), 1.0)
    error = np.maximum(np.hypot(scatter, zero_point_err), MIN_ERROR)
    forward = result.forward.with_grey_term(*np.split(coefficients, [-1]), result.trained_grid)
    return _absolute(result, forward), LuminosityError(types, width, error)


def types_in_labels(label_names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and widths of `TYPES` in the labels of a model; further labels do not matter.

    Parameters
    ----------
    label_names : tuple of str

    Returns
    -------
    types : ndarray, shape (n_type, n_label)
    width : ndarray, shape (n_label,)
    """
    types = np.zeros((len(TYPES), len(label_names)))
    width = np.full(len(label_names), np.inf)
    columns = [label_names.index(name) for name in TYPE_LABELS]
    types[:, columns], width[columns] = list(TYPES.values()), TYPE_WIDTH
    return types, width


def dust_free_flux(result: TrainingResult, theta: np.ndarray) -> np.ndarray:
    """Bolometric flux of the stars without dust, in W m-2.

    From each star's own spectrum, dereddened by its fitted E; from the fit to it where a value is
    missing.

    Parameters
    ----------
    result : TrainingResult
    theta : ndarray, shape (n_star, n_stellar)

    Returns
    -------
    ndarray, shape (n_star,)
    """
    spectra, forward = result.spectra, result.forward
    order = np.argsort(spectra.space.wavelength)
    order = order[result.trained_channels[order]]
    own = np.isfinite(spectra.flux_err) & (spectra.flux > 0)
    predicted, clear = forward.flux(theta), theta.copy()
    clear[:, forward.layout.extinction] = NO_DUST
    flux = np.where(own, spectra.flux, predicted) * (forward.flux(clear) / predicted)
    teff = theta[:, result.label_names.index("teff")]
    return bolometric_flux(spectra.space.wavelength[order], flux[:, order], teff)


def calibrate(spectra: Spectra, flux: np.ndarray, weights: np.ndarray) -> Calibration:
    """Luminosities from isochrones on the scale of measured parallaxes, which replace them.

    Parameters
    ----------
    spectra : Spectra
        With the label `ln_luminosity`, and parallaxes where measured.
    flux : ndarray, shape (n_star,)
        Bolometric flux without dust, W m-2.
    weights : ndarray, shape (n_star, n_type)
        Of `TYPES`.

    Returns
    -------
    Calibration

    Notes
    -----
    The zero point is linear in the weights of the types of giants, with a Gaussian prior of width
    `ZERO_POINT_PRIOR` about zero: where no parallax of a type is known, that is its error.
    """
    isochrone, isochrone_err = (x[LUMINOSITY] for x in (spectra.labels, spectra.label_err))
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = spectra.parallax_err / spectra.parallax
        good = (relative > 0) & (relative < 1.0 / MIN_PARALLAX_OVER_ERROR)
        measured = np.where(
            good, ln_luminosity(flux, np.where(good, spectra.parallax, 1.0)), np.nan
        )
    both = np.flatnonzero(np.isfinite(measured - isochrone))
    difference, error = (measured - isochrone)[both], np.hypot(2.0 * relative[both], SCATTER)
    giants = weights[:, IS_GIANT]
    prior = np.full(giants.shape[1], ZERO_POINT_PRIOR)
    zero_point, covariance = robust_least_squares(giants[both], difference, error, prior)
    calibrated = isochrone + giants @ zero_point
    variance = np.sum((giants @ covariance) * giants, axis=1)
    variance += (1.0 - giants.sum(axis=1)) ** 2 * DWARF_ZERO_POINT_ERROR**2
    return Calibration(
        ln_luminosity=np.where(np.isfinite(measured), measured, calibrated),
        error=np.where(np.isfinite(measured), 2.0 * relative, isochrone_err),
        measured=np.isfinite(measured),
        zero_point_err=np.sqrt(variance),
    )


def robust_least_squares(
    design: np.ndarray, target: np.ndarray, error: np.ndarray, prior: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Linear least squares with a Gaussian prior about zero, in which outliers count less.

    Parameters
    ----------
    design : ndarray, shape (n_star, n_coefficient)
    target, error : ndarray, shape (n_star,)
    prior : ndarray, shape (n_coefficient,)
        Standard deviations; infinite for none.

    Returns
    -------
    coefficients : ndarray, shape (n_coefficient,)
    covariance : ndarray, shape (n_coefficient, n_coefficient)

    Notes
    -----
    Huber's loss: beyond `CLIP` errors it grows linearly; by iterative reweighting.
    """
    coefficients = np.zeros(design.shape[1])
    for _ in range(N_ITERATIONS):
        pull = np.abs(target - design @ coefficients) / error
        weight = np.minimum(1.0, CLIP / np.maximum(pull, 1e-300)) / error**2
        normal = (design * weight[:, None]).T @ design + np.diag(prior**-2.0)
        coefficients = np.linalg.solve(normal, design.T @ (weight * target))
    return coefficients, np.linalg.inv(normal)


def scatter_by_type(weights: np.ndarray, residual: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Scatter of ln luminosity about the emulator that measurement errors do not explain.

    Parameters
    ----------
    weights : ndarray, shape (n_star, n_type)
    residual, error : ndarray, shape (n_star,)
        Of stars with measured parallaxes.

    Returns
    -------
    ndarray, shape (n_type,)
        Standard deviation, from absolute deviations clipped at `CLIP` times `SCATTER`; drawn to
        `SCATTER` where few stars have been measured.
    """
    clipped = np.minimum(np.abs(residual), CLIP * SCATTER)
    count = weights.sum(axis=0)
    square = weights.T @ np.maximum(clipped**2 - error**2, 0.0)
    return np.sqrt((square + N_FOR_SCATTER * SCATTER**2) / (count + N_FOR_SCATTER))


def _absolute(result: TrainingResult, forward: ForwardModel) -> TrainingResult:
    """The result with the absolute forward model, and with the stars' parallaxes."""
    constraints = star_constraints(result.spectra, result.label_names, result.recipe, absolute=True)
    theta, layout = result.theta.copy(), forward.layout
    before, after = (m.ln_absolute_flux(theta[:, layout.labels]) for m in (result.forward, forward))
    grey = (after - before)[:, np.argmax(result.trained_grid)]
    theta[:, layout.parallax] -= 0.5 * grey
    data = replace(result.data, constraints=constraints)
    return replace(result, forward=forward, data=data, theta=theta)
