"""Other models of the same spectra, beside the forward model: second opinions on the same core."""

from .base import Companion
from .features import Features
from .store import KINDS, load_companion, save_companion
from .svae import Reconstruction, ScatterAutoencoder, ScatterSettings
from .uncertain import UncertainNetwork, UncertainPrediction, UncertainSettings

__all__ = [
    "KINDS",
    "Companion",
    "Features",
    "Reconstruction",
    "ScatterAutoencoder",
    "ScatterSettings",
    "UncertainNetwork",
    "UncertainPrediction",
    "UncertainSettings",
    "load_companion",
    "save_companion",
]
