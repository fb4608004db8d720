"""Reliability flags, and confidence classifiers."""

from ..data.flags import UNRELIABLE, FitFlag, QualityFlag
from .calibration import calibration, judge
from .confidence import CONFIDENCE_LABELS, Confidence, confidence_for
from .features import confidence_features
from .flags import fit_flags, is_basic, is_reliable, quality_flags
from .training import ConfidenceSettings, labelled_fits, train_confidence

__all__ = [
    "CONFIDENCE_LABELS",
    "UNRELIABLE",
    "Confidence",
    "ConfidenceSettings",
    "FitFlag",
    "QualityFlag",
    "calibration",
    "confidence_features",
    "confidence_for",
    "fit_flags",
    "is_basic",
    "is_reliable",
    "judge",
    "labelled_fits",
    "quality_flags",
    "train_confidence",
]
