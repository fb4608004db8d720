"""The scatter variational auto-encoder of Laroche & Speagle (2024): spectra, without labels.

An encoder compresses a spectrum into six latent variables, with variances; a decoder reconstructs
the spectrum from them, and a second one gives the scatter of similar stars about it. Spectra that
are reconstructed badly are unlike the training set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .. import nn
from ..constraints import AT_LEAST_1, BETWEEN_0_AND_1, CheckedSettings, each
from ..data import Spectra
from ..errors import InputError
from .base import Companion, Examples
from .draws import SEED
from .labels import MIN_EXAMPLES
from .outliers import OutlierDetector
from .prediction import Reconstruction

MIN_SCATTER = 1e-3
"""Lower limit of the scatter, in units of the training stars' spread: keeps likelihoods finite."""

UNKNOWN_ERR = 1e6
"""Error of unknown values, in units of the training stars' spread."""


@dataclass(frozen=True)
class ScatterSettings(CheckedSettings):
    """Settings of the auto-encoder and its training, by default the paper's where they fit a CPU.

    Parameters
    ----------
    hidden : tuple of int
        Widths of the encoder's hidden layers; the decoders have them the other way round.
    n_latent : int
    learning_rate, final_rate : float
        At the beginning and at the end of each cycle.
    n_epochs, cycle : int
        Epochs in all, and in the first cycle (the paper: 5000 in cycles of 500).
    cycle_factor : float
        Length of each cycle over that of the one before.
    batch_size : int
    weight_decay : float
        Of AdamW.
    validation_share : float
    """

    hidden: tuple[int, ...] = (90, 70, 50, 30, 10)
    n_latent: int = 6
    learning_rate: float = 1e-3
    final_rate: float = 1e-6
    n_epochs: int = 1500
    cycle: int = 100
    cycle_factor: float = 2.0
    batch_size: int = 1024
    weight_decay: float = 1e-2
    validation_share: float = 0.1

    constraints = each(BETWEEN_0_AND_1, "validation_share") | each(AT_LEAST_1, "n_latent", "cycle")


class ScatterTask(nn.Task):
    """The loss of one training."""

    def __init__(self, owner: ScatterAutoencoder, examples: Examples):
        inputs, variance = owner._inputs(examples.spectra)
        self.owner = owner
        self.inputs, self.variance = inputs.astype(np.float32), variance.astype(np.float32)

    def loss(self, parameters, rows, rng):
        """See `ScatterAutoencoder._loss`."""
        return self.owner._loss(parameters, self.inputs[rows], self.variance[rows], rng)


class ScatterAutoencoder(Companion):
    """The scatter auto-encoder, in the manner of scikit-learn's estimators.

    Parameters
    ----------
    label_names : sequence of str
        Must be empty: this model learns from spectra alone.
    settings : ScatterSettings, optional

    Raises
    ------
    InputError
        If labels are named.

    Attributes
    ----------
    parameters_ : ndarray of float32, shape (n_parameters,)
        Of the encoder, the decoder and the scatter decoder, one after the other.
    outliers_ : OutlierDetector

    Notes
    -----
    Training is in single precision, whose rounding is far below errors and scatter.
    """

    kind = "svae"
    settings_kind = ScatterSettings
    task_kind = ScatterTask
    learned = ("parameters",)
    learned_parts: ClassVar = {"outliers": OutlierDetector}

    def __init__(self, label_names: Sequence[str] = (), settings: ScatterSettings | None = None):
        if label_names:
            raise InputError(
                f"a companion of kind {self.kind!r} predicts no labels, "
                f"got {', '.join(label_names)}"
            )
        super().__init__((), settings)

    @property
    def networks(self) -> tuple[nn.Network, nn.Network, nn.Network]:
        """Encoder, decoder and scatter decoder."""
        n_in, n_latent, hidden = (
            self.features_.n_input,
            self.settings.n_latent,
            self.settings.hidden,
        )
        encoder, decoder, scatterer = (
            nn.multilayer_perceptron(*widths, after=(nn.GELU(),))
            for widths in [(n_in, hidden, 2 * n_latent), *[(n_latent, hidden[::-1], n_in)] * 2]
        )
        return encoder, decoder, nn.Network([*scatterer.layers, nn.Sigmoid()])

    def _examples(self, spectra):
        """See `Companion._examples`."""
        if len(spectra) < MIN_EXAMPLES:
            raise InputError(f"{len(spectra)} stars are too few to learn from")
        none = np.empty((len(spectra), 0))
        return Examples(spectra, none, none)

    def _loop(self, task):
        """See `Companion._loop`."""
        settings = self.settings
        schedule = nn.WarmRestartSchedule(
            settings.learning_rate, settings.cycle, settings.cycle_factor, settings.final_rate
        )
        length = nn.LoopSettings(settings.n_epochs, settings.batch_size)
        return nn.TrainingLoop(task, nn.AdamW(settings.weight_decay), schedule, length)

    def _calibrate(self, examples, rows, rng):
        """Learn the outlier detector."""
        latent, residual = self._residual(*self._inputs(examples.spectra))[:2]
        self.outliers_ = OutlierDetector.learn(latent, residual, rows, rng)

    def _predict(self, spectra, seed, n_draws):
        """See `Companion._predict`; nothing is drawn."""
        inputs, variance = self._inputs(spectra)
        latent, residual, latent_err, output, scatter = self._residual(inputs, variance)
        known = variance < UNKNOWN_ERR**2
        with np.errstate(invalid="ignore", divide="ignore"):
            chi2 = np.sum(residual**2, axis=1) / known.sum(axis=1)
        flux = self.features_.relative_flux(output)
        wide = self.features_.relative_flux(output + scatter) - flux
        detector = self.outliers_
        statistics = detector.statistics(latent, residual)
        score = detector.score(statistics)
        deviant = np.argmax(np.abs(detector.deviations(residual)), axis=1)
        usable = known.any(axis=1)
        unusable = np.where(usable, 0.0, np.nan)
        return Reconstruction(
            *(values + unusable[:, None] for values in (latent, latent_err, flux, wide)),
            chi2,
            unusable - statistics[2],
            score + unusable,
            usable & (score > detector.limit),
            self.features_.input_wavelength[deviant] + unusable,
        )

    def score(self, spectra: Spectra, *, seed: int = SEED) -> float:
        """Mean evidence lower bound per star, without noise in the latent variables."""
        inputs, variance = self._inputs(spectra)
        return -self._loss(self.parameters_, inputs, variance, None)[0]

    def _inputs(self, spectra: Spectra) -> tuple[np.ndarray, np.ndarray]:
        """Standardised inputs and the variances of their errors."""
        error = np.minimum(self.features_.input_err(spectra), UNKNOWN_ERR)
        return self.features_.inputs(spectra), error**2

    def _residual(self, inputs, variance) -> tuple[np.ndarray, ...]:
        """Latent means, residuals over errors and scatter, latent errors, outputs, scatter."""
        encoder, decoder, scatterer = self.networks
        parts = self._split(self.parameters_)
        encoded, _ = encoder.forward(parts[0], inputs)
        mean, ln_variance = np.split(encoded, 2, axis=1)
        output, _ = decoder.forward(parts[1], mean)
        scatter = scatterer.forward(parts[2], mean)[0] + MIN_SCATTER
        residual = (inputs - output) / np.sqrt(variance + scatter**2)
        residual = np.where(variance < UNKNOWN_ERR**2, residual, 0.0)
        return mean, residual, np.exp(0.5 * ln_variance), output, scatter

    def _split(self, parameters: np.ndarray) -> list[np.ndarray]:
        """Parameters of each network."""
        ends = np.cumsum([network.n_parameters for network in self.networks])[:-1]
        return np.split(parameters, ends)

    def _loss(self, parameters, inputs, variance, rng) -> tuple[float, np.ndarray | None]:
        """Mean over stars of the negative evidence bound (Laroche & Speagle, eqs. 1-5).

        The likelihood is summed over a spectrum's values, so that it and the divergence of the
        latent variables are in the same units. Without `rng` the latent variables are the means,
        and there is no gradient.
        """
        encoder, decoder, scatterer = self.networks
        parts, n = self._split(parameters), len(inputs)
        encoded, to_latent = encoder.forward(parts[0], inputs)
        sample = nn.GaussianSample(self.settings.n_latent)
        latent, to_sample = sample.forward(np.empty(0), encoded, rng)
        output, to_output = decoder.forward(parts[1], latent)
        scatter, to_scatter = scatterer.forward(parts[2], latent)
        scatter = scatter + MIN_SCATTER
        value, d_output, d_excess = nn.gaussian_likelihood(
            output - inputs, 2.0 * np.log(scatter), variance
        )
        divergence, d_mean, d_ln_variance = nn.standard_normal_divergence(
            *np.split(encoded, 2, axis=1)
        )
        loss = float(np.mean(value.sum(axis=1) + divergence))
        if rng is None:
            return loss, None
        gradients = [np.empty(0)] * 3
        gradients[1], back = decoder.pullback(parts[1], to_output, d_output / n)
        d_scatter = 2.0 * d_excess / scatter / n
        gradients[2], more = scatterer.pullback(parts[2], to_scatter, d_scatter)
        d_encoded = sample.adjoint(np.empty(0), to_sample, back + more)
        d_encoded = d_encoded + np.concatenate([d_mean, d_ln_variance], axis=1) / n
        gradients[0] = encoder.backward(parts[0], to_latent, d_encoded)
        return loss, np.concatenate(gradients)
