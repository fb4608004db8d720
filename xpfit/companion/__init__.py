"""Companions: other models of the same spectra, which give independent estimates."""

from .attention import attention, derivative_spectra
from .base import Companion
from .draws import SEED
from .features import Features
from .gaianet import GaiaNet, GaiaNetSettings
from .outliers import OutlierDetector
from .prediction import Column, LabelPrediction, Prediction, Reconstruction
from .store import KINDS, load_companion, save_companion
from .svae import ScatterAutoencoder, ScatterSettings
from .uncertain import UncertainNetwork, UncertainSettings

__all__ = [
    "KINDS",
    "SEED",
    "Column",
    "Companion",
    "Features",
    "GaiaNet",
    "GaiaNetSettings",
    "LabelPrediction",
    "OutlierDetector",
    "Prediction",
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
