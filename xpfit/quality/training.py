"""Training of the confidence classifiers (ZGR23, section 4.4 and appendix B)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
from tqdm.auto import tqdm

from ..data.spectra import Spectra
from ..errors import InputError
from ..fit import FitResult
from ..model import XPModel
from ..nn import (
    Adam,
    Dense,
    Network,
    PlateauSchedule,
    binary_cross_entropy,
    classifier_network,
    l2_penalty,
    minibatches,
)
from .confidence import CONFIDENCE_LABELS, Confidence, standardise
from .features import confidence_features
from .flags import fit_flags, is_reliable, quality_flags

AGREEMENT_FLOOR = {"teff": 0.1, "feh": 0.1, "logg": 0.1}
"""Errors (kK, dex) added in quadrature, so that small residuals count as agreement (eq. 27)."""

GOOD_BELOW, BAD_ABOVE = 4.0, 9.0
"""chi2 of eq. 27 of estimates that count as good, and as bad; those between teach nothing."""

MIN_KNOWN = 0.01
"""Share of the training stars of which a feature must be known to be used."""

MIN_EXAMPLES = 20
"""Good and bad estimates, of each, without which there is nothing to learn from."""

TRAINING, VALIDATION, HELD_OUT = 0, 1, 2
"""Parts that stars are dealt into."""


@dataclass(frozen=True)
class ConfidenceSettings:
    """How the classifiers are made and trained; the defaults are those of ZGR23's appendix B.

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
        Adam's, at the beginning.
    patience : int
        Epochs without a lower validation loss after which the rate drops tenfold.
    stop_after : int
        Epochs without a lower validation loss after which training ends.
    max_epochs : int
        Where it ends in any case.
    held_out, validation : float
        Shares of the stars kept for the final judgement, and for telling when to stop.
    """

    hidden: tuple[int, ...] = (64, 64, 64)
    dropout: float = 0.1
    l2: float = 1e-3
    batch_size: int = 4096
    learning_rate: float = 1e-3
    patience: int = 256
    stop_after: int = 1024
    max_epochs: int = 20_000
    held_out: float = 0.2
    validation: float = 0.1

    def __post_init__(self):
        for name in ("batch_size", "patience", "stop_after", "max_epochs", "learning_rate"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be positive, got {getattr(self, name)}")
        if not 0 < self.held_out + self.validation < 1 or min(self.held_out, self.validation) <= 0:
            raise InputError("held_out and validation must be positive shares of less than all")


@dataclass(frozen=True)
class LabelledFits:
    """Fitted stars whose labels are known: what classifiers learn from.

    Attributes
    ----------
    source_id : ndarray of int64, shape (n_star,)
    features : dict of str to ndarray, shape (n_star,)
        From `xpfit.quality.confidence_features`.
    residual : ndarray, shape (n_star, 3)
        Estimate minus reference, in the order of `CONFIDENCE_LABELS`, in kK and dex; NaN where the
        reference is unknown.
    agreement : ndarray, shape (n_star, 3)
        chi2 of eq. 27.
    """

    source_id: np.ndarray
    features: Mapping[str, np.ndarray]
    residual: np.ndarray
    agreement: np.ndarray

    def __len__(self) -> int:
        return len(self.source_id)

    def __getitem__(self, rows) -> LabelledFits:
        return LabelledFits(
            self.source_id[rows],
            {name: values[rows] for name, values in self.features.items()},
            self.residual[rows],
            self.agreement[rows],
        )

    @property
    def good(self) -> np.ndarray:
        """Which estimates are good, bool, shape (n_star, 3)."""
        return self.agreement < GOOD_BELOW

    @property
    def bad(self) -> np.ndarray:
        """Which estimates are bad, bool, shape (n_star, 3)."""
        return self.agreement > BAD_ABOVE


def labelled_fits(model: XPModel, spectra: Spectra, result: FitResult) -> LabelledFits:
    """Stars that pass the basic cut, with features and agreement with their reference labels.

    Parameters
    ----------
    model : XPModel
    spectra : Spectra
        With reference labels, which the fit knew nothing of.
    result : FitResult

    Returns
    -------
    LabelledFits

    Raises
    ------
    InputError
        If the spectra lack one of the labels.

    Notes
    -----
    ZGR23, eq. 27: chi2 = (x - x_ref)^2 / (s^2 + s_ref^2 + floor^2).
    """
    missing = [name for name in CONFIDENCE_LABELS if name not in spectra.labels]
    if missing:
        raise InputError(f"the spectra have no reference labels {', '.join(missing)}")
    residual, agreement = [], []
    for name in CONFIDENCE_LABELS:
        offset = result[name] - spectra.labels[name]
        error = np.nan_to_num(spectra.label_err[name], nan=0.0, posinf=0.0)
        variance = result.error(name) ** 2 + error**2 + AGREEMENT_FLOOR[name] ** 2
        residual.append(offset)
        agreement.append(offset**2 / variance)
    quality = quality_flags(model, spectra, result)
    some = np.flatnonzero(is_reliable(quality, fit_flags(model, spectra, result)))
    features = confidence_features(model, spectra, result)
    everything = LabelledFits(
        result.source_id, features, np.stack(residual, axis=1), np.stack(agreement, axis=1)
    )
    return everything[some]


def train_confidence(
    model: XPModel,
    stars: LabelledFits,
    rng: np.random.Generator,
    settings: ConfidenceSettings | None = None,
    *,
    progress: bool = True,
) -> tuple[Confidence, LabelledFits]:
    """Train the three classifiers.

    Parameters
    ----------
    model : XPModel
        Whose fits these are.
    stars : LabelledFits
    rng : numpy.random.Generator
    settings : ConfidenceSettings, optional
    progress : bool

    Returns
    -------
    confidence : Confidence
    held_out : LabelledFits
        Stars that no classifier has seen.

    Raises
    ------
    InputError
        If there are too few good or bad estimates of a label to learn from.
    """
    settings = settings or ConfidenceSettings()
    part = _deal(stars.source_id, settings, rng)
    names = tuple(stars.features)
    columns = np.column_stack([stars.features[name] for name in names])
    mean, scale = _moments(columns[part == TRAINING])
    inputs = standardise(columns, mean, scale)
    network = classifier_network(len(names), settings.hidden, settings.dropout)
    parameters, outcome = [], {}
    for k, label in enumerate(CONFIDENCE_LABELS):
        taught = stars.good[:, k] | stars.bad[:, k]
        sets = [
            (inputs[rows], stars.good[rows, k].astype(float))
            for rows in (taught & (part == p) for p in (TRAINING, VALIDATION))
        ]
        _require_examples(sets[0][1], label, "train on", MIN_EXAMPLES)
        _require_examples(sets[1][1], label, "tell when to stop", 1)
        weights, outcome[label] = _train(network, *sets, rng, settings, label, progress)
        parameters.append(weights)
    training = {"settings": {**asdict(settings), "hidden": list(settings.hidden)}, **outcome}
    confidence = Confidence(
        model_id=model.fingerprint,
        feature_names=names,
        mean=mean,
        scale=scale,
        hidden=settings.hidden,
        parameters=np.stack(parameters),
        training=training,
    )
    return confidence, stars[np.flatnonzero(part == HELD_OUT)]


def with_report(confidence: Confidence, report: dict) -> Confidence:
    """The classifiers with what was found on stars that they had not seen."""
    return replace(confidence, training={**confidence.training, "held_out": report})


def _deal(source_id: np.ndarray, settings: ConfidenceSettings, rng) -> np.ndarray:
    """Part of each star; all rows of a source are in the same."""
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
    """Refuse to learn from too few good or bad estimates."""
    n_good = int(target.sum())
    n_bad = len(target) - n_good
    if min(n_good, n_bad) < least:
        raise InputError(
            f"{n_good} good and {n_bad} bad estimates of {label} to {purpose}; at least {least} of "
            "each are needed: give more stars with reference labels"
        )


def _train(network, training, validation, rng, settings, label, progress):
    """Train one classifier; returns the parameters of the lowest validation loss, and an account.

    The rate falls and training ends as the validation loss says (see `ConfidenceSettings`).
    """
    inputs, target = training
    parameters, optimiser = network.initialise(rng), Adam()
    penalised = _hidden_weights(network)
    schedule = PlateauSchedule(settings.learning_rate, settings.patience)
    best, n_epochs = parameters, 0
    with tqdm(desc=label, unit="epoch", disable=not progress) as bar:
        while n_epochs < settings.max_epochs and schedule.n_stale < settings.stop_after:
            for rows in minibatches(len(target), settings.batch_size, rng):
                gradient = loss_gradient(
                    network, parameters, inputs[rows], target[rows], penalised, settings.l2, rng
                )[1]
                parameters = optimiser.step(parameters, gradient, schedule.rate)
            n_epochs += 1
            logit = network.forward(parameters, validation[0])[0][:, 0]
            if schedule.observe(float(binary_cross_entropy(logit, validation[1])[0].mean())):
                best = parameters
            bar.update()
            bar.set_postfix(loss=f"{schedule.best:.4f}", rate=f"{schedule.rate:.0e}")
    n_good = int(target.sum())
    return best, {
        "n_good": n_good,
        "n_bad": len(target) - n_good,
        "n_epochs": n_epochs,
        "validation_loss": schedule.best,
    }


def _hidden_weights(network: Network) -> np.ndarray:
    """Which parameters are weights of hidden layers: all dense ones but the last."""
    last = max(i for i, layer in enumerate(network.layers) if isinstance(layer, Dense))
    penalised = network.is_weight.copy()
    penalised[network.slices[last]] = False
    return penalised


def loss_gradient(
    network: Network,
    parameters: np.ndarray,
    inputs: np.ndarray,
    target: np.ndarray,
    penalised: np.ndarray,
    l2: float,
    rng: np.random.Generator | None = None,
) -> tuple[float, np.ndarray]:
    """Mean cross-entropy of a minibatch plus the penalty, and its gradient.

    Parameters
    ----------
    network : Network
    parameters : ndarray, shape (n_parameters,)
    inputs : ndarray, shape (n_batch, n_feature)
    target : ndarray, shape (n_batch,)
        1 for good estimates, 0 for bad ones.
    penalised : ndarray of bool, shape (n_parameters,)
    l2 : float
        Factor on the sum of squares of the penalised weights.
    rng : numpy.random.Generator, optional
        For dropout.

    Returns
    -------
    loss : float
    gradient : ndarray, shape (n_parameters,)
    """
    logit, caches = network.forward(parameters, inputs, rng)
    entropy, slope = binary_cross_entropy(logit[:, 0], target)
    mean_square, of_square = l2_penalty(parameters, penalised)
    factor = l2 * max(int(penalised.sum()), 1)
    gradient = network.backward(parameters, caches, slope[:, None] / len(target))
    return float(entropy.mean()) + factor * mean_square, gradient + factor * of_square
