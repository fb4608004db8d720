"""Fitted against reference labels: metrics and figures."""

from .figures import residual_figure, spectrum_figure
from .metrics import Comparison, Selection, compare, metrics
from .reference import attach_reference

__all__ = [
    "Comparison",
    "Selection",
    "attach_reference",
    "compare",
    "metrics",
    "residual_figure",
    "spectrum_figure",
]
