"""Reliability flags."""

from .flags import UNRELIABLE, FitFlag, QualityFlag, fit_flags, is_reliable, quality_flags

__all__ = ["UNRELIABLE", "FitFlag", "QualityFlag", "fit_flags", "is_reliable", "quality_flags"]
