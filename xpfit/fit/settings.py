"""Options of a fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..constraints import AT_LEAST_1, CheckedSettings, one_of

STARTS = ("profile", "grid")
"""Names of the ways to find starts."""


@dataclass(frozen=True)
class FitSettings(CheckedSettings):
    """Options on which the results of a fit depend, besides model and data.

    Parameters
    ----------
    engine : {"auto", "numba", "array", "scipy"}
        Optimiser back end; see `xpfit.fit.engines.choose_engine`.
    device : {"cpu", "gpu"}
    single : bool
        Optimise in single precision and finish in double (array engine).
    starts : {"profile", "grid"}
        How starts are found (see `xpfit.fit.starts`).
    n_starts : int
        Starts per star. Those with a much higher loss are stopped early; the best is kept.
    multistart : int, optional
        Run this many starts to convergence instead, and report secondary modes.
    max_iterations : int
        Steps from each start.
    model_covariance : bool
        Add the emulator's own error, if the model has one, to each star's covariance.
    ignore_preparation : bool
        Fit data whose flux was not prepared like the model's training data (truncated, or with
        another correction).
    ignore_release : bool
        Fit spectra of another data release than the model's, whose calibration differs: results
        are biased, and all stars flagged.

    Raises
    ------
    InputError
        If an option is out of range.
    """

    engine: str = "auto"
    device: str = "cpu"
    single: bool = False
    starts: str = "profile"
    n_starts: int = 16
    multistart: int | None = None
    max_iterations: int = 100
    model_covariance: bool = True
    ignore_preparation: bool = False
    ignore_release: bool = False

    constraints: ClassVar = {
        "n_starts": AT_LEAST_1,
        "multistart": (lambda n: n is None or n >= 1, "at least 1"),
        "max_iterations": AT_LEAST_1,
        "starts": one_of(*STARTS),
    }

    @property
    def most_starts(self) -> int:
        """Starts per star, at most."""
        return self.n_starts if self.multistart is None else self.multistart
