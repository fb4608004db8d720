"""Likelihood of the label systems of several surveys, from stars that several have measured.

Survey s measures of star i, with error sigma_is::

    y_is = x0 + a_s + (1 + b_s) (x_i - x0) + noise of variance sigma_is^2 + t_s

where x_i is the label on the scale of the reference, for which a, b and t are zero. x_i is not
known, its errors act on both sides (Fuller 1987, section 1.3): it is integrated over with a
Gaussian population of its own mean and variance for each combination of surveys that have stars in
common, since these may be of different kinds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CommonStars:
    """Measurements of one label of stars that at least two surveys have.

    Attributes
    ----------
    values : ndarray, shape (n_star, n_survey)
        y - x0; zero where not measured.
    variance : ndarray, shape (n_star, n_survey)
        Of the measurement; infinite where there is none.
    group : ndarray of int, shape (n_star,)
        Which combination of surveys has the star, from 0.
    """

    values: np.ndarray
    variance: np.ndarray
    group: np.ndarray

    @property
    def n_group(self) -> int:
        """Number of combinations."""
        return int(self.group.max(initial=-1)) + 1

    def __getitem__(self, rows) -> CommonStars:
        _, group = np.unique(self.group[rows], return_inverse=True)
        return CommonStars(self.values[rows], self.variance[rows], group)


@dataclass(frozen=True)
class Parameters:
    """Parameters of the likelihood.

    Attributes
    ----------
    offset, slope, scatter2 : ndarray, shape (n_survey,)
        a, b and t; zero for the reference.
    mean, ln_variance : ndarray, shape (n_group,)
        Of the populations: of x - x0.
    """

    offset: np.ndarray
    slope: np.ndarray
    scatter2: np.ndarray
    mean: np.ndarray
    ln_variance: np.ndarray

    def vector(self) -> np.ndarray:
        """All parameters in a row."""
        return np.concatenate([self.offset, self.slope, self.scatter2, self.mean, self.ln_variance])

    @classmethod
    def of_vector(cls, vector: np.ndarray, n_survey: int) -> Parameters:
        """From all parameters in a row."""
        n_group = (len(vector) - 3 * n_survey) // 2
        ends = np.cumsum([n_survey, n_survey, n_survey, n_group])
        return cls(*np.split(vector, ends))


def minus_two_ln_likelihood(
    stars: CommonStars, parameters: Parameters
) -> tuple[np.ndarray, np.ndarray]:
    """-2 ln likelihood of each star, and its derivatives.

    Parameters
    ----------
    stars : CommonStars
    parameters : Parameters

    Returns
    -------
    value : ndarray, shape (n_star,)
    gradient : ndarray, shape (n_star, n_parameter)
        In the order of `Parameters.vector`.

    Notes
    -----
    With delta the deviation of x from the mean of its population, all is Gaussian in delta: its
    posterior has the mean d and the variance 1/P, and the derivatives are the posterior means of
    those of -2 ln p(y, delta) (Fisher's identity).
    """
    p, group = parameters, stars.group
    measured = np.isfinite(stars.variance)
    weight = np.where(measured, 1.0 / (stars.variance + p.scatter2), 0.0)
    beta = 1.0 + p.slope
    mean, population = p.mean[group], np.exp(p.ln_variance)[group]
    residual = stars.values - p.offset - beta * mean[:, None]
    precision = 1.0 / population + (weight * beta**2).sum(axis=1)
    d = (weight * beta * residual).sum(axis=1) / precision
    value = (weight * residual**2).sum(axis=1) - precision * d**2
    value += np.log(population * precision) - np.log(np.where(measured, weight, 1.0)).sum(axis=1)

    left = residual - beta * d[:, None]
    by_offset = -2.0 * weight * left
    by_slope = -2.0 * weight * (left * (mean + d)[:, None] - beta / precision[:, None])
    by_scatter2 = weight - weight**2 * (left**2 + beta**2 / precision[:, None])
    by_group = np.zeros((len(d), 2, len(p.mean)))
    rows = np.arange(len(d))
    by_group[rows, 0, group] = -2.0 * d / population
    by_group[rows, 1, group] = 1.0 - (d**2 + 1.0 / precision) / population
    gradient = np.hstack([by_offset, by_slope, by_scatter2, by_group.reshape(len(d), -1)])
    return value, gradient


def disagreement(stars: CommonStars, parameters: Parameters) -> np.ndarray:
    """chi2 of each star's measurements about their own best label on the reference's scale.

    Parameters
    ----------
    stars : CommonStars
    parameters : Parameters

    Returns
    -------
    ndarray, shape (n_star,)
        With as many degrees of freedom as the star has measurements, less one.
    """
    p = parameters
    measured = np.isfinite(stars.variance)
    weight = np.where(measured, 1.0 / (stars.variance + p.scatter2), 0.0)
    beta = 1.0 + p.slope
    residual = stars.values - p.offset
    best = (weight * beta * residual).sum(axis=1) / (weight * beta**2).sum(axis=1)
    return (weight * (residual - beta * best[:, None]) ** 2).sum(axis=1)
