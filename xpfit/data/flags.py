"""Flags of stars: on their input, on the quality of a fit, and on how it went."""

from __future__ import annotations

from enum import IntFlag

import numpy as np


class DescribedFlag(IntFlag):
    """Bits of a flag column, each with a description: ``NAME = bit, description``."""

    _text: str

    def __new__(cls, value: int, text: str = "") -> DescribedFlag:
        """Member of a value, with its text."""
        member = int.__new__(cls, value)
        member._value_ = value
        member._text = text
        return member

    @property
    def text(self) -> str:
        """Meaning of the bit; empty for combinations of bits."""
        return getattr(self, "_text", "")


class InputFlag(DescribedFlag):
    """Bits of `Spectra.input_flags`: what was wrong with a star's input."""

    NO_DATA = 1, "no usable value: the star cannot be fitted"
    MASKED_SAMPLES = 2, "some XP samples were not finite, or had an error that was not positive"
    MISSING_BAND = 4, "a photometric band was missing or not finite"
    MISSING_ID = 8, "no source id"
    DUPLICATE_ID = 16, "the source is in more than one row"
    BAD_COEFFICIENTS = 32, "invalid coefficients, errors or correlations: the source is not used"
    NOT_CORRECTED = 64, "outside the range of the flux correction, or not known to be inside"
    CONTAMINATED_BAND = 128, "a band was not used: contaminated, blended, or of an extended source"


class QualityFlag(DescribedFlag):
    """Bits of `quality_flags`, at the positions of ZGR23 (table 2).

    The three lowest are set unless confidence is known to be 0.5 or more.
    """

    LOW_TEFF_CONFIDENCE = 1, "confidence in Teff below 0.5, or unknown"
    LOW_FEH_CONFIDENCE = 2, "confidence in [Fe/H] below 0.5, or unknown"
    LOW_LOGG_CONFIDENCE = 4, "confidence in log g below 0.5, or unknown"
    HIGH_CHI2 = 8, "chi2 per degree of freedom above 2, or no fit"
    LOW_PRIOR = 16, "stellar type outside 99.9 % of the prior, or no fit"
    PARALLAX = 32, "parallax of the spectrum alone 10 sigma from Gaia's"


class FitFlag(DescribedFlag):
    """Bits of `fit_flags`: how the fit went, and what was wrong with its input.

    Stars of kinds that the training set lacked, hot ones above all, tend to end just inside the
    edge of the training range, hence `OUT_OF_RANGE` within the error of it.
    """

    NOT_CONVERGED = 1, "the fit did not converge"
    OUT_OF_RANGE = 2, "a label outside the training range, or within its error of the edge"
    BAD_INPUT = 4, "bad input, too little or with invalid numbers: no parameters"
    MISSING_BAND = 8, "a photometric band was missing; the rest was fitted"
    MASKED_SAMPLES = 32, "some XP samples were unusable; the rest was fitted"
    MISSING_ID = 64, "no source id"
    DUPLICATE_ID = 128, "the source is in more than one row"
    SECOND_MODE = 256, "another mode of the posterior is nearly as good (if searched for)"
    APPROXIMATE_POSITION = 512, "position of the HEALPix cell in the source id"
    UNLIKE_TRAINING = 1024, "unlike the training set: by chi2, the prior, or a classifier"
    HIGH_RUWE = 2048, "ruwe above 1.4: Gaia's parallax, used as given, may be wrong by many errors"
    WEAK_PARALLAX = 4096, "Gaia's parallax below 5 of its errors, or negative: it says little"
    IMPOSSIBLE_SCALE = 8192, "a parallax or brightness beyond that of any star"
    BAND_TENSION = 16384, "a photometric band 5 sigma from the fit of the rest of the spectrum"
    PARALLAX_TENSION = 32768, "parallax of the spectrum alone 3 sigma from Gaia's"
    EMISSION_LINES = 65536, "an emission line (H alpha, [O III], [O II]) in the residuals"
    UNINFORMATIVE = 131072, "the spectrum says less of Teff, [Fe/H] or log g than the prior"
    NOT_CORRECTED = 262144, "outside the range of the flux correction: fitted without it"
    OTHER_RELEASE = 524288, "a spectrum of another data release than the model's"
    CONTAMINATED_BAND = 1048576, "a photometric band was contaminated or blended, and not used"


UNRELIABLE = (
    FitFlag.NOT_CONVERGED
    | FitFlag.OUT_OF_RANGE
    | FitFlag.BAD_INPUT
    | FitFlag.IMPOSSIBLE_SCALE
    | FitFlag.BAND_TENSION
    | FitFlag.PARALLAX_TENSION
    | FitFlag.EMISSION_LINES
    | FitFlag.UNINFORMATIVE
    | FitFlag.NOT_CORRECTED
    | FitFlag.OTHER_RELEASE
    | FitFlag.UNLIKE_TRAINING
)
"""Fit flags with which parameters should not be used; the other fit flags are information."""


def has_flag(values: np.ndarray, flag: int) -> np.ndarray:
    """Where any of some bits is set.

    Parameters
    ----------
    values : ndarray of int
        A column of flags; that of an earlier version may have fewer bits than there are now.
    flag : int
        One or several bits, such as `UNRELIABLE`.

    Returns
    -------
    ndarray of bool
    """
    found: np.ndarray = (np.asarray(values).astype(np.int64) & int(flag)) != 0
    return found


def id_flags(source_id: np.ndarray) -> np.ndarray:
    """Flags of missing and of repeated source ids.

    Parameters
    ----------
    source_id : ndarray of int64, shape (n_star,)
        Zero where missing.

    Returns
    -------
    ndarray of int32, shape (n_star,)
        Sum of `InputFlag` values.
    """
    missing = source_id <= 0
    _, inverse, counts = np.unique(source_id, return_inverse=True, return_counts=True)
    repeated = ~missing & (counts[inverse] > 1)
    flags = missing * int(InputFlag.MISSING_ID) + repeated * int(InputFlag.DUPLICATE_ID)
    return flags.astype(np.int32)
