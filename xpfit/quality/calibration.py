"""Calibration of the confidences: reliability diagram, Brier score, scatter."""

from __future__ import annotations

import numpy as np

from ..quantities import quantity
from ..statistics import robust_width
from .confidence import CONFIDENCE_LABELS, Confidence
from .features import FITTED, OPTIONAL
from .flags import MIN_CONFIDENCE
from .labelled import LabelledFits


def calibration(confidence: np.ndarray, good: np.ndarray, n_bins: int = 10) -> dict:
    """Reliability diagram and Brier score of one classifier.

    Parameters
    ----------
    confidence : ndarray, shape (n_star,)
    good : ndarray of bool, shape (n_star,)
        Whether the estimates were good.
    n_bins : int
        Bins of equal width in confidence.

    Returns
    -------
    dict
        `brier`: mean square of confidence minus outcome; `brier_of_the_mean`: the same if every
        star had the mean as its confidence; `edges`, `n`, `mean_confidence`, `share_good` of each
        bin, NaN in empty ones.
    """
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    place = np.clip(np.digitize(confidence, edges) - 1, 0, n_bins - 1)
    n = np.bincount(place, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, confidence, n_bins) / n
        share = np.bincount(place, good, n_bins) / n
    return {
        "brier": float(np.mean((confidence - good) ** 2)),
        "brier_of_the_mean": float(np.mean((np.mean(good) - good) ** 2)),
        "edges": edges.tolist(),
        "n": n.tolist(),
        "mean_confidence": mean.tolist(),
        "share_good": share.tolist(),
    }


def calibration_report(confidence: Confidence, stars: LabelledFits) -> dict[str, dict]:
    """Performance of the classifiers on stars that were not used in training.

    Parameters
    ----------
    confidence : Confidence
    stars : LabelledFits

    Returns
    -------
    dict of str to dict
        By label: `calibration` over good and bad estimates; `n_confident`, `n_others` and
        `scatter_confident`, `scatter_others` (robust, of the residuals against the reference, in
        `unit`: K or dex) of the stars above and not above a confidence of 0.5.
    """
    probability, report = confidence.of_features(stars.features), {}
    for k, label in enumerate(CONFIDENCE_LABELS):
        used = stars.used[:, k]
        entry = calibration(probability[used, k], stars.good[used, k])
        entry["unit"] = quantity(label).unit
        residual = quantity(label).factor * stars.residual[:, k]
        known, confident = np.isfinite(residual), probability[:, k] > MIN_CONFIDENCE
        for name, rows in (("confident", known & confident), ("others", known & ~confident)):
            entry[f"n_{name}"] = int(rows.sum())
            entry[f"scatter_{name}"] = robust_width(residual[rows])
        report[label] = entry
    return report


def unknown_costs(confidence: Confidence, stars: LabelledFits) -> dict[str, dict]:
    """Brier scores with and without each feature.

    Parameters
    ----------
    confidence : Confidence
    stars : LabelledFits
        That were not used in training.

    Returns
    -------
    dict of str to dict
        By feature, or group of features that are known or unknown together (`OPTIONAL`, `FITTED`
        and "residuals"): `n`, the number of stars of which it is known, good and bad ones; and by
        label the Brier scores (with, without) of those. Features that are unknown of all stars, or
        were in training, are not there.
    """
    residuals = [name for name in confidence.feature_names if name.startswith("asinh_residual")]
    learned = dict(zip(confidence.feature_names, confidence.scale > 0, strict=True))
    costs = {}
    for what, names in {**FITTED, **OPTIONAL, "residuals": residuals}.items():
        names = [name for name in names if learned.get(name)]
        if not names:
            continue
        known = np.any([np.isfinite(stars.features[name]) for name in names], axis=0)
        if not known.any():
            continue
        some = stars[np.flatnonzero(known)]
        hidden = {name: np.full(len(some), np.nan) for name in names}
        both = [confidence.of_features(f) for f in (some.features, {**some.features, **hidden})]
        costs[what] = {"n": int(some.used[:, : len(CONFIDENCE_LABELS)].any(axis=1).sum())}
        for k, label in enumerate(CONFIDENCE_LABELS):
            used = some.used[:, k]
            good = some.good[used, k]
            costs[what][label] = tuple(float(np.mean((p[used, k] - good) ** 2)) for p in both)
    return costs
