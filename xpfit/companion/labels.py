"""Base class of companions that predict labels."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from .. import nn
from ..data import Spectra
from ..errors import InputError
from .base import Companion, Examples
from .draws import SEED

MIN_EXAMPLES = 10
"""Fewest stars with a label."""


class LabelCompanion(Companion):
    """A network that predicts labels, standardised, from the spectrum.

    Attributes
    ----------
    optimiser_kind : type
        Of its training, in which the learning rate falls to zero along half a cosine.
    label_mean_, label_scale_ : ndarray, shape (n_label,)
        Of the training stars, in the units in which the network learns labels.
    """

    optimiser_kind: type[nn.Optimiser]
    label_mean_: np.ndarray
    label_scale_: np.ndarray

    @property
    @abstractmethod
    def network(self) -> nn.Network:
        """The layers; the first outputs are standardised labels."""

    @property
    def networks(self) -> tuple[nn.Network, ...]:
        """See `Companion.networks`."""
        return (self.network,)

    def score(self, spectra: Spectra, *, seed: int = SEED) -> float:
        """Mean over the labels of the coefficient of determination R^2, as in scikit-learn.

        Parameters
        ----------
        spectra : Spectra
            With labels; stars and labels that are not used in training are left out.
        seed : int
            As in `predict`.

        Returns
        -------
        float
        """
        labels, _ = self._labels(spectra)
        residual = self._values(spectra, seed) - labels
        spread = labels - np.nanmean(labels, axis=0)
        return float(np.mean(1.0 - np.nansum(residual**2, axis=0) / np.nansum(spread**2, axis=0)))

    def jacobian(self, parameters: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Derivatives of standardised labels with respect to inputs, (n_star, n_label, n_input)."""
        return self.network.jacobian(parameters, inputs, range(len(self.label_names)))

    @abstractmethod
    def _values(self, spectra: Spectra, seed: int) -> np.ndarray:
        """Predicted labels, (n_star, n_label), in the units in which the network learns them."""

    def _labels(self, spectra: Spectra) -> tuple[np.ndarray, np.ndarray]:
        """Labels as the network learns them, and errors; NaN where they are not to be learned."""
        missing = [name for name in self.label_names if name not in (spectra.labels or {})]
        if missing:
            raise InputError(f"the spectra have no labels {', '.join(missing)}")
        labels = np.column_stack([spectra.labels[name] for name in self.label_names])
        errors = np.column_stack([spectra.label_err[name] for name in self.label_names])
        return labels, np.nan_to_num(errors, nan=0.0, posinf=0.0)

    def _examples(self, spectra: Spectra) -> Examples:
        """See `Companion._examples`; also finds mean and scale of the labels."""
        labels, errors = self._labels(spectra)
        n_known = np.isfinite(labels).sum(axis=0)
        few = [n for n, k in zip(self.label_names, n_known, strict=True) if k < MIN_EXAMPLES]
        if few:
            raise InputError(
                f"fewer than {MIN_EXAMPLES} stars have the labels {', '.join(few)}; that is too few"
            )
        used = np.flatnonzero(np.isfinite(labels).any(axis=1))
        labels = labels[used]
        self.label_mean_, self.label_scale_ = np.nanmean(labels, axis=0), np.nanstd(labels, axis=0)
        if not np.all(self.label_scale_ > 0):
            raise InputError("a label is the same for all training stars; nothing can be learned")
        return Examples(spectra[used], labels, errors[used])

    def _loop(self, task: nn.Task) -> nn.TrainingLoop:
        """See `Companion._loop`."""
        settings = self.settings
        schedule = nn.CosineSchedule(settings.learning_rate, settings.n_epochs)
        decay = getattr(settings, "weight_decay", 0.0)
        length = nn.LoopSettings(settings.n_epochs, settings.batch_size, decay)
        return nn.TrainingLoop(task, self.optimiser_kind(), schedule, length)

    def _card(self, examples: Examples, state: nn.LoopState) -> dict:
        """See `Companion._card`; with the labels and their ranges."""
        labels = examples.labels
        ranges = np.array([np.nanmin(labels, axis=0), np.nanmax(labels, axis=0)]).T
        more = {"labels": list(self.label_names), "label_ranges": ranges.tolist()}
        return super()._card(examples, state) | more
