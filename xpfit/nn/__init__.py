"""The hand-written network core: layers, losses, optimisers, schedules, minibatches."""

from .activations import ELU, GELU, Activation, ReLU, Sigmoid, Tanh
from .batches import minibatches
from .layers import Dense, Dropout, GaussianSample, Layer
from .losses import (
    asinh_turnover,
    binary_cross_entropy,
    chi2,
    gaussian_likelihood,
    l2_penalty,
    standard_normal_divergence,
)
from .network import Network, classifier_network, multilayer_perceptron
from .normalisation import BatchNorm
from .optimisers import SGD, Adam, Adamax, AdamW, Optimiser
from .pooling import AveragePool, MaxPool
from .residual import Residual
from .schedules import CosineSchedule, PlateauSchedule, StepSchedule, WarmRestartSchedule
from .series import Convolution, Position

__all__ = [
    "ELU",
    "GELU",
    "SGD",
    "Activation",
    "Adam",
    "AdamW",
    "Adamax",
    "AveragePool",
    "BatchNorm",
    "Convolution",
    "CosineSchedule",
    "Dense",
    "Dropout",
    "GaussianSample",
    "Layer",
    "MaxPool",
    "Network",
    "Optimiser",
    "PlateauSchedule",
    "Position",
    "ReLU",
    "Residual",
    "Sigmoid",
    "StepSchedule",
    "Tanh",
    "WarmRestartSchedule",
    "asinh_turnover",
    "binary_cross_entropy",
    "chi2",
    "classifier_network",
    "gaussian_likelihood",
    "l2_penalty",
    "minibatches",
    "multilayer_perceptron",
    "standard_normal_divergence",
]
