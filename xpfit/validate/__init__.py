"""Fits against reference labels, simulated truth, dust maps and sampled posteriors: numbers."""

from .dust import attach_dust_map, beyond_the_dust, compare_dust, dust_numbers, line_with_errors
from .metrics import Comparison, beside_zgr23, compare, metrics, pulls_beside_zgr23
from .reference import attach_reference, nearest_stars, read_reference
from .reliability import reliable_fraction
from .selection import SELECTIONS, Selection
from .truth import attach_truth, coverage

__all__ = [
    "SELECTIONS",
    "Comparison",
    "Selection",
    "attach_dust_map",
    "attach_reference",
    "attach_truth",
    "beside_zgr23",
    "beyond_the_dust",
    "compare",
    "compare_dust",
    "coverage",
    "dust_numbers",
    "line_with_errors",
    "metrics",
    "nearest_stars",
    "pulls_beside_zgr23",
    "read_reference",
    "reliable_fraction",
]
