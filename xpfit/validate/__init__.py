"""Metrics against reference labels, simulated surveys, figures of fits and models."""

from .dust import (
    DUST_MAPS,
    attach_dust_map,
    beyond_the_dust,
    dust_figure,
    dust_numbers,
    load_dust_map,
)
from .figures import residual_figure, spectrum_figure
from .metrics import Comparison, Selection, beside_zgr23, compare, metrics
from .model_plots import model_figures
from .reference import attach_reference
from .reliability import reliability_diagram, reliability_figure, reliable_fraction
from .residual_plots import confidence_residual_figure, residual_grid_figure
from .simulate import Survey, SurveySettings, read_truth, simulate_survey, write_survey
from .star import star_figure
from .truth import attach_truth, coverage, coverage_figure

__all__ = [
    "DUST_MAPS",
    "Comparison",
    "Selection",
    "Survey",
    "SurveySettings",
    "attach_dust_map",
    "attach_reference",
    "attach_truth",
    "beside_zgr23",
    "beyond_the_dust",
    "compare",
    "confidence_residual_figure",
    "coverage",
    "coverage_figure",
    "dust_figure",
    "dust_numbers",
    "load_dust_map",
    "metrics",
    "model_figures",
    "read_truth",
    "reliability_diagram",
    "reliability_figure",
    "reliable_fraction",
    "residual_figure",
    "residual_grid_figure",
    "simulate_survey",
    "spectrum_figure",
    "star_figure",
    "write_survey",
]
