"""Confidence: the probability that an estimate agrees with a survey's (ZGR23, section 4.4)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import resources

import numpy as np
from scipy.special import expit

from ..data import UNRELIABLE, Spectra, has_flag
from ..data.hdf5 import FileFormat, require_arrays
from ..errors import InputError
from ..fit import FitResult
from ..fit.misfit import MAX_CHI2_PER_DOF
from ..model import XPModel
from ..nn import Network, classifier_network
from ..quantities import BASIC_LABELS
from .features import confidence_features
from .flags import MIN_CONFIDENCE, fit_flags

CONFIDENCE_LABELS = BASIC_LABELS
"""Labels with a classifier, in the order of the bits of `quality_flags`."""

MAX_STANDARDISED = 10.0
"""Standardised features are clipped here: beyond, they carry no further information."""

MIN_LIKENESS = 0.5
"""Probability of being of a kind that the model was trained on, below which a star is flagged."""

DOUBTFUL = 0.99 * MIN_CONFIDENCE
"""Factor on the confidence in fits that are doubtful for other reasons."""

FORMAT = FileFormat(
    "xpfit-confidence",
    "a file of confidence classifiers",
    missing="no such file; train classifiers with 'xpfit train-confidence'",
)
"""Newest version of the layout that this module reads and writes."""


@dataclass(frozen=True)
class Confidence:
    """One classifier for each of `CONFIDENCE_LABELS`, and one for the kind of spectrum.

    Parameters
    ----------
    model_id : str
        `XPModel.fingerprint` of the model whose fits the classifiers are for. They hold for fits of
        its shapes alone too (`XPModel.shapes_only`), which are its fits without a parallax.
    feature_names : tuple of str
        As in `xpfit.quality.confidence_features`.
    mean, scale : ndarray, shape (n_feature,)
        Over the training stars. A feature that they lacked has scale zero.
    hidden : tuple of int
        Widths of the hidden layers.
    parameters : ndarray, shape (4, n_parameters)
        Weights and biases of each classifier; those of the last are absent if it was not trained.
    training : dict
        Settings, seed and outcome of the training.

    Notes
    -----
    A feature that is unknown, of one star or of all, enters as its mean over the training stars.
    Features that were unknown for the training stars are ignored.
    """

    model_id: str
    feature_names: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray
    hidden: tuple[int, ...]
    parameters: np.ndarray
    training: dict = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that the results depend on, in hexadecimal digits."""
        digest = hashlib.sha256(f"{self.model_id}{self.feature_names}{self.hidden}".encode())
        for values in (self.mean, self.scale, self.parameters):
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()

    @cached_property
    def network(self) -> Network:
        """Architecture of the classifiers, without dropout."""
        return classifier_network(len(self.feature_names), self.hidden, dropout=0.0)

    def inputs(self, features: Mapping[str, np.ndarray]) -> np.ndarray:
        """Standardised features, shape (n_star, n_feature)."""
        columns = np.column_stack([features[name] for name in self.feature_names])
        return standardise(columns, self.mean, self.scale)

    def of_features(self, features: Mapping[str, np.ndarray]) -> np.ndarray:
        """Confidence from features, shape (n_star, 3), in the order of `CONFIDENCE_LABELS`."""
        n_label = len(CONFIDENCE_LABELS)
        return self._probabilities(self.inputs(features), self.parameters[:n_label])

    def likeness(self, features: Mapping[str, np.ndarray]) -> np.ndarray:
        """Probability that a spectrum is of a kind that the model was trained on, (n_star,).

        NaN where it is unknown: that classifier was not trained.
        """
        inputs, own = self.inputs(features), self.parameters[len(CONFIDENCE_LABELS) :]
        if not len(own):
            return np.full(len(inputs), np.nan)
        return self._probabilities(inputs, own)[:, 0]

    def _probabilities(self, inputs: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Output of some classifiers, shape (n_star, n_classifier)."""
        logits = [self.network.forward(w, inputs)[0][:, 0] for w in parameters]
        return expit(np.stack(logits, axis=1))

    def of_fit(
        self, model: XPModel, spectra: Spectra, result: FitResult
    ) -> tuple[np.ndarray, np.ndarray]:
        """Confidence in the labels of fitted stars, and which of them are of other kinds.

        Parameters
        ----------
        model : XPModel
            The one that the classifiers were trained for.
        spectra : Spectra
        result : FitResult

        Returns
        -------
        confidence : ndarray, shape (n_star, 3)
            Between 0 and 1, in the order of `CONFIDENCE_LABELS`; NaN for stars without parameters.
            Below `MIN_CONFIDENCE` where the fit is one of those that must not be used
            (`UNRELIABLE` fit flags), or chi2 says that the model is wrong.
        unlike : ndarray of bool, shape (n_star,)
            Spectra that are unlike those of the training set (for `fit_flags`).

        Raises
        ------
        InputError
            If the classifiers were trained for another model.
        """
        self.require(model)
        features = confidence_features(model, spectra, result)
        confidence, unlike = self.of_features(features), self.likeness(features) < MIN_LIKENESS
        doubtful = has_flag(fit_flags(model, spectra, result, unlike), UNRELIABLE)
        with np.errstate(invalid="ignore", divide="ignore"):
            doubtful |= ~(result.chi2 / result.dof <= MAX_CHI2_PER_DOF)
        confidence = np.where(doubtful[:, None], DOUBTFUL * confidence, confidence)
        unfitted = ~np.isfinite(result.parameters).all(axis=1)
        return np.where(unfitted[:, None], np.nan, confidence), unlike

    def require(self, model: XPModel) -> None:
        """Refuse a model other than that of the training.

        Raises
        ------
        InputError
        """
        if self.model_id not in model.fingerprints:
            raise InputError(
                f"these confidence classifiers were trained for model {self.model_id[:12]}, not "
                f"for {model.fingerprint[:12]}; train others with 'xpfit train-confidence'"
            )

    def save(self, path: str | os.PathLike, *, overwrite: bool = False) -> None:
        """Write the classifiers to one HDF5 file.

        Raises
        ------
        OutputError
            If the file exists or cannot be written.
        """
        with FORMAT.writing(path, overwrite=overwrite) as file:
            file.attrs.update(
                model_id=self.model_id,
                hidden=self.hidden,
                training=json.dumps(self.training, sort_keys=True),
            )
            file["feature_names"] = [name.encode() for name in self.feature_names]
            for name in ("mean", "scale", "parameters"):
                file.create_dataset(name, data=getattr(self, name), compression="gzip")

    @classmethod
    def load(cls, path: str | os.PathLike) -> Confidence:
        """Read classifiers from a file.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ModelFileError
            If the file is damaged, of another kind, or newer than this version of xpfit.
        """
        with FORMAT.reading(path) as file:
            found = cls(
                model_id=str(file.attrs["model_id"]),
                feature_names=tuple(name.decode() for name in file["feature_names"][()]),
                mean=file["mean"][()],
                scale=file["scale"][()],
                hidden=tuple(file.attrs["hidden"].tolist()),
                parameters=file["parameters"][()],
                training=json.loads(file.attrs["training"]),
            )
            n, n_label = len(found.feature_names), len(CONFIDENCE_LABELS)
            # With or without the classifier of kinds.
            n_networks = n_label + (len(found.parameters) > n_label)
            require_arrays(
                {
                    "mean": (found.mean, (n,)),
                    "scale": (found.scale, (n,)),
                    "parameters": (
                        found.parameters,
                        (n_networks, found.network.n_parameters),
                    ),
                }
            )
        return found


def standardise(columns: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Features as the networks take them: clipped, and zero where unknown or ignored.

    Parameters
    ----------
    columns : ndarray, shape (n_star, n_feature)
        NaN where unknown.
    mean, scale : ndarray, shape (n_feature,)

    Returns
    -------
    ndarray, shape (n_star, n_feature)
    """
    used = np.isfinite(columns) & (scale > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        standard = np.clip((columns - mean) / scale, -MAX_STANDARDISED, MAX_STANDARDISED)
    return np.where(used, standard, 0.0)


def confidence_for(model: XPModel, path: str | os.PathLike | None = None) -> Confidence | None:
    """Classifiers for a model's fits.

    Parameters
    ----------
    model : XPModel
    path : path-like, optional
        File of classifiers; by default those that come with xpfit, for the model that does.

    Returns
    -------
    Confidence or None
        None, for confidence unknown, if no file is named and the model is not the default one.

    Raises
    ------
    InputError
        If the named classifiers were trained for another model.
    FileNotFoundError, ModelFileError
        As `Confidence.load`.
    """
    if path is not None:
        confidence = Confidence.load(path)
        confidence.require(model)
        return confidence
    confidence = _default()
    return confidence if confidence.model_id in model.fingerprints else None


@lru_cache(maxsize=1)
def _default() -> Confidence:
    """Classifiers that come with xpfit."""
    with resources.as_file(resources.files("xpfit.quality") / "default_confidence.h5") as default:
        return Confidence.load(default)
