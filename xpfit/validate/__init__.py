"""Metrics against reference labels, simulated surveys, figures of fits and models."""

from .figures import residual_figure, spectrum_figure
from .metrics import Comparison, Selection, compare, metrics
from .model_plots import model_figures
from .reference import attach_reference
from .reliability import reliability_diagram, reliability_figure, reliable_fraction
from .simulate import Survey, SurveySettings, read_truth, simulate_survey, write_survey
from .star import star_figure
from .truth import attach_truth, coverage, coverage_figure

__all__ = [
    "Comparison",
    "Selection",
    "Survey",
    "SurveySettings",
    "attach_reference",
    "attach_truth",
    "compare",
    "coverage",
    "coverage_figure",
    "metrics",
    "model_figures",
    "read_truth",
    "reliability_diagram",
    "reliability_figure",
    "reliable_fraction",
    "residual_figure",
    "simulate_survey",
    "spectrum_figure",
    "star_figure",
    "write_survey",
]
