"""The hand-written network core: layers, losses, optimisers, schedules, minibatches."""

from .batches import minibatches
from .layers import Dense, Dropout, Layer, ReLU, Tanh
from .losses import asinh_turnover, binary_cross_entropy, chi2, l2_penalty
from .network import Network, classifier_network, multilayer_perceptron
from .optimisers import SGD, Adam, Optimiser
from .schedules import CosineSchedule, PlateauSchedule, StepSchedule

__all__ = [
    "SGD",
    "Adam",
    "CosineSchedule",
    "Dense",
    "Dropout",
    "Layer",
    "Network",
    "Optimiser",
    "PlateauSchedule",
    "ReLU",
    "StepSchedule",
    "Tanh",
    "asinh_turnover",
    "binary_cross_entropy",
    "chi2",
    "classifier_network",
    "l2_penalty",
    "minibatches",
    "multilayer_perceptron",
]
