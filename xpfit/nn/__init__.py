"""The hand-written network core: layers, losses, optimisers, schedules, the training loop."""

from .activations import ELU, GELU, Activation, ReLU, Sigmoid, Tanh
from .checkpoint import arrays_below, read_checkpoint, write_checkpoint
from .layers import Dense, Dropout, GaussianSample, Layer
from .loop import LoopSettings, LoopState, Task, TrainingLoop, minibatches
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
from .schedules import (
    CosineSchedule,
    PlateauSchedule,
    Schedule,
    StepSchedule,
    WarmRestartSchedule,
)
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
    "LoopSettings",
    "LoopState",
    "MaxPool",
    "Network",
    "Optimiser",
    "PlateauSchedule",
    "Position",
    "ReLU",
    "Residual",
    "Schedule",
    "Sigmoid",
    "StepSchedule",
    "Tanh",
    "Task",
    "TrainingLoop",
    "WarmRestartSchedule",
    "arrays_below",
    "asinh_turnover",
    "binary_cross_entropy",
    "chi2",
    "classifier_network",
    "gaussian_likelihood",
    "l2_penalty",
    "minibatches",
    "multilayer_perceptron",
    "read_checkpoint",
    "standard_normal_divergence",
    "write_checkpoint",
]
