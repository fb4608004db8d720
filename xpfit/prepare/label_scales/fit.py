"""Offsets, slopes and scatters of surveys relative to a reference, by maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.stats import chi2, norm

from .likelihood import CommonStars, Parameters, disagreement, minus_two_ln_likelihood
from .links import MIN_COMMON_SLOPE, chains, common_counts, robust_start

CLIP_SIGMA = 4.0
"""Stars whose surveys disagree by more (two-sided, Gaussian) are not used."""

MIN_GROUP = 10
"""Stars from which a combination of surveys is used."""

MAX_GROUP = 20_000
"""Stars of a combination of surveys that are used: more make no error noticeably smaller."""

MAX_ROUNDS = 30

_TOLERANCE = 1e-6
"""Change of -2 ln likelihood of all stars that is small beside the errors of the parameters."""

_SMALLEST = 1e-4
"""Error, in units of the spread of the labels: those of surveys that give none are not zero."""

_STEP = 1e-4
"""Of the finite differences of the gradient, in units of the spread of the labels."""


@dataclass(frozen=True)
class ScaleFit:
    """How a label of several surveys is related to the reference's.

    Attributes
    ----------
    pivot : float
        x0: the median of the stars in common.
    offset, slope, scatter : ndarray, shape (n_survey,)
        a, b, and the square root of t; zero for the reference.
    covariance : ndarray, shape (n_survey, 3, 3)
        Of offset, slope and t; zero for what was not fitted.
    n_used, n_outlier : ndarray of int, shape (n_survey,)
        Stars in common with any other survey that were used; and those that were not since their
        surveys disagree.
    """

    pivot: float
    offset: np.ndarray
    slope: np.ndarray
    scatter: np.ndarray
    covariance: np.ndarray
    n_used: np.ndarray
    n_outlier: np.ndarray


def fit_scales(values: np.ndarray, errors: np.ndarray, reference: int) -> ScaleFit:
    """Fit offset, slope and scatter of all surveys at once.

    Parameters
    ----------
    values, errors : ndarray, shape (n_star, n_survey)
        A label; NaN where not measured.
    reference : int
        Survey to whose scale the others are related. All others must be tied to it by stars in
        common (`xpfit.prepare.label_scales.links.chains`).

    Returns
    -------
    ScaleFit

    Notes
    -----
    Maximum likelihood (`xpfit.prepare.label_scales.likelihood`) in turn with leaving out stars
    whose surveys disagree by more than `CLIP_SIGMA`. Covariances are H^-1 J H^-1, with H the
    second derivatives and J the sum of products of the stars' gradients: they hold too where the
    population is not Gaussian (White 1982). Surveys that have less than `MIN_COMMON_SLOPE` stars in
    common with the others get an offset, and no slope.
    """
    measured = np.isfinite(values) & np.isfinite(errors)
    parent, weakest = chains(common_counts(measured), reference)
    common = measured.sum(axis=1) > 1
    anchor = values[common & measured[:, reference], reference]
    pivot, spread = float(np.median(anchor)), float(np.std(anchor)) or 1.0
    stars = _common_stars(
        (values[common] - pivot) / spread, errors[common] / spread, measured[common]
    )
    n_survey = values.shape[1]
    others = np.arange(n_survey) != reference
    free = np.concatenate([others, others & (weakest >= MIN_COMMON_SLOPE), others])
    offset, scatter2 = robust_start(stars.values, stars.variance, parent, reference)
    start = Parameters(
        offset, np.zeros(n_survey), scatter2, np.zeros(stars.n_group), np.zeros(stars.n_group)
    )
    parameters, used = _without_outliers(stars, start, free)
    covariance = _covariance(stars[used], parameters, free)
    units = np.array([spread, 1.0, spread**2])
    has = np.isfinite(stars.variance)
    return ScaleFit(
        pivot,
        parameters.offset * spread,
        parameters.slope,
        np.sqrt(parameters.scatter2) * spread,
        covariance * np.outer(units, units),
        has[used].sum(axis=0),
        has[~used].sum(axis=0),
    )


def _common_stars(values: np.ndarray, errors: np.ndarray, measured: np.ndarray) -> CommonStars:
    """Stars of those combinations of surveys that have enough, in units of the spread."""
    _, group, count = np.unique(measured, axis=0, return_inverse=True, return_counts=True)
    group = group.reshape(-1)  # NumPy 2.0.0 keeps the axis
    rows = [
        np.flatnonzero(group == g)[:: -(-n // MAX_GROUP)]
        for g, n in enumerate(count)
        if n >= min(MIN_GROUP, count.max())
    ]
    variance = np.where(measured, np.maximum(errors, _SMALLEST), np.inf) ** 2
    stars = CommonStars(np.where(measured, values, 0.0), variance, group)
    return stars[np.sort(np.concatenate(rows))]


def _without_outliers(
    stars: CommonStars, parameters: Parameters, free: np.ndarray
) -> tuple[Parameters, np.ndarray]:
    """Best parameters, and which stars were used for them."""
    degrees = np.isfinite(stars.variance).sum(axis=1) - 1
    limit = chi2.isf(2.0 * norm.sf(CLIP_SIGMA), degrees)
    used = disagreement(stars, parameters) < limit
    for _ in range(MAX_ROUNDS):
        if not _all_groups(stars, used):
            break
        parameters = _maximum(stars[used], parameters, free)
        before, used = used, disagreement(stars, parameters) < limit
        if np.array_equal(used, before):
            break
    return parameters, used


def _all_groups(stars: CommonStars, used: np.ndarray) -> bool:
    """Whether some star of each combination is used."""
    return len(np.unique(stars.group[used])) == stars.n_group


def _maximum(stars: CommonStars, start: Parameters, free: np.ndarray) -> Parameters:
    """Parameters of the maximum of the likelihood; those that are not free stay."""
    n_survey, n_group = stars.values.shape[1], stars.n_group
    varied = np.concatenate([free, np.ones(2 * n_group, dtype=bool)])
    vector = start.vector()
    bounds = np.array(
        [(-np.inf, np.inf)] * n_survey
        + [(-0.9, 10.0)] * n_survey
        + [(0.0, np.inf)] * n_survey
        + [(-np.inf, np.inf)] * n_group
        + [(-20.0, 10.0)] * n_group
    )

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        vector[varied] = x
        value, gradient = minus_two_ln_likelihood(stars, Parameters.of_vector(vector, n_survey))
        return float(value.mean()), gradient.mean(axis=0)[varied]

    settings = {"maxiter": 2000, "maxcor": 30, "gtol": 1e-9}
    best = minimize(
        objective, vector[varied], jac=True, method="L-BFGS-B", bounds=bounds[varied],
        options={**settings, "ftol": _TOLERANCE / len(stars.group)},
    )  # fmt: skip
    vector[varied] = best.x
    return Parameters.of_vector(vector.copy(), n_survey)


def _covariance(stars: CommonStars, parameters: Parameters, free: np.ndarray) -> np.ndarray:
    """Covariance of offset, slope and t of each survey."""
    n_survey = stars.values.shape[1]
    vector = parameters.vector()
    varied = np.concatenate([free, np.ones(2 * stars.n_group, dtype=bool)])
    varied[2 * n_survey : 3 * n_survey] &= parameters.scatter2 > 0
    places = np.flatnonzero(varied)

    def gradient(x: np.ndarray) -> np.ndarray:
        return minus_two_ln_likelihood(stars, Parameters.of_vector(x, n_survey))[1][:, places]

    hessian = np.empty((len(places), len(places)))
    for row, place in enumerate(places):
        step = np.zeros(len(vector))
        step[place] = _STEP
        if 2 * n_survey <= place < 3 * n_survey:
            step[place] = min(_STEP, 0.1 * vector[place])
        difference = gradient(vector + step).sum(axis=0) - gradient(vector - step).sum(axis=0)
        hessian[row] = difference / (2.0 * step[place])
    scores = gradient(vector)
    inverse = np.linalg.pinv(0.5 * (hessian + hessian.T), hermitian=True)
    full = np.zeros((len(vector), len(vector)))
    full[np.ix_(places, places)] = inverse @ (scores.T @ scores) @ inverse
    rows = np.arange(n_survey)[:, None] + n_survey * np.arange(3)
    return full[rows[:, :, None], rows[:, None, :]]
