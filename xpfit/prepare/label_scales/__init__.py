"""Label systems of several surveys, tied together by the stars that they have in common."""

from .combine import LABEL_SURVEYS, combine_surveys, with_source_ids
from .fit import ScaleFit, fit_scales
from .scales import LabelScale, LabelScales

__all__ = [
    "LABEL_SURVEYS",
    "LabelScale",
    "LabelScales",
    "ScaleFit",
    "combine_surveys",
    "fit_scales",
    "with_source_ids",
]
