"""Objective, starts, MAP per star, Fisher errors."""

from .fitter import Fitter, fit_spectra
from .result import FitResult, FitStatus
from .settings import FitSettings

__all__ = ["FitResult", "FitSettings", "FitStatus", "Fitter", "fit_spectra"]
