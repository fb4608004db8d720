"""Figures: functions that take results and return a matplotlib figure."""

from .coverage import coverage_figure
from .dust import dust_figure
from .model import model_figures
from .reliability import reliability_diagram, reliability_figure
from .residuals import confidence_residual_figure, residual_figure, residual_grid_figure
from .spectrum import spectrum_figure
from .star import star_figure
from .style import save

__all__ = [
    "confidence_residual_figure",
    "coverage_figure",
    "dust_figure",
    "model_figures",
    "reliability_diagram",
    "reliability_figure",
    "residual_figure",
    "residual_grid_figure",
    "save",
    "spectrum_figure",
    "star_figure",
]
