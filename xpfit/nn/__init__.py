"""The hand-written network core: layers, losses, optimisers, schedules, minibatches."""

from .batches import minibatches
from .layers import Dense, Layer, Tanh
from .losses import asinh_turnover, chi2, l2_penalty
from .network import Network, multilayer_perceptron
from .optimisers import SGD, Adam, Optimiser
from .schedules import CosineSchedule, StepSchedule

__all__ = [
    "SGD",
    "Adam",
    "CosineSchedule",
    "Dense",
    "Layer",
    "Network",
    "Optimiser",
    "StepSchedule",
    "Tanh",
    "asinh_turnover",
    "chi2",
    "l2_penalty",
    "minibatches",
    "multilayer_perceptron",
]
