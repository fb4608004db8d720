"""How well binaries are distinguished from single stars: completeness and false alarms."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .metrics import magnitude_groups

FALSE_ALARM_RATE = 0.01
"""Fraction of single stars that are taken for binaries, at which completeness is quoted."""

MASS_RATIO_EDGES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0)

TARGET = (0.6, 0.85)
"""Mass ratios of the binaries that differ most from any single star."""

G_EDGES = (0.0, 12.0, 14.0, 16.0, 18.0)
"""Magnitudes that divide the sources."""


def detection(
    statistic: np.ndarray,
    mass_ratio: np.ndarray,
    g: np.ndarray,
    *,
    false_alarm_rate: float = FALSE_ALARM_RATE,
) -> dict[str, dict]:
    """Completeness of a search for binaries at a rate of false alarms, by magnitude.

    Parameters
    ----------
    statistic : ndarray, shape (n_star,)
        Larger for binaries, such as `BinaryResult.delta_bic`. NaN counts as not found.
    mass_ratio : ndarray, shape (n_star,)
        True ones; zero for single stars.
    g : ndarray, shape (n_star,)
        Magnitudes.
    false_alarm_rate : float

    Returns
    -------
    dict
        By range of G: `n_single`, `n_binary`, `threshold` (exceeded by that
        fraction of single stars), `false_alarms` at a statistic of zero, `completeness` of the
        mass ratios 0.6-0.85, and lists `mass_ratio` (edges), `n` and `found` by mass ratio.

    Raises
    ------
    InputError
        If there are no single stars or no binaries.
    """
    if not (mass_ratio > 0).any() or not (mass_ratio == 0).any():
        raise InputError(
            "completeness needs binaries and single stars; simulate them with 'xpfit simulate "
            "--binaries 0.3'"
        )
    value = np.where(np.isfinite(statistic), statistic, -np.inf)
    curves = {}
    for name, inside in magnitude_groups(g, G_EDGES).items():
        single, double = inside & (mass_ratio == 0), inside & (mass_ratio > 0)
        if not single.any() or not double.any():
            continue
        threshold = float(np.quantile(value[single], 1.0 - false_alarm_rate, method="higher"))
        found = value > threshold
        n, n_found = (
            np.histogram(mass_ratio[rows], MASS_RATIO_EDGES)[0] for rows in (double, double & found)
        )
        target = double & (mass_ratio >= TARGET[0]) & (mass_ratio < TARGET[1])
        curves[name] = {
            "n_single": int(single.sum()),
            "n_binary": int(double.sum()),
            "threshold": threshold,
            "false_alarms": float(np.mean(value[single] > 0.0)),
            "completeness": float(found[target].mean()) if target.any() else None,
            "mass_ratio": list(MASS_RATIO_EDGES),
            "n": n.tolist(),
            "found": [
                i / k if k else None for i, k in zip(n_found.tolist(), n.tolist(), strict=True)
            ],
        }
    return curves


def completeness_curve(single: np.ndarray, binary: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rates of false alarms, and the completeness at each.

    Parameters
    ----------
    single : ndarray, shape (n_single,)
        Statistic of single stars.
    binary : ndarray, shape (n_binary,)
        Statistic of binaries.

    Returns
    -------
    false_alarms, completeness : ndarray, shape (n_single,)
        Rising: of sources with at least the statistic of each single star. Stars whose best
        companion is dark have the same.
    """
    thresholds = np.sort(single)[::-1]
    below = [np.searchsorted(np.sort(values), thresholds) for values in (single, binary)]
    return 1.0 - below[0] / len(single), 1.0 - below[1] / max(len(binary), 1)
