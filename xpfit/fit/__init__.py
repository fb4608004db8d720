"""Objective, starts, MAP per star, Fisher errors."""

from .fitter import Fitter, fit_spectra
from .result import FitResult, FitStatus

__all__ = ["FitResult", "FitStatus", "Fitter", "fit_spectra"]
