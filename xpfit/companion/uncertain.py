"""A network that knows how uncertain it is (Fallows & Sanders 2024): spectra -> labels.

Dropout stays on in prediction, so that the scatter of repeated passes is the model's uncertainty;
errors of the inputs go through the network's Jacobian; and an excess variance per label is learned.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ..constants import MAD_TO_SIGMA
from ..data.spectra import Spectra
from ..errors import InputError
from ..nn import (
    Adam,
    CosineSchedule,
    Dense,
    Dropout,
    LoopSettings,
    Network,
    ReLU,
    Task,
    TrainingLoop,
    gaussian_likelihood,
)
from .base import Companion, LabelPrediction, judged_by, labels_of
from .draws import SEED, StarDraws
from .features import Features

LABELS = ("teff", "feh", "logg", "alpha_m")

ERRORS = ("model_err", "input_err", "excess_err")
"""Scatter of the passes, what errors of the inputs do, and what neither explains."""

N_PASSES = 50
"""Passes with dropout that a prediction is the median of."""

ROWS_AT_A_TIME = 500

MAX_PULL = 5.0
"""Predictions that are further off tell nothing of the ordinary ones."""

GUESS_PASSES, GUESS_AXES, GUESS_DISTANCE = 10, 2, 4.0
"""Passes for guesses, and how many axes of the pulls they go along how far (errors), to and fro.

Of 2,000 training stars with S/N > 50 and Teff < 8000 K, 98.8 % reach the best optimum that is known
in half the time of the default search; along three axes 99.3 %, in 0.55 of it.
"""


@dataclass(frozen=True)
class UncertainSettings:
    """Settings of the network and its training, by default the paper's where it gives any.

    Parameters
    ----------
    hidden : tuple of int
        Widths of the hidden layers.
    dropout : float
        Share of each hidden layer that is dropped.
    learning_rate, weight_decay : float
        Of Adam; the rate falls to zero along half a cosine.
    n_epochs, batch_size : int
    warm_up : float
        Share of the epochs before the errors of inputs and model count (the paper: 2500 / 20000).
    refresh : int
        Epochs between updates of those.
    validation_share : float
        Stars that are not learned from: by them errors are calibrated.
    """

    hidden: tuple[int, ...] = (128, 128)
    dropout: float = 0.2
    learning_rate: float = 5e-4
    weight_decay: float = 1e-5
    n_epochs: int = 400
    batch_size: int = 512
    warm_up: float = 0.125
    refresh: int = 20
    validation_share: float = 0.05

    def __post_init__(self):
        object.__setattr__(self, "hidden", tuple(self.hidden))
        for name in ("warm_up", "validation_share"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise InputError(f"{name} must lie in [0, 1), got {getattr(self, name)}")
        if self.refresh < 1:
            raise InputError(f"refresh must be at least 1, got {self.refresh}")

    def to_dict(self) -> dict:
        """Plain values, for a file's metadata."""
        return {**asdict(self), "hidden": list(self.hidden)}


class UncertainNetwork(Companion):
    """The uncertain network, in the manner of scikit-learn's estimators.

    Parameters
    ----------
    label_names : sequence of str
    settings : UncertainSettings, optional

    Attributes
    ----------
    features_ : Features
    parameters_ : ndarray, shape (n_parameters,)
    label_mean_, label_scale_ : ndarray, shape (n_label,)
    calibration_ : ndarray, shape (n_label,)
        Factors on all errors, from the validation stars. The paper has none; but the scatter of
        single passes overstates the error of their median.
    axes_ : ndarray, shape (n_label, n_label)
        Principal axes of the pulls of the validation stars, longest first, in units of the errors:
        the directions in which predictions go wrong.
    card_ : dict
        What it was trained on and how, and the history of its training.
    """

    kind = "uncertain"
    settings_kind = UncertainSettings
    learned = ("parameters", "label_mean", "label_scale", "calibration", "axes")

    def __init__(
        self, label_names: Sequence[str] = LABELS, settings: UncertainSettings | None = None
    ):
        self.label_names = tuple(label_names)
        self.settings = settings or UncertainSettings()

    def fit(
        self,
        spectra: Spectra,
        *,
        rng: np.random.Generator,
        progress: bool = True,
        checkpoint: str | os.PathLike | None = None,
    ) -> UncertainNetwork:
        """Train on spectra with labels.

        Parameters
        ----------
        spectra : Spectra
            Stars without all labels are left out; unknown label errors count as zero.
        rng : numpy.random.Generator
        progress : bool
        checkpoint : path-like, optional
            File from which an interrupted training goes on.

        Returns
        -------
        UncertainNetwork
            Itself.

        Raises
        ------
        InputError
            If labels are missing, or too few stars have them all.
        """
        labels, errors, known = self._labels(spectra)
        spectra = spectra[np.flatnonzero(known)]
        self.features_ = Features.learn(spectra)
        self.label_mean_, self.label_scale_ = labels.mean(axis=0), labels.std(axis=0)
        if not np.all(self.label_scale_ > 0):
            raise InputError("a label is the same for all training stars; nothing can be learned")
        task = _Task(self, spectra, labels, errors)
        settings = self.settings
        order = rng.permutation(len(spectra))
        n_validation = max(int(settings.validation_share * len(order)), 1)
        loop = TrainingLoop(
            task,
            Adam(),
            CosineSchedule(settings.learning_rate, settings.n_epochs),
            LoopSettings(settings.n_epochs, settings.batch_size, settings.weight_decay),
        )
        state = loop.run(
            self.network.initialise(rng),
            order[n_validation:],
            order[:n_validation],
            rng,
            progress=progress,
            checkpoint=checkpoint,
        )
        self.parameters_ = state.parameters
        self.calibration_ = np.ones(len(self.label_names))
        held_out = judged_by(order, n_validation)
        self._calibrate(spectra[held_out], labels[held_out], errors[held_out])
        self._fill_card(
            spectra,
            state,
            labels=list(self.label_names),
            label_ranges=np.array([labels.min(axis=0), labels.max(axis=0)]).T.tolist(),
            calibration=self.calibration_.tolist(),
        )
        return self

    @property
    def network(self) -> Network:
        """The layers: outputs are labels, then ln of the excess variances, all standardised."""
        layers: list = []
        n_in = self.features_.n_input
        for width in self.settings.hidden:
            layers += [Dense(n_in, width), ReLU(), Dropout(self.settings.dropout)]
            n_in = width
        return Network([*layers, Dense(n_in, 2 * len(self.label_names))])

    def predict(
        self, spectra: Spectra, *, seed: int = SEED, n_passes: int = N_PASSES
    ) -> LabelPrediction:
        """Labels and their uncertainties.

        Parameters
        ----------
        spectra : Spectra
            In the space of the training stars.
        seed : int
            Of the dropout, together with each star's source_id: a star's result depends neither
            on other stars nor on their order.
        n_passes : int

        Returns
        -------
        LabelPrediction
            Medians of the passes, with the errors ``model_err`` (scatter of the passes),
            ``input_err`` (what errors of the inputs do) and ``excess_err`` (what neither explains);
            NaN for stars of which nothing can be seen.

        Raises
        ------
        InputError
            If the network was not trained, or the spectra are in another space.
        """
        self._require_training()
        if n_passes < 2:
            raise InputError(f"n_passes must be at least 2, got {n_passes}")
        return self._predict(spectra, seed, n_passes)

    def _predict(self, spectra: Spectra, seed: int, n_passes: int) -> LabelPrediction:
        """Predict in parts, as all random numbers of a part are held in memory."""
        parts = [
            self._predict_part(spectra[rows], seed, n_passes)
            for rows in np.array_split(
                np.arange(len(spectra)), max(1, -(-len(spectra) // ROWS_AT_A_TIME))
            )
        ]
        return LabelPrediction(
            self.label_names,
            np.concatenate([part.values for part in parts]),
            {name: np.concatenate([part.errors[name] for part in parts]) for name in ERRORS},
        )

    def guesses(
        self, spectra: Spectra, label_names: Sequence[str], *, seed: int = SEED
    ) -> np.ndarray:
        """Labels for a forward fit to start from: the prediction, and points along its worst axes.

        Parameters
        ----------
        spectra : Spectra
        label_names : sequence of str
            Of the forward model.
        seed : int
            As in `predict`.

        Returns
        -------
        ndarray, shape (n_star, 5, n_label)
            For `xpfit.Fitter.fit`.

        Raises
        ------
        InputError
            If this network does not predict one of the labels.
        """
        missing = [name for name in label_names if name not in self.label_names]
        if missing:
            raise InputError(f"this network does not predict {', '.join(missing)}")
        prediction = self.predict(spectra, seed=seed, n_passes=GUESS_PASSES)
        steps = GUESS_DISTANCE * self.axes_[:GUESS_AXES]
        steps = np.concatenate([np.zeros((1, len(self.label_names))), steps, -steps])
        points = prediction.values[:, None] + steps * prediction.total_err[:, None]
        return points[:, :, [self.label_names.index(name) for name in label_names]]

    def score(self, spectra: Spectra, *, seed: int = SEED) -> float:
        """Mean over the labels of the coefficient of determination R^2, as in scikit-learn."""
        labels, _, known = self._labels(spectra)
        values = self.predict(spectra[np.flatnonzero(known)], seed=seed).values
        residual = np.sum((values - labels) ** 2, axis=0)
        return float(np.mean(1.0 - residual / np.sum((labels - labels.mean(axis=0)) ** 2, axis=0)))

    def _calibrate(self, spectra, labels, errors) -> None:
        """Find the factors on errors with which pulls of stars not learned from have width 1."""
        prediction = self._predict(spectra, SEED, N_PASSES)
        residual, total = prediction.values - labels, prediction.total_err
        for _ in range(20):
            pull = residual / np.hypot(self.calibration_ * total, errors)
            width = MAD_TO_SIGMA * np.nanmedian(np.abs(pull - np.nanmedian(pull, axis=0)), axis=0)
            self.calibration_ = self.calibration_ * np.clip(width, 0.5, 2.0)
        pull = residual / (self.calibration_ * total)
        ordinary = np.all(np.abs(pull) < MAX_PULL, axis=1)
        if ordinary.sum() > len(self.label_names):
            values, vectors = np.linalg.eigh(np.cov(pull[ordinary].T))
            self.axes_ = (vectors * np.sqrt(values)).T[::-1]
        else:
            self.axes_ = np.eye(len(self.label_names))  # too few to tell

    def _predict_part(self, spectra, seed, n_passes) -> LabelPrediction:
        """Some of the stars."""
        network, k = self.network, len(self.label_names)
        inputs = self.features_.inputs(spectra)
        passes = np.empty((n_passes, len(inputs), k))
        excess = np.zeros((len(inputs), k))
        draws = StarDraws(spectra.source_id, seed, n_passes * sum(self.settings.hidden))
        for i in range(n_passes):
            out, _ = network.forward(self.parameters_, inputs, draws)
            passes[i] = out[:, :k]
            excess += np.exp(out[:, k:]) / n_passes
        variance = self.features_.input_variance(spectra, self._jacobian(self.parameters_, inputs))
        blind = ~self.features_.seen(spectra)
        model = np.var(passes, axis=0, ddof=1)
        scale = np.where(blind[:, None], np.nan, self.label_scale_)
        return LabelPrediction(
            self.label_names,
            np.median(passes, axis=0) * scale + self.label_mean_,
            {
                name: np.sqrt(part) * scale * self.calibration_
                for name, part in zip(ERRORS, (model, variance, excess), strict=True)
            },
        )

    def _jacobian(self, parameters: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Derivatives of the labels with respect to the inputs, (n_star, n_label, n_input)."""
        return self.network.jacobian(parameters, inputs, range(len(self.label_names)))

    def _labels(self, spectra: Spectra) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Labels and errors of the stars that have all, and which these are."""
        labels, errors = labels_of(spectra, self.label_names)
        known = np.isfinite(labels).all(axis=1)
        if known.sum() < 10:
            raise InputError(f"{known.sum()} stars with all labels are too few")
        return labels[known], errors[known], known


class _Task(Task):
    """The loss of one training (Fallows & Sanders, eqs. 9 and 10)."""

    def __init__(self, owner: UncertainNetwork, spectra, labels, errors):
        self.owner, self.spectra = owner, spectra
        self.network, self.k = owner.network, len(owner.label_names)
        self.inputs = owner.features_.inputs(spectra)
        self.targets = (labels - owner.label_mean_) / owner.label_scale_
        self.label_variance = (errors / owner.label_scale_) ** 2
        self.other_variance = np.zeros_like(self.targets)

    def loss(self, parameters, rows, rng):
        """Mean of the Gaussian likelihood over stars, summed over labels."""
        out, caches = self.network.forward(parameters, self.inputs[rows], rng)
        known = self.label_variance[rows] + self.other_variance[rows]
        value, d_residual, d_excess = gaussian_likelihood(
            out[:, : self.k] - self.targets[rows], out[:, self.k :], known
        )
        dy = np.concatenate([d_residual, d_excess], axis=1) / len(rows)
        gradient = self.network.backward(parameters, caches, dy) if rng is not None else None
        return float(value.sum(axis=1).mean()), gradient

    @property
    def state(self):
        """See `Task.state`."""
        return {"other_variance": self.other_variance}

    def before_epoch(self, epoch: int, parameters: np.ndarray) -> None:
        """Update the variances due to errors of the inputs and dropout, every few epochs.

        They enter the loss as constants: the paper does not follow their own derivatives either.
        """
        settings = self.owner.settings
        start = int(np.ceil(settings.warm_up * settings.n_epochs))
        if epoch < start or (epoch - start) % settings.refresh:
            return
        # A stream of its own, so that a resumed training draws the same.
        rng = np.random.default_rng([epoch, 1])
        for first in range(0, len(self.inputs), ROWS_AT_A_TIME):
            rows = slice(first, first + ROWS_AT_A_TIME)
            inputs = self.inputs[rows]
            jacobian = self.owner._jacobian(parameters, inputs)
            variance = self.owner.features_.input_variance(self.spectra[rows], jacobian)
            passes = [
                self.network.forward(parameters, inputs, rng)[0][:, : self.k] for _ in range(10)
            ]
            self.other_variance[rows] = variance + np.var(passes, axis=0, ddof=1)
