"""A scatter variational auto-encoder (Laroche & Speagle 2024): spectra, without any labels.

An encoder squeezes a spectrum into six latent numbers, with variances; a decoder makes the spectrum
from them again, and a second one how far stars like it scatter about that. What does not pass
through is unlike the training set.
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
    GELU,
    AdamW,
    Dense,
    GaussianSample,
    LoopSettings,
    Network,
    Sigmoid,
    Task,
    TrainingLoop,
    WarmRestartSchedule,
    gaussian_likelihood,
    standard_normal_divergence,
)
from .base import Companion, judged_by
from .draws import SEED
from .features import Features
from .outliers import OddityDetector

MIN_SCATTER = 1e-3
"""Least scatter, in units of the training stars' spread: keeps likelihoods finite."""

BLIND_ERR = 1e6
"""Error, in units of the training stars' spread, that stands for a value that is not known."""


@dataclass(frozen=True)
class ScatterSettings:
    """Settings of the auto-encoder and its training, by default the paper's where they fit a CPU.

    Parameters
    ----------
    hidden : tuple of int
        Widths of the encoder's hidden layers; the decoders have them the other way round.
    n_latent : int
    learning_rate, final_rate : float
        At the beginning and at the end of each fall of the rate.
    n_epochs, cycle : int
        Epochs in all, and in the first fall (the paper: 5000 in cycles of 500).
    cycle_factor : float
        How much longer each fall is than the one before.
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

    def __post_init__(self):
        object.__setattr__(self, "hidden", tuple(self.hidden))
        if not 0.0 < self.validation_share < 1.0:
            raise InputError(f"validation_share must lie in (0, 1), got {self.validation_share}")
        for name in ("n_latent", "cycle"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")

    def to_dict(self) -> dict:
        """Plain values, for a file's metadata."""
        return {**asdict(self), "hidden": list(self.hidden)}


@dataclass
class Reconstruction:
    """What passes through the auto-encoder.

    Attributes
    ----------
    latent, latent_err : ndarray, shape (n_star, n_latent)
    flux, scatter : ndarray, shape (n_star, n_channel)
        Relative, as `Features` divides spectra; scatter is that of stars like it.
    chi2 : ndarray, shape (n_star,)
        Of the standardised inputs, over their number, with errors and scatter: about one for stars
        like those of the training set.
    ln_density : ndarray, shape (n_star,)
        ln of the training stars' density at the latent means: low where there are hardly any.
    oddity : ndarray, shape (n_star,)
        -log10 of the share of ordinary stars that are as odd (see `OddityDetector`).
    is_odd : ndarray of bool, shape (n_star,)
        Odder than all but two per cent of ordinary stars.
    oddest : ndarray, shape (n_star,)
        Wavelength (nm) of the value that fits the others least; NaN for coefficients.
    """

    latent: np.ndarray
    latent_err: np.ndarray
    flux: np.ndarray
    scatter: np.ndarray
    chi2: np.ndarray
    ln_density: np.ndarray
    oddity: np.ndarray
    is_odd: np.ndarray
    oddest: np.ndarray


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
    features_ : Features
    parameters_ : ndarray of float32, shape (n_parameters,)
        Of the encoder, the decoder and the scatter decoder, one after the other.
    oddity_ : OddityDetector
    card_ : dict
        What it was trained on and how, and the history of its training.

    Notes
    -----
    Training is in single precision, whose rounding is far below errors and scatter.
    """

    kind = "svae"
    settings_kind = ScatterSettings
    learned = ("parameters",)
    learned_parts: ClassVar = {"oddity": OddityDetector}

    def __init__(self, label_names: Sequence[str] = (), settings: ScatterSettings | None = None):
        if label_names:
            raise InputError(
                f"a companion of kind {self.kind!r} predicts no labels, "
                f"got {', '.join(label_names)}"
            )
        self.label_names = ()
        self.settings = settings or ScatterSettings()

    def fit(
        self,
        spectra: Spectra,
        *,
        rng: np.random.Generator,
        progress: bool = True,
        checkpoint: str | os.PathLike | None = None,
    ) -> ScatterAutoencoder:
        """Train on spectra.

        Parameters
        ----------
        spectra : Spectra
            Labels, if there are any, are not looked at.
        rng : numpy.random.Generator
        progress : bool
        checkpoint : path-like, optional
            File from which an interrupted training goes on.

        Returns
        -------
        ScatterAutoencoder
            Itself.

        Raises
        ------
        InputError
            If there are too few stars.
        """
        if len(spectra) < 10:
            raise InputError(f"{len(spectra)} stars are too few to learn from")
        self.features_ = Features.learn(spectra)
        inputs, variance = self._inputs(spectra)
        settings = self.settings
        order = rng.permutation(len(spectra))
        n_validation = max(int(settings.validation_share * len(order)), 1)
        start = np.concatenate([network.initialise(rng) for network in self.networks])
        loop = TrainingLoop(
            _Task(self, inputs.astype(np.float32), variance.astype(np.float32)),
            AdamW(settings.weight_decay),
            WarmRestartSchedule(
                settings.learning_rate, settings.cycle, settings.cycle_factor, settings.final_rate
            ),
            LoopSettings(settings.n_epochs, settings.batch_size),
        )
        state = loop.run(
            start.astype(np.float32),
            order[n_validation:],
            order[:n_validation],
            rng,
            progress=progress,
            checkpoint=checkpoint,
        )
        self.parameters_ = state.best
        latent, residual = self._residual(inputs, variance)[:2]
        held_out = judged_by(order, n_validation)
        self.oddity_ = OddityDetector.learn(latent, residual, held_out, rng)
        self._fill_card(spectra, state, validation_loss=state.best_loss)
        return self

    @property
    def networks(self) -> tuple[Network, Network, Network]:
        """Encoder, decoder and scatter decoder."""
        n_in, settings = self.features_.n_input, self.settings
        back = settings.hidden[::-1]
        return (
            _layers(n_in, settings.hidden, 2 * settings.n_latent),
            _layers(settings.n_latent, back, n_in),
            _layers(settings.n_latent, back, n_in, last=Sigmoid()),
        )

    @property
    def network(self) -> _Count:
        """How many parameters there are in all."""
        return _Count(sum(network.n_parameters for network in self.networks))

    def predict(self, spectra: Spectra, *, seed: int = SEED) -> Reconstruction:
        """Latent numbers, reconstructed spectra, and how well they fit.

        Parameters
        ----------
        spectra : Spectra
            In the space of the training stars.
        seed : int
            As other companions take; nothing is drawn here.

        Returns
        -------
        Reconstruction
            NaN for stars of which nothing can be seen.

        Raises
        ------
        InputError
            If the auto-encoder was not trained, or the spectra are in another space.
        """
        self._require_training()
        inputs, variance = self._inputs(spectra)
        latent, residual, latent_err, output, scatter = self._residual(inputs, variance)
        known = variance < BLIND_ERR**2
        with np.errstate(invalid="ignore", divide="ignore"):
            chi2 = np.sum(residual**2, axis=1) / known.sum(axis=1)
        flux = self.features_.relative_flux(output)
        wide = self.features_.relative_flux(output + scatter) - flux
        detector = self.oddity_
        numbers = detector.numbers(latent, residual)
        oddity = detector.oddity(numbers)
        oddest = np.argmax(np.abs(detector.deviations(residual)), axis=1)
        blind = np.where(known.any(axis=1), 0.0, np.nan)
        wide_blind = blind[:, None]
        return Reconstruction(
            latent + wide_blind,
            latent_err + wide_blind,
            flux + wide_blind,
            wide + wide_blind,
            chi2,
            blind - numbers[2],
            oddity + blind,
            known.any(axis=1) & (oddity > detector.limit),
            self.features_.input_wavelength[oddest] + blind,
        )

    def score(self, spectra: Spectra, *, seed: int = SEED) -> float:
        """Mean evidence bound per star, without noise in the latent numbers; higher is better."""
        inputs, variance = self._inputs(spectra)
        return -self._loss(self.parameters_, inputs, variance, None)[0]

    def _inputs(self, spectra: Spectra) -> tuple[np.ndarray, np.ndarray]:
        """Standardised inputs and the variances of their errors."""
        error = np.minimum(self.features_.input_err(spectra), BLIND_ERR)
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
        residual = np.where(variance < BLIND_ERR**2, residual, 0.0)
        return mean, residual, np.exp(0.5 * ln_variance), output, scatter

    def _split(self, parameters: np.ndarray) -> list[np.ndarray]:
        """Parameters of each network."""
        ends = np.cumsum([network.n_parameters for network in self.networks])[:-1]
        return np.split(parameters, ends)

    def _loss(self, parameters, inputs, variance, rng) -> tuple[float, np.ndarray | None]:
        """Mean over stars of the negative evidence bound (Laroche & Speagle, eqs. 1-5).

        The likelihood is summed over a spectrum's values, so that it and the divergence of the
        latent numbers are in the same units. Without `rng` the latent numbers are the means, and
        there is no gradient.
        """
        encoder, decoder, scatterer = self.networks
        parts, n = self._split(parameters), len(inputs)
        encoded, to_latent = encoder.forward(parts[0], inputs)
        sample = GaussianSample(self.settings.n_latent)
        latent, to_sample = sample.forward(np.empty(0), encoded, rng)
        output, to_output = decoder.forward(parts[1], latent)
        scatter, to_scatter = scatterer.forward(parts[2], latent)
        scatter = scatter + MIN_SCATTER
        value, d_output, d_excess = gaussian_likelihood(
            output - inputs, 2.0 * np.log(scatter), variance
        )
        divergence, d_mean, d_ln_variance = standard_normal_divergence(
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


class _Task(Task):
    """The loss of one training."""

    def __init__(self, owner: ScatterAutoencoder, inputs: np.ndarray, variance: np.ndarray):
        self.owner, self.inputs, self.variance = owner, inputs, variance

    def loss(self, parameters, rows, rng):
        """See `ScatterAutoencoder._loss`."""
        return self.owner._loss(parameters, self.inputs[rows], self.variance[rows], rng)


@dataclass(frozen=True)
class _Count:
    """A number of parameters."""

    n_parameters: int


def _layers(n_in: int, hidden, n_out: int, last=None) -> Network:
    """Dense layers with GELU between them, and an activation after the last, if any."""
    layers: list = []
    for width in hidden:
        layers += [Dense(n_in, width), GELU()]
        n_in = width
    return Network([*layers, Dense(n_in, n_out), *([last] if last else [])])
