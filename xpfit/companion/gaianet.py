"""Gaia Net (Huson et al. 2025): a residual convolutional network for stars of all kinds.

The spectrum is its only input, without photometry or distance. Temperatures are learned as log
Teff, so that cool and hot stars have equal weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .. import nn
from ..arrays import batches
from ..constraints import AT_LEAST_1, BETWEEN_0_AND_1, CheckedSettings, each
from ..data import Spectra
from .base import ROWS_AT_A_TIME, Examples
from .draws import SEED
from .excess import ExcessErrors
from .features import draw_noise
from .labels import LabelCompanion
from .prediction import LabelPrediction

LABELS = ("logg", "teff", "feh")

MAX_LOGG_FEH, MIN_TEFF_FEH = 5.0, 3.2
"""Beyond this log g, and below this Teff (kK), [Fe/H] has no meaning (section 2 of the paper)."""

VALIDATION_ROWS = 5000
"""Stars of which the validation loss is worked out at a time."""

N_REDRAWS = 20
"""Redrawn spectra, the scatter of whose predictions is the error due to that of the spectrum."""


@dataclass(frozen=True)
class GaiaNetSettings(CheckedSettings):
    """Settings of the network and its training, by default the paper's where they fit a CPU.

    Parameters
    ----------
    n_channel, kernel : int
        Of the convolutions (the paper: kernels of 30).
    n_block : int
        Number of residual blocks.
    max_pool, average_pool : int
        Samples that are pooled into one, before and after the blocks.
    width, n_dense : int
        Of the dense layers at the end (the paper: 4096 and 7).
    learning_rate : float
        Of Adamax; it falls to zero along half a cosine (constant in the paper).
    n_epochs, batch_size : int
    validation_share : float
        Stars held out from training, by which the best epoch and the excess errors are found.
    noise : float
        Noise added to spectra in training, in units of their errors (none in the paper).
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

    constraints = each(BETWEEN_0_AND_1, "validation_share") | each(
        AT_LEAST_1, "n_channel", "kernel", "max_pool", "average_pool", "width", "n_dense"
    )


class GaiaNetTask(nn.Task):
    """The loss of one training: mean squared errors of the labels that are known."""

    def __init__(self, owner: GaiaNet, examples: Examples):
        self.network = owner.network
        self.inputs = owner.features_.inputs(examples.spectra).astype(np.float32)
        error = owner.features_.input_err(examples.spectra)
        self.noise = np.where(np.isfinite(error), owner.settings.noise * error, 0.0)
        self.noise = self.noise.astype(np.float32)
        targets = (examples.labels - owner.label_mean_) / owner.label_scale_
        self.known = np.isfinite(targets)
        self.targets = np.where(self.known, targets, 0.0).astype(np.float32)
        self.caches: list = []

    def loss(self, parameters, rows, rng):
        """Mean over stars of the squared errors, summed over labels."""
        if rng is None:
            parts = [rows[part] for part in batches(len(rows), VALIDATION_ROWS)]
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


class GaiaNet(LabelCompanion):
    """Gaia Net, in the manner of scikit-learn's estimators.

    Parameters
    ----------
    label_names : sequence of str
        ``teff`` is learned as log Teff.
    settings : GaiaNetSettings, optional

    Attributes
    ----------
    excess_ : ExcessErrors
        Errors that redrawn spectra do not explain, by predicted log Teff (the last label if there
        is no Teff). The paper has none.

    Notes
    -----
    Stars are learned from if any label is known. Predictions have the errors ``input_err`` (scatter
    of predictions for spectra redrawn with their errors) and ``excess_err``. Networks are trained
    and evaluated in single precision: rounding is a thousandth of the errors.
    """

    kind = "gaianet"
    settings_kind = GaiaNetSettings
    task_kind = GaiaNetTask
    optimiser_kind = nn.Adamax
    default_labels = LABELS
    learned = ("parameters", "label_mean", "label_scale")
    learned_parts: ClassVar = {"excess": ExcessErrors}
    n_draws = N_REDRAWS

    @property
    def network(self) -> nn.Network:
        """The layers: outputs are standardised labels."""
        settings, length = self.settings, self.features_.n_input
        channels, kernel = settings.n_channel, settings.kernel
        pooled = -(-length // settings.max_pool)
        average = nn.AveragePool(pooled, channels, settings.average_pool)
        layers: list = [
            nn.Position(length),
            nn.Convolution(2, channels, kernel),
            nn.BatchNorm(channels),
            nn.ELU(),
            nn.MaxPool(length, channels, settings.max_pool),
        ]
        for _ in range(settings.n_block):
            first, second = (
                (nn.Convolution(channels, channels, kernel), nn.BatchNorm(channels))
                for _ in range(2)
            )
            block = [*first, nn.ELU(), *second]
            layers += [nn.Residual(block), nn.ELU()]
        dense = nn.multilayer_perceptron(
            average.length_out * channels,
            [settings.width] * (settings.n_dense - 1),
            len(self.label_names),
            after=(nn.ReLU(),),
        )
        return nn.Network([*layers, average, *dense.layers])

    def _labels(self, spectra):
        """See `LabelCompanion._labels`; in log Teff, without [Fe/H] where it is meaningless."""
        labels, errors = super()._labels(spectra)
        named = dict(zip(self.label_names, labels.T.copy(), strict=True))
        unknown = np.full(len(spectra), np.nan)
        meaningless = (named.get("logg", unknown) > MAX_LOGG_FEH) | (
            named.get("teff", unknown) < MIN_TEFF_FEH
        )
        for i, name in enumerate(self.label_names):
            if name == "teff":
                errors[:, i] /= np.log(10.0) * labels[:, i]
                labels[:, i] = np.log10(labels[:, i]) + 3.0
            if name == "feh":
                labels[meaningless, i] = np.nan
        return labels, errors

    def _values(self, spectra, seed):
        """See `LabelCompanion._values`."""
        return self._outputs_in_parts(spectra, seed, 0)[0]

    def _calibrate(self, examples, rows, rng):
        """Find the excess errors."""
        values, input_err = self._outputs_in_parts(examples.spectra[rows], SEED, N_REDRAWS)
        self.excess_ = ExcessErrors.learn(
            self._excess_variable(values),
            values - examples.labels[rows],
            np.hypot(input_err, examples.errors[rows]),
        )

    def _predict(self, spectra, seed, n_draws):
        """See `Companion._predict`."""
        values, input_err = self._outputs(spectra, seed, n_draws)
        excess = self.excess_(self._excess_variable(values))
        if "teff" in self.label_names:
            i = self.label_names.index("teff")
            values[:, i] = 10.0 ** (values[:, i] - 3.0)
            for error in (input_err, excess):
                error[:, i] *= np.log(10.0) * values[:, i]
        return LabelPrediction(
            self.label_names, values, {"input_err": input_err, "excess_err": excess}
        )

    def _outputs_in_parts(self, spectra, seed, n_draws) -> list[np.ndarray]:
        """`_outputs` of any number of stars."""
        parts = batches(len(spectra), ROWS_AT_A_TIME)
        found = [self._outputs(spectra[rows], seed, n_draws) for rows in parts]
        return [np.concatenate(arrays) for arrays in zip(*found, strict=True)]

    def _outputs(self, spectra, seed, n_draws) -> tuple[np.ndarray, np.ndarray]:
        """Labels as they are learned, and their scatter for redrawn spectra; else NaN."""
        values = np.full((len(spectra), len(self.label_names)), np.nan)
        scatter = np.full_like(values, np.nan)
        rows = np.flatnonzero(self.features_.is_usable(spectra))
        if not len(rows):
            return values, scatter
        network, used = self.network, spectra[rows]
        values[rows] = self._evaluate(network, used)
        if n_draws:
            drawn = [
                self._evaluate(network, used.replace(flux=used.flux + noise))
                for noise in draw_noise(used, n_draws, seed)
            ]
            scatter[rows] = np.std(drawn, axis=0, ddof=1)
        return values, scatter

    def _evaluate(self, network: nn.Network, spectra: Spectra) -> np.ndarray:
        """Outputs of the network in the units in which labels are learned."""
        inputs = self.features_.inputs(spectra).astype(np.float32)
        y, _ = network.forward(self.parameters_, inputs)
        return y.astype(float) * self.label_scale_ + self.label_mean_

    def _excess_variable(self, values: np.ndarray) -> np.ndarray:
        """What excess errors depend on: log Teff, or the last label where that is not learned."""
        name = "teff" if "teff" in self.label_names else self.label_names[-1]
        return values[:, self.label_names.index(name)]
