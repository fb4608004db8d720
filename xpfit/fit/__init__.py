"""Objective, starts, MAP per star, Fisher errors."""

from .engine import fit_spectra
from .result import FitResult, FitStatus

__all__ = ["FitResult", "FitStatus", "fit_spectra"]
