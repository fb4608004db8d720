"""Reliability flags, and confidence classifiers."""

from ..data import UNRELIABLE, FitFlag, QualityFlag
from .calibration import calibration, calibration_report, unknown_costs
from .confidence import CONFIDENCE_LABELS, Confidence, confidence_for
from .features import confidence_features
from .flags import fit_flags, is_basic, is_reliable, quality_flags
from .labelled import LabelledFits, labelled_fits
from .negatives import Negatives
from .training import ConfidenceSettings, train_confidence

__all__ = [
    "CONFIDENCE_LABELS",
    "UNRELIABLE",
    "Confidence",
    "ConfidenceSettings",
    "FitFlag",
    "LabelledFits",
    "Negatives",
    "QualityFlag",
    "calibration",
    "calibration_report",
    "confidence_features",
    "confidence_for",
    "fit_flags",
    "is_basic",
    "is_reliable",
    "labelled_fits",
    "quality_flags",
    "train_confidence",
    "unknown_costs",
]
