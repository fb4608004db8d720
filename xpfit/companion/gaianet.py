"""Gaia Net (Huson et al. 2025): a residual convolutional network for stars of all kinds.

It looks at the spectrum as a series, and knows nothing of photometry or distance. The output is in
log Teff, so that cool and hot stars count alike.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np

from ..data.spectra import Spectra
from ..errors import InputError
from ..nn import (
    ELU,
    Adamax,
    AveragePool,
    BatchNorm,
    Convolution,
    CosineSchedule,
    Dense,
    LoopSettings,
    MaxPool,
    Network,
    Position,
    ReLU,
    Residual,
    Task,
    TrainingLoop,
)
from .base import Companion, LabelPrediction, judged_by, labels_of
from .draws import SEED
from .excess import ExcessErrors
from .features import Features, draw_noise

LABELS = ("logg", "teff", "feh")

MAX_LOGG_FEH, MIN_TEFF_FEH = 5.0, 3.2
"""Beyond this log g, and below this Teff (kK), [Fe/H] has no meaning (section 2 of the paper)."""

N_REDRAWS = 20
"""Redrawn spectra whose predictions' scatter is the error due to that of the spectrum."""

ROWS_AT_A_TIME = 500


@dataclass(frozen=True)
class GaiaNetSettings:
    """Settings of the network and its training, by default the paper's where they fit a CPU.

    Parameters
    ----------
    n_channel, kernel : int
        Of the convolutions (the paper: kernels of 30).
    n_block : int
        Number of residual blocks.
    max_pool, average_pool : int
        Places that become one, before and after the blocks.
    width, n_dense : int
        Of the dense layers at the end (the paper: 4096 and 7).
    learning_rate : float
        Of Adamax; it falls to zero along half a cosine (constant in the paper).
    n_epochs, batch_size : int
    validation_share : float
        Stars that are not learned from: by them the best epoch and the excess errors are found.
    noise : float
        Spectra are redrawn each time they are learned from, with so many times their errors (the
        paper: not at all).
    spectrum_only : bool
        Whether photometric bands are left out, as in the paper.
    """

    n_channel: int = 16
    kernel: int = 30
    n_block: int = 3
    max_pool: int = 2
    average_pool: int = 2
    width: int = 256
    n_dense: int = 7
    learning_rate: float = 4e-4
    n_epochs: int = 120
    batch_size: int = 512
    validation_share: float = 0.05
    noise: float = 0.2
    spectrum_only: bool = True

    def __post_init__(self):
        if not 0.0 < self.validation_share < 1.0:
            raise InputError(f"validation_share must lie in (0, 1), got {self.validation_share}")
        names = ("n_channel", "kernel", "max_pool", "average_pool", "width", "n_dense")
        for name in names:
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")

    def to_dict(self) -> dict:
        """Plain values, for a file's metadata."""
        return asdict(self)


class GaiaNet(Companion):
    """Gaia Net, in the manner of scikit-learn's estimators.

    Parameters
    ----------
    label_names : sequence of str
        ``teff`` is learned as log Teff.
    settings : GaiaNetSettings, optional

    Attributes
    ----------
    features_ : Features
    parameters_ : ndarray of float32, shape (n_parameters,)
    label_mean_, label_scale_ : ndarray, shape (n_label,)
        Of the outputs, log Teff among them.
    excess_ : ExcessErrors
        Errors that redrawn spectra do not explain, by predicted log Teff (the last label if there
        is no Teff). The paper has none.
    card_ : dict
        What it was trained on and how, and the history of its training.

    Notes
    -----
    Networks are trained and evaluated in single precision: rounding is a thousandth of the errors.
    """

    kind = "gaianet"
    settings_kind = GaiaNetSettings
    learned = ("parameters", "label_mean", "label_scale")
    learned_parts: ClassVar = {"excess": ExcessErrors}

    def __init__(
        self, label_names: Sequence[str] = LABELS, settings: GaiaNetSettings | None = None
    ):
        self.label_names = tuple(label_names)
        self.settings = settings or GaiaNetSettings()

    def fit(
        self,
        spectra: Spectra,
        *,
        rng: np.random.Generator,
        progress: bool = True,
        checkpoint: str | os.PathLike | None = None,
    ) -> GaiaNet:
        """Train on spectra with labels.

        Parameters
        ----------
        spectra : Spectra
            Stars may lack some labels, but not all.
        rng : numpy.random.Generator
        progress : bool
        checkpoint : path-like, optional
            File from which an interrupted training goes on.

        Returns
        -------
        GaiaNet
            Itself.

        Raises
        ------
        InputError
            If labels are missing, or too few stars have one.
        """
        targets, errors = self._targets(spectra)
        used = np.flatnonzero(np.isfinite(targets).any(axis=1))
        spectra, targets, errors = spectra[used], targets[used], errors[used]
        self.features_ = Features.learn(spectra, spectrum_only=self.settings.spectrum_only)
        self.label_mean_ = np.nanmean(targets, axis=0)
        self.label_scale_ = np.nanstd(targets, axis=0)
        if not np.all(self.label_scale_ > 0):
            raise InputError("a label is the same for all training stars; nothing can be learned")
        settings = self.settings
        order = rng.permutation(len(spectra))
        n_validation = max(int(settings.validation_share * len(order)), 1)
        task = _Task(self, spectra, (targets - self.label_mean_) / self.label_scale_)
        loop = TrainingLoop(
            task,
            Adamax(),
            CosineSchedule(settings.learning_rate, settings.n_epochs),
            LoopSettings(settings.n_epochs, settings.batch_size),
        )
        state = loop.run(
            self.network.initialise(rng).astype(np.float32),
            order[n_validation:],
            order[:n_validation],
            rng,
            progress=progress,
            checkpoint=checkpoint,
        )
        self.parameters_ = state.best
        held_out = judged_by(order, n_validation)
        values, input_err = self._outputs(spectra[held_out], SEED, N_REDRAWS)
        self.excess_ = ExcessErrors.learn(
            self._abscissa(values),
            values - targets[held_out],
            np.hypot(input_err, errors[held_out]),
        )
        self._fill_card(
            spectra,
            state,
            labels=list(self.label_names),
            label_ranges=np.array(
                [np.nanmin(targets, axis=0), np.nanmax(targets, axis=0)]
            ).T.tolist(),
            validation_loss=state.best_loss,
        )
        return self

    @property
    def network(self) -> Network:
        """The layers: outputs are standardised labels."""
        settings, length = self.settings, self.features_.n_input
        channels, kernel = settings.n_channel, settings.kernel
        pooled = -(-length // settings.max_pool)
        average = AveragePool(pooled, channels, settings.average_pool)
        layers: list = [
            Position(length),
            Convolution(2, channels, kernel),
            BatchNorm(channels),
            ELU(),
            MaxPool(length, channels, settings.max_pool),
        ]
        for _ in range(settings.n_block):
            block = [
                Convolution(channels, channels, kernel),
                BatchNorm(channels),
                ELU(),
                Convolution(channels, channels, kernel),
                BatchNorm(channels),
            ]
            layers += [Residual(block), ELU()]
        layers.append(average)
        n_in = average.length_out * channels
        for _ in range(settings.n_dense - 1):
            layers += [Dense(n_in, settings.width), ReLU()]
            n_in = settings.width
        return Network([*layers, Dense(n_in, len(self.label_names))])

    def predict(
        self, spectra: Spectra, *, seed: int = SEED, n_redraws: int = N_REDRAWS
    ) -> LabelPrediction:
        """Labels and their uncertainties.

        Parameters
        ----------
        spectra : Spectra
            In the space of the training stars.
        seed : int
            Of the redrawn spectra, together with each star's source_id: a star's result depends
            neither on other stars nor on their order.
        n_redraws : int

        Returns
        -------
        LabelPrediction
            With the errors ``input_err`` and ``excess_err``; NaN for stars of which nothing can be
            seen.

        Raises
        ------
        InputError
            If the network was not trained, or the spectra are in another space.
        """
        self._require_training()
        if n_redraws < 2:
            raise InputError(f"n_redraws must be at least 2, got {n_redraws}")
        values, input_err = self._outputs(spectra, seed, n_redraws)
        excess = self.excess_.of(self._abscissa(values))
        if "teff" in self.label_names:
            i = self.label_names.index("teff")
            values[:, i] = 10.0 ** (values[:, i] - 3.0)
            for error in (input_err, excess):
                error[:, i] *= np.log(10.0) * values[:, i]
        return LabelPrediction(
            self.label_names, values, {"input_err": input_err, "excess_err": excess}
        )

    def score(self, spectra: Spectra, *, seed: int = SEED) -> float:
        """Mean over the labels of the coefficient of determination R^2, as in scikit-learn."""
        targets, _ = self._targets(spectra)
        residual = self._outputs(spectra, seed, 0)[0] - targets
        spread = targets - np.nanmean(targets, axis=0)
        return float(np.mean(1.0 - np.nansum(residual**2, axis=0) / np.nansum(spread**2, axis=0)))

    def _outputs(self, spectra, seed, n_redraws) -> tuple[np.ndarray, np.ndarray]:
        """Outputs in the units of the targets, and their scatter when spectra are redrawn."""
        network = self.network
        values = np.full((len(spectra), len(self.label_names)), np.nan)
        scatter = np.full_like(values, np.nan)
        for first in range(0, len(spectra), ROWS_AT_A_TIME):
            rows = np.arange(first, min(first + ROWS_AT_A_TIME, len(spectra)))
            part = spectra[rows]
            seen = self.features_.seen(part)
            if not seen.any():
                continue
            part, rows = part[np.flatnonzero(seen)], rows[seen]
            values[rows] = self._evaluate(network, self.features_.inputs(part))
            if n_redraws:
                noise = draw_noise(part, n_redraws, seed)
                drawn = [
                    self._evaluate(
                        network, self.features_.inputs(part.replace(flux=part.flux + more))
                    )
                    for more in noise
                ]
                scatter[rows] = np.std(drawn, axis=0, ddof=1)
        return values, scatter

    def _evaluate(self, network: Network, inputs: np.ndarray) -> np.ndarray:
        """Outputs in the units of the targets."""
        y, _ = network.forward(self.parameters_, inputs.astype(np.float32))
        return y.astype(float) * self.label_scale_ + self.label_mean_

    def _targets(self, spectra: Spectra) -> tuple[np.ndarray, np.ndarray]:
        """What the outputs are to be, and its errors; NaN where unknown or meaningless."""
        targets, errors = labels_of(spectra, self.label_names)
        named = dict(zip(self.label_names, targets.T, strict=True))
        unknown = np.full(len(spectra), np.nan)
        meaningless = (named.get("logg", unknown) > MAX_LOGG_FEH) | (
            named.get("teff", unknown) < MIN_TEFF_FEH
        )
        for i, name in enumerate(self.label_names):
            if name == "teff":
                errors[:, i] /= np.log(10.0) * targets[:, i]
                targets[:, i] = np.log10(targets[:, i]) + 3.0
            if name == "feh":
                targets[meaningless, i] = np.nan
        few = [
            name
            for name, known in zip(self.label_names, np.isfinite(targets).sum(axis=0), strict=True)
            if known < 10
        ]
        if few:
            raise InputError(f"fewer than 10 stars have the labels {', '.join(few)}")
        return targets, errors

    def _abscissa(self, values: np.ndarray) -> np.ndarray:
        """What excess errors depend on: log Teff, or the last label where that is not learned."""
        name = "teff" if "teff" in self.label_names else self.label_names[-1]
        return values[:, self.label_names.index(name)]


class _Task(Task):
    """The loss of one training: mean squared errors of the labels that are known."""

    def __init__(self, owner: GaiaNet, spectra: Spectra, targets: np.ndarray):
        self.network = owner.network
        self.inputs = owner.features_.inputs(spectra).astype(np.float32)
        error = owner.features_.input_err(spectra)
        self.noise = np.where(np.isfinite(error), owner.settings.noise * error, 0.0)
        self.noise = self.noise.astype(np.float32)
        self.known = np.isfinite(targets)
        self.targets = np.where(self.known, targets, 0.0).astype(np.float32)
        self.caches: list = []

    def loss(self, parameters, rows, rng):
        """Mean over stars of the squared errors, summed over labels."""
        if rng is None:
            parts = [rows[i : i + ROWS_AT_A_TIME] for i in range(0, len(rows), ROWS_AT_A_TIME)]
            total = sum(np.sum(self._residual(parameters, part, None) ** 2) for part in parts)
            return float(total) / len(rows), None
        residual = self._residual(parameters, rows, rng)
        slope = (2.0 / len(rows)) * residual
        gradient = self.network.backward(parameters, self.caches, slope)
        return float(np.sum(residual**2)) / len(rows), gradient

    def after_step(self, parameters):
        """Update the running statistics by the last batch."""
        return self.network.update_running_statistics(parameters, self.caches)

    def _residual(self, parameters, rows, rng) -> np.ndarray:
        """Outputs minus targets, zero where unknown; keeps what `after_step` needs."""
        inputs = self.inputs[rows]
        if rng is not None:
            drawn = rng.standard_normal(inputs.shape, dtype=np.float32)
            inputs = inputs + self.noise[rows] * drawn
        y, self.caches = self.network.forward(parameters, inputs, rng)
        return np.where(self.known[rows], y - self.targets[rows], np.float32(0.0))
