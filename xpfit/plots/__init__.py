"""Figures: functions that take results and return a matplotlib figure."""

from .labels import residual_figure, spectrum_figure
from .model import model_figures
from .reliability import reliability_diagram, reliability_figure, reliable_fraction
from .residuals import confidence_residual_figure, residual_grid_figure
from .star import star_figure

__all__ = [
    "confidence_residual_figure",
    "model_figures",
    "reliability_diagram",
    "reliability_figure",
    "reliable_fraction",
    "residual_figure",
    "residual_grid_figure",
    "spectrum_figure",
    "star_figure",
]
