"""Training of the confidence classifiers (ZGR23, section 4.4 and appendix B)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np

from .. import nn
from ..constraints import NOT_NEGATIVE, POSITIVE, CheckedSettings, each
from ..errors import InputError
from ..model import XPModel
from .confidence import Confidence, standardise
from .features import OPTIONAL
from .labelled import OUTPUTS, LabelledFits

MIN_KNOWN = 0.01
"""Share of the training stars of which a feature must be known to be used."""

MIN_EXAMPLES = 20
"""Fewest good estimates, and fewest bad ones, to train on."""

TRAINING, VALIDATION, HELD_OUT = 0, 1, 2
"""Parts into which stars are split."""


@dataclass(frozen=True)
class ConfidenceSettings(CheckedSettings):
    """Architecture and training of the classifiers; the defaults are those of ZGR23's appendix B.

    Those of `patience` and `stop_after` are smaller than theirs (256 and 1024), and `unknown` is
    not in the paper: the best epoch of the shipped classifiers, which have a thirtieth of the stars
    to learn from, is one of the first two hundred.

    Parameters
    ----------
    hidden : tuple of int
        Widths of the hidden layers.
    dropout : float
        Share of each hidden layer's inputs that is dropped in training.
    l2 : float
        Penalty on the sum of squares of the hidden layers' weights.
    batch_size : int
    learning_rate : float
        Initial one, of Adam.
    patience : int
        Epochs without a lower validation loss after which the rate drops tenfold.
    stop_after : int
        Epochs without a lower validation loss after which training ends.
    max_epochs : int
    held_out, validation : float
        Shares of the stars kept for the final test, and for early stopping.
    unknown : float
        Share of the stars, drawn for each step, of which each of `OPTIONAL` is taken to be unknown.
        Surveys know such features of stars of some kinds only, bright ones for instance; so that
        this does not tell what the labels are like, stars of all kinds are seen without them.
    """

    hidden: tuple[int, ...] = (64, 64, 64)
    dropout: float = 0.1
    l2: float = 1e-3
    batch_size: int = 4096
    learning_rate: float = 1e-3
    patience: int = 32
    stop_after: int = 96
    max_epochs: int = 20_000
    held_out: float = 0.2
    validation: float = 0.1
    unknown: float = 0.5

    constraints = each(
        POSITIVE, "batch_size", "patience", "stop_after", "max_epochs", "learning_rate",
        "held_out", "validation",
    ) | each(NOT_NEGATIVE, "unknown")  # fmt: skip
    consistency: ClassVar = {
        "unknown": (lambda s: s.unknown < 1, "less than all"),
        "held_out": (lambda s: s.held_out + s.validation < 1, "less than all, with validation"),
    }


def train_confidence(
    model: XPModel,
    stars: LabelledFits,
    rng: np.random.Generator,
    settings: ConfidenceSettings | None = None,
    *,
    progress: bool = True,
) -> tuple[Confidence, LabelledFits]:
    """Train the classifiers: one for each label, on stars, and one for the kind of spectrum.

    Parameters
    ----------
    model : XPModel
        That the stars were fitted with.
    stars : LabelledFits
    rng : numpy.random.Generator
    settings : ConfidenceSettings, optional
    progress : bool

    Returns
    -------
    confidence : Confidence
    held_out : LabelledFits
        Stars that were not used in training, without what is no single star.

    Raises
    ------
    InputError
        If there are too few good or bad estimates of a label to learn from.
    """
    settings = settings or ConfidenceSettings()
    part = _split(stars.source_id, settings, rng)
    names = tuple(stars.features)
    columns = np.column_stack([stars.features[name] for name in names])
    mean, scale = _moments(columns[part == TRAINING])
    inputs = standardise(columns, mean, scale)
    network = nn.classifier_network(len(names), settings.hidden, settings.dropout)
    unknown = Unknown(optional_groups(names), settings.unknown)
    parameters, outcome = [], {}
    # Without examples of other kinds there is nothing to learn about them.
    outputs = OUTPUTS if stars.bad[:, -1].any() else OUTPUTS[:-1]
    for k, label in enumerate(outputs):
        # Labels are judged as those of stars: what is no star is told by its kind.
        used = stars.used[:, k] & (stars.is_star | (label == OUTPUTS[-1]))
        good = stars.good[:, k]
        rows, validation = (np.flatnonzero(used & (part == p)) for p in (TRAINING, VALIDATION))
        _require_examples(good[rows], label, "train on", MIN_EXAMPLES)
        _require_examples(good[validation], label, "validate with", 1)
        loop = nn.TrainingLoop(
            ClassifierTask(network, inputs, good.astype(float), settings.l2, unknown),
            nn.Adam(),
            nn.PlateauSchedule(settings.learning_rate, settings.patience),
            nn.LoopSettings(settings.max_epochs, settings.batch_size, patience=settings.stop_after),
            label,
        )
        state = loop.run(network.initialise(rng), rows, validation, rng, progress=progress)
        parameters.append(state.best)
        outcome[label] = {
            "n_good": int(good[rows].sum()),
            "n_bad": int((~good[rows]).sum()),
            "n_epochs": state.epoch,
            "validation_loss": state.best_loss,
        }
    confidence = Confidence(
        model_id=model.fingerprint,
        feature_names=names,
        mean=mean,
        scale=scale,
        hidden=settings.hidden,
        parameters=np.stack(parameters),
        training={"settings": settings.to_dict(), **outcome},
    )
    return confidence, stars[np.flatnonzero((part == HELD_OUT) & stars.is_star)]


def with_report(confidence: Confidence, report: dict) -> Confidence:
    """The classifiers with a `calibration_report` on stars that were held out."""
    return replace(confidence, training={**confidence.training, "held_out": report})


def _split(source_id: np.ndarray, settings: ConfidenceSettings, rng) -> np.ndarray:
    """Random part of each star; all rows of a source are in the same."""
    unique, inverse = np.unique(source_id, return_inverse=True)
    u = rng.random(len(unique))
    part = np.where(u < settings.held_out + settings.validation, VALIDATION, TRAINING)
    return np.where(u < settings.held_out, HELD_OUT, part)[inverse]


def _moments(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each feature; scale zero where there is too little known."""
    known = np.isfinite(columns)
    n = known.sum(axis=0)
    used = n >= max(2, MIN_KNOWN * len(columns))
    filled = np.where(known, columns, 0.0)
    mean = filled.sum(axis=0) / np.maximum(n, 1)
    square = np.where(known, (columns - mean) ** 2, 0.0).sum(axis=0) / np.maximum(n, 1)
    scale = np.sqrt(square)
    used &= scale > 1e-12 * np.maximum(np.abs(mean), 1.0)
    return np.where(used, mean, 0.0), np.where(used, scale, 0.0)


def _require_examples(target: np.ndarray, label: str, purpose: str, least: int) -> None:
    """Refuse to train on too few good or bad estimates."""
    n_good = int(target.sum())
    n_bad = len(target) - n_good
    if min(n_good, n_bad) < least:
        raise InputError(
            f"{n_good} good and {n_bad} bad estimates of {label} to {purpose}; at least {least} of "
            "each are needed: give more stars with reference labels"
        )


def optional_groups(names: Sequence[str]) -> list[np.ndarray]:
    """Columns of features that are known or unknown together, of `OPTIONAL`.

    Parameters
    ----------
    names : sequence of str
        Of all features.

    Returns
    -------
    list of ndarray of int
        Those that are there.
    """
    groups = ([names.index(n) for n in group if n in names] for group in OPTIONAL.values())
    return [np.array(group) for group in groups if group]


class Unknown(NamedTuple):
    """Features that are taken to be unknown, of random stars.

    Attributes
    ----------
    groups : list of ndarray of int
        Columns that are known or unknown together.
    share : float
        Of the stars, for each group.
    """

    groups: list[np.ndarray]
    share: float

    def applied(self, inputs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Standardised features, with zero where taken to be unknown."""
        chosen = rng.random((len(self.groups), len(inputs))) < self.share
        inputs = inputs.copy()
        for group, rows in zip(self.groups, chosen, strict=True):
            inputs[np.ix_(rows, group)] = 0.0
        return inputs


class ClassifierTask(nn.Task):
    """Mean cross-entropy of a classifier, plus a penalty on the hidden layers' weights.

    Parameters
    ----------
    network : Network
        Its output is a logit.
    inputs : ndarray, shape (n_star, n_feature)
    target : ndarray, shape (n_star,)
        1 for good estimates, 0 for bad ones.
    l2 : float
        Factor on the sum of squares of the penalised weights.
    unknown : Unknown, optional
        Features that are hidden in training.
    """

    def __init__(
        self,
        network: nn.Network,
        inputs: np.ndarray,
        target: np.ndarray,
        l2: float,
        unknown: Unknown | None = None,
    ):
        self.network, self.inputs, self.target, self.l2 = network, inputs, target, l2
        self.unknown = unknown
        last = max(i for i, layer in enumerate(network.layers) if isinstance(layer, nn.Dense))
        self.penalised = network.is_weight.copy()
        self.penalised[network.slices[last]] = False

    def loss(self, parameters, rows, rng):
        """See `Task.loss`; the validation loss is without the penalty."""
        inputs = self.inputs[rows]
        if rng is not None and self.unknown:
            inputs = self.unknown.applied(inputs, rng)
        logit, caches = self.network.forward(parameters, inputs, rng)
        entropy, slope = nn.binary_cross_entropy(logit[:, 0], self.target[rows])
        loss = float(entropy.mean())
        if rng is None:
            return loss, None
        mean_square, of_square = nn.l2_penalty(parameters, self.penalised)
        factor = self.l2 * max(int(self.penalised.sum()), 1)
        gradient = self.network.backward(parameters, caches, slope[:, None] / len(rows))
        return loss + factor * mean_square, gradient + factor * of_square
