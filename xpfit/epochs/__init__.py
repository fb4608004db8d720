"""Epoch spectra: each transit of a star compared with its mean, and fitted."""

from .comparison import Comparison, compare_epochs
from .data import EpochSpectra
from .directions import Variability, variability
from .fit import EpochFits, fit_epochs, fit_means, mean_spectra

__all__ = [
    "Comparison",
    "EpochFits",
    "EpochSpectra",
    "Variability",
    "compare_epochs",
    "fit_epochs",
    "fit_means",
    "mean_spectra",
    "variability",
]
