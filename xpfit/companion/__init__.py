"""Other models of the same spectra, beside the forward model: second opinions on the same core."""

from .attention import attention, derivative_spectra
from .base import Companion, LabelPrediction
from .draws import SEED
from .features import Features
from .gaianet import GaiaNet, GaiaNetSettings
from .outliers import OddityDetector
from .store import KINDS, load_companion, save_companion
from .svae import Reconstruction, ScatterAutoencoder, ScatterSettings
from .uncertain import UncertainNetwork, UncertainSettings

__all__ = [
    "KINDS",
    "SEED",
    "Companion",
    "Features",
    "GaiaNet",
    "GaiaNetSettings",
    "LabelPrediction",
    "OddityDetector",
    "Reconstruction",
    "ScatterAutoencoder",
    "ScatterSettings",
    "UncertainNetwork",
    "UncertainSettings",
    "attention",
    "derivative_spectra",
    "load_companion",
    "save_companion",
]
