"""Catalogues of simulated stars against their truth: bias, scatter, pulls, coverage."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
from astropy.table import Table

from ..catalogue import STELLAR_PARAMETERS
from ..errors import InputError
from ..quality import is_reliable
from ..quantities import factors
from ..read.joins import integer_ids, match_ids
from ..simulate import read_truth
from .metrics import GIANT_LOGG, magnitude_groups, residual_numbers

LEVELS = (0.68, 0.95)
"""Probabilities of the regions whose coverage is counted."""

G_EDGES = (0.0, 13.0, 15.0, 16.5, 17.6, 25.0)
"""Magnitudes that divide the stars."""


def attach_truth(fitted: Table, survey: str | os.PathLike) -> dict[str, np.ndarray]:
    """Truth of the stars of a catalogue.

    Parameters
    ----------
    fitted : astropy.table.Table
        Catalogue of simulated stars.
    survey : path-like
        The survey, as `xpfit.simulate.write_survey` (`xpfit simulate`) wrote it.

    Returns
    -------
    dict of str to ndarray, shape (n_star,)
        By name of the parameter, in kK, dex, mag, mas; and `mass_ratio`. NaN for stars that the
        survey does not have.

    Raises
    ------
    InputError
        If the file is not a survey, or none of the stars is in it.
    """
    truth = read_truth(survey)
    if "label_names" not in truth:
        raise InputError(f"{survey}: simulated by an older xpfit; simulate it again")
    wanted = integer_ids(fitted, "the catalogue")
    rows, matched = match_ids(wanted, truth["source_id"], "the survey")
    if not matched.any():
        raise InputError(f"{survey}: none of the catalogue's stars is in this survey")
    names = [name.decode() for name in truth["label_names"]]
    columns = {name: truth["labels"][:, i] for i, name in enumerate(names)}
    columns |= {name: truth[name] for name in ("extinction", "parallax", "mass_ratio")}
    return {name: np.where(matched, values[rows], np.nan) for name, values in columns.items()}


def coverage(
    fitted: Table, truth: Mapping[str, np.ndarray], *, include_flagged: bool = False
) -> dict[str, dict[str, dict[str, float]]]:
    """Bias, scatter and coverage of estimates and errors of simulated stars.

    Parameters
    ----------
    fitted : astropy.table.Table
        Catalogue with the columns of ZGR23's table 2, and `phot_g_mean_mag`.
    truth : mapping of str to ndarray
        From `attach_truth`. Binaries are left out: their spectra are of no single star.
    include_flagged : bool
        Count flagged fits too.

    Returns
    -------
    dict
        By group (``all``, ``giants``, ``dwarfs``, and by G) and by parameter (and ``joint``, the
        five, or those that the model has, together): `n`, `bias`, `scatter`, `pull` (robust width
        of residuals over errors), `cover68` and `cover95` (fractions of the stars whose truth is in
        the central 68 and 95 % region). In K, dex, mag, mas; NaN where there are no stars.

    Notes
    -----
    The joint region is the ellipsoid in ln parallax: flux is proportional to the square of the
    parallax and exponential in log g, so that the narrow ridge along which the two are degenerate
    is straight there. In the parallax itself it is curved, and leaves the ellipsoid.
    """
    estimate = np.asarray(fitted["stellar_params_est"])
    index = np.flatnonzero(np.isfinite(estimate).any(axis=0)).tolist()
    names = [STELLAR_PARAMETERS[i] for i in index]
    true = np.column_stack([truth[name] for name in names])
    residual = estimate[:, index] - true
    scale = factors(names)
    pull = residual / np.asarray(fitted["stellar_params_err"])[:, index]
    distance = _mahalanobis(*_in_ln_parallax(fitted, index, true))
    keep = np.isfinite(pull).all(axis=1) & ~(truth["mass_ratio"] > 0)
    if not include_flagged:
        keep &= is_reliable(fitted["quality_flags"], fitted["fit_flags"])
    result = {}
    for group, rows in _groups(fitted, truth).items():
        used = keep & rows
        result[group] = {
            name: _numbers(scale[k] * residual[used, k], pull[used, k])
            for k, name in enumerate(names)
        }
        joint = {"n": int(used.sum())}
        result[group]["joint"] = joint | _coverages(distance[used], len(names))
    return result


def _groups(fitted: Table, truth: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rows of all stars, of giants and dwarfs, and of ranges of G."""
    giant, g = truth["logg"] < GIANT_LOGG, np.asarray(fitted["phot_g_mean_mag"])
    groups = {"all": np.full(len(fitted), True), "giants": giant, "dwarfs": ~giant}
    return groups | magnitude_groups(g, G_EDGES)


def _in_ln_parallax(
    fitted: Table, index: list[int], true: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Covariances (n_star, n, n) and residuals (n_star, n), with ln parallax for the parallax."""
    n = len(STELLAR_PARAMETERS)
    rows, columns = np.triu_indices(n)
    triangles = np.asarray(fitted["stellar_params_cov_triu"])
    matrix = np.full((len(fitted), n, n), np.nan)
    matrix[:, rows, columns] = matrix[:, columns, rows] = triangles
    covariance = matrix[:, index][:, :, index]
    estimate = np.asarray(fitted["stellar_params_est"])[:, index]
    residual = estimate - true
    if STELLAR_PARAMETERS.index("parallax") in index:
        i = index.index(STELLAR_PARAMETERS.index("parallax"))
        with np.errstate(invalid="ignore", divide="ignore"):
            residual[:, i] = np.log(estimate[:, i] / true[:, i])
            covariance[:, i, :] /= estimate[:, i, None]
            covariance[:, :, i] /= estimate[:, i, None]
    return covariance, residual


def _mahalanobis(covariance: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """r^T C^-1 r of every star, shape (n_star,)."""
    distance = np.full(len(residual), np.nan)
    known = np.isfinite(covariance).all(axis=(1, 2)) & np.isfinite(residual).all(axis=1)
    inverse = np.linalg.pinv(covariance[known], rcond=1e-300, hermitian=True)
    solved = inverse @ residual[known][:, :, None]
    distance[known] = np.sum(residual[known] * solved[:, :, 0], axis=1)
    return distance


def _numbers(residual: np.ndarray, pull: np.ndarray) -> dict[str, float]:
    """Bias, robust scatter, pull width and coverage of one parameter."""
    return residual_numbers(residual, pull, np.nan) | _coverages(pull**2, 1)


def _coverages(distance: np.ndarray, dof: int) -> dict[str, float]:
    """Fractions with a squared distance within that of each level of chi2; NaN without stars."""
    from scipy.stats import chi2

    inside = {f"cover{100 * level:.0f}": distance < chi2.ppf(level, dof) for level in LEVELS}
    return {name: float(np.mean(x)) if len(x) else np.nan for name, x in inside.items()}
