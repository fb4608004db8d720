"""Epoch spectra: each transit of a star compared with its mean, and fitted."""

from .comparison import Comparison, compare_epochs
from .data import EpochSpectra
from .directions import Variability, variability
from .fit import EpochFits, fit_epochs, fit_means, mean_spectra
from .read import iterate_epochs, read_epochs
from .table import EpochFlag, StudiedStar, epoch_table, star_table, study_stars

__all__ = [
    "Comparison",
    "EpochFits",
    "EpochFlag",
    "EpochSpectra",
    "StudiedStar",
    "Variability",
    "compare_epochs",
    "epoch_table",
    "fit_epochs",
    "fit_means",
    "iterate_epochs",
    "mean_spectra",
    "read_epochs",
    "star_table",
    "study_stars",
    "variability",
]
