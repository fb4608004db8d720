"""Fits against reference labels, simulated truth, dust maps and the posterior: numbers."""

from .dust import (
    DUST_MAPS,
    attach_dust_map,
    beyond_the_dust,
    dust_figure,
    dust_numbers,
    load_dust_map,
)
from .metrics import Comparison, Selection, beside_zgr23, compare, metrics
from .reference import attach_reference
from .truth import attach_truth, coverage, coverage_figure

__all__ = [
    "DUST_MAPS",
    "Comparison",
    "Selection",
    "attach_dust_map",
    "attach_reference",
    "attach_truth",
    "beside_zgr23",
    "beyond_the_dust",
    "compare",
    "coverage",
    "coverage_figure",
    "dust_figure",
    "dust_numbers",
    "load_dust_map",
    "metrics",
]
