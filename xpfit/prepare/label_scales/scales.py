"""How the labels of surveys are related to those of one of them, the reference; as a record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...quantities import LABELS, quantity


@dataclass(frozen=True)
class LabelScale:
    """How a label of a survey is related to the reference's.

    The survey's label of a star is ``pivot + offset + (1 + slope) (x - pivot)`` with a scatter of
    its own, where x is the label on the reference's scale.

    Attributes
    ----------
    pivot : float
        K or dex.
    offset, offset_err : float
        K or dex, at the pivot.
    slope, slope_err : float
        Zero if there were too few stars to fit it.
    covariance : float
        Of offset and slope.
    scatter, scatter_err : float
        K or dex, beyond the errors of both surveys; the error is infinite where the scatter is
        zero.
    n_used, n_outlier : int
        Stars in common with other surveys that were used; and left out, since their surveys
        disagree.
    """

    pivot: float
    offset: float = 0.0
    offset_err: float = 0.0
    slope: float = 0.0
    slope_err: float = 0.0
    covariance: float = 0.0
    scatter: float = 0.0
    scatter_err: float = 0.0
    n_used: int = 0
    n_outlier: int = 0

    def to_reference(self, values: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels of the survey on the reference's scale.

        Parameters
        ----------
        values, errors : ndarray, shape (n_star,)
            K or dex.

        Returns
        -------
        values, errors : ndarray, shape (n_star,)
            The errors contain the survey's scatter and the errors of offset and slope.
        """
        beta = 1.0 + self.slope
        deviation = (values - self.pivot - self.offset) / beta
        variance = errors**2 + self.scatter**2 + self.offset_err**2
        variance += 2.0 * self.covariance * deviation + (self.slope_err * deviation) ** 2
        return self.pivot + deviation, np.sqrt(np.maximum(variance, 0.0)) / beta


@dataclass(frozen=True)
class LabelScales:
    """The label systems of several surveys, tied together.

    Attributes
    ----------
    surveys : tuple of str
        Their order is that of the bits of `label_surveys`.
    reference : str
        One of them.
    scales : mapping of str to mapping of str to LabelScale
        By label and survey.
    n_common : mapping of str to int
        Stars that pairs of surveys have in common, by "A, B".
    n_disagree : mapping of str to int
        By label, stars whose surveys disagree, and whose errors are larger therefore.
    """

    surveys: tuple[str, ...]
    reference: str
    scales: Mapping[str, Mapping[str, LabelScale]]
    n_common: Mapping[str, int]
    n_disagree: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        scales = {
            label: {survey: _plain(asdict(scale)) for survey, scale in of.items()}
            for label, of in self.scales.items()
        }
        return {
            "surveys": list(self.surveys),
            "reference": self.reference,
            "scales": scales,
            "n_common": dict(self.n_common),
            "n_disagree": dict(self.n_disagree),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LabelScales:
        """From the values of `to_dict`."""
        surveys, given = tuple(values["surveys"]), values["scales"]
        scales = {
            label: {
                survey: LabelScale(
                    **{k: np.inf if v is None else v for k, v in given[label][survey].items()}
                )
                for survey in surveys
                if survey in given[label]
            }
            for label in LABELS
            if label in given
        }
        return cls(
            surveys,
            str(values["reference"]),
            scales,
            dict(values["n_common"]),
            dict(values["n_disagree"]),
        )

    def lines(self) -> Iterator[str]:
        """The relations as text for people, a line for each label of each survey."""
        pairs = ", ".join(f"{pair}: {n}" for pair, n in self.n_common.items())
        yield f"labels are on the scale of {self.reference}; stars in common: {pairs}"
        for label, scales in self.scales.items():
            known = quantity(label)
            for survey, s in scales.items():
                if survey == self.reference:
                    continue
                slope = f"slope {s.slope:+.3f} +- {s.slope_err:.3f}" if s.slope_err else "no slope"
                yield (
                    f"{known.title} of {survey} - {self.reference}: "
                    f"{_shown(s.offset, s.offset_err, known)} at {s.pivot:.{known.digits}f}, "
                    f"{slope}, scatter {_shown(s.scatter, s.scatter_err, known, sign='')} "
                    f"({s.n_used} stars, {s.n_outlier} outliers)"
                )
        for label in self.scales:
            if n := self.n_disagree[label]:
                yield f"{quantity(label).title}: surveys disagree on {n} stars; errors are larger"


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Values that JSON can hold."""
    return {key: value if np.isfinite(value) else None for key, value in values.items()}


def _shown(value: float, error: float, known, sign: str = "+") -> str:
    """A value and its error with as many digits as the error is worth."""
    digits = max(known.digits, 1)
    error_text = f" +- {error:.{digits}f}" if np.isfinite(error) else ""
    return f"{value:{sign}.{digits}f}{error_text} {known.unit}"
