"""Fits of which is known how good they are: the examples that confidence is learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm.auto import tqdm

from ..arrays import StarRows
from ..data import Spectra
from ..errors import InputError
from ..fit import FitResult, Fitter
from ..model import XPModel
from ..quantities import BASIC_LABELS
from .features import confidence_features
from .flags import fit_flags, is_reliable, quality_flags
from .negatives import GOOD, Negatives

AGREEMENT_FLOOR = {"teff": 0.1, "feh": 0.1, "logg": 0.1}
"""Errors (kK, dex) added in quadrature, so that small residuals count as agreement (eq. 27)."""

OUTPUTS = (*BASIC_LABELS, "kind")
"""What classifiers judge: whether each label is right, and whether the spectrum is of a kind that
the model was trained on."""

GOOD_BELOW, BAD_ABOVE = 4.0, 9.0
"""chi2 of eq. 27 of good and of bad estimates; those between are not used."""


@dataclass(frozen=True)
class LabelledFits(StarRows):
    """Fits of stars whose labels are known from a survey, and of what should not be trusted.

    Attributes
    ----------
    source_id : ndarray of int64, shape (n_star,)
    features : dict of str to ndarray, shape (n_star,)
        From `xpfit.quality.confidence_features`.
    residual : ndarray, shape (n_star, 3)
        Estimate minus reference, in the order of `BASIC_LABELS`, in kK and dex; NaN where the
        reference is unknown.
    agreement : ndarray, shape (n_star, 3)
        chi2 of eq. 27; infinite for what is no star that the model could describe.
    is_star : ndarray of bool, shape (n_star,)
        Single stars with data of their own; the others are `xpfit.quality.Negatives`.
    """

    source_id: np.ndarray
    features: Mapping[str, np.ndarray]
    residual: np.ndarray
    agreement: np.ndarray
    is_star: np.ndarray

    @property
    def good(self) -> np.ndarray:
        """Which are good, of `OUTPUTS`: bool, shape (n_star, 4)."""
        return np.column_stack([self.agreement < GOOD_BELOW, self.is_star])

    @property
    def bad(self) -> np.ndarray:
        """Which are bad, of `OUTPUTS`: bool, shape (n_star, 4).

        Two stars in one spectrum, for instance, are of a wrong kind only if a label is wrong.
        """
        wrong = self.agreement > BAD_ABOVE
        return np.column_stack([wrong, wrong.any(axis=1) & ~self.is_star])

    @property
    def used(self) -> np.ndarray:
        """Which are either, of `OUTPUTS`: bool, shape (n_star, 4)."""
        return self.good | self.bad

    @staticmethod
    def concatenate(parts: Sequence[LabelledFits]) -> LabelledFits:
        """Examples one after the other, with the same features."""
        features = {
            name: np.concatenate([part.features[name] for part in parts])
            for name in parts[0].features
        }
        others = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("source_id", "residual", "agreement", "is_star")
        )
        source_id, *rest = others
        return LabelledFits(source_id, features, *rest)


def labelled_fits(
    model: XPModel, spectra: Spectra, result: FitResult, *, is_star: bool = True
) -> LabelledFits:
    """Reliable fits (`is_reliable`), with features and agreement with their reference labels.

    Parameters
    ----------
    model : XPModel
    spectra : Spectra
        With reference labels, which the fit did not use. Without any, no label can be right.
    result : FitResult
    is_star : bool
        Whether these are single stars, not `xpfit.quality.Negatives`.

    Returns
    -------
    LabelledFits

    Raises
    ------
    InputError
        If stars lack one of the labels.

    Notes
    -----
    ZGR23, eq. 27: chi2 = (x - x_ref)^2 / (s^2 + s_ref^2 + floor^2).
    """
    missing = [name for name in BASIC_LABELS if name not in spectra.labels]
    if missing and is_star:
        raise InputError(f"the spectra have no reference labels {', '.join(missing)}")
    residual = np.full((len(spectra), len(BASIC_LABELS)), np.nan)
    agreement = np.full(residual.shape, np.inf)
    for k, name in enumerate(() if missing else BASIC_LABELS):
        error = np.nan_to_num(spectra.label_err[name], nan=0.0, posinf=0.0)
        variance = result.error(name) ** 2 + error**2 + AGREEMENT_FLOOR[name] ** 2
        residual[:, k] = result[name] - spectra.labels[name]
        agreement[:, k] = residual[:, k] ** 2 / variance
    stars = LabelledFits(
        result.source_id,
        confidence_features(model, spectra, result),
        residual,
        agreement,
        np.full(len(spectra), is_star),
    )
    flags = (kind(model, spectra, result) for kind in (quality_flags, fit_flags))
    return stars[np.flatnonzero(is_reliable(*flags))]


def with_negatives(
    fitter: Fitter,
    spectra: Spectra,
    result: FitResult,
    rng: np.random.Generator,
    *,
    n: int | None = None,
    progress: bool = True,
) -> LabelledFits:
    """`labelled_fits` of stars, and of spectra that should not be trusted.

    Parameters
    ----------
    fitter : Fitter
        That the stars were fitted with.
    spectra : Spectra
        With parallaxes, where measured.
    result : FitResult
        Fits `without_parallaxes`.
    rng : numpy.random.Generator
    n : int, optional
        Spectra of each kind of `Negatives`; by default a twelfth of the number of stars, or 200.
    progress : bool
        Show progress bars.

    Returns
    -------
    LabelledFits
        Each star without its parallax, and those with measured ones with them too, so that whether
        there is one is no sign of what kind of star it is.

    Raises
    ------
    InputError
        As `labelled_fits`.
    """
    model, alone = fitter.model, without_parallaxes(spectra)
    parts = [labelled_fits(model, alone, result)]
    n = max(200, len(spectra) // 12) if n is None else n
    measured = np.flatnonzero(np.isfinite(spectra.parallax_err) & model.absolute)
    with tqdm(desc="negatives", unit="star", disable=not progress) as bar:
        if len(measured):
            stars = spectra[measured]
            parts.append(labelled_fits(model, stars, fitter.fit(stars, bar)))
        for kind, made in Negatives(model, alone, result, rng).iterate(n):
            fits = fitter.fit(made, bar)
            parts.append(labelled_fits(model, made, fits, is_star=kind in GOOD))
    return LabelledFits.concatenate(parts)


def without_parallaxes(spectra: Spectra) -> Spectra:
    """The spectra, as if no parallax were measured."""
    return spectra.replace(parallax_err=np.full(len(spectra), np.inf))
