"""A training recipe: what is done in which phase, as data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from ..errors import InputError
from ..model.residuals import RANK

LABEL_ERROR_FLOOR = {"teff": 0.05, "feh": 0.05, "logg": 0.05, "alpha_m": 0.03}
"""Smallest errors (kK, dex) at which labels are taken in training.

APOGEE's own are formal (10 K, 0.01 dex); labels cannot be tied closer than to the systematics
between surveys, or the emulator would learn their quirks.
"""


class RecipeError(InputError):
    """A setting of a recipe that is impossible; `key` is its name."""

    def __init__(self, key: str, message: str):
        super().__init__(message)
        self.key = key


def _require(settings, key: str, ok: bool, what: str) -> None:
    """Refuse an impossible setting by name."""
    if not ok:
        raise RecipeError(key, f"{key} must be {what}, got {getattr(settings, key)}")


@dataclass(frozen=True)
class Phase:
    """One phase: cycles of star updates followed by epochs of model updates.

    Parameters
    ----------
    name : str
    n_cycles : int
        How often stars and model take turns.
    n_epochs : int
        Epochs of model updates in each cycle.
    learning_rate, final_learning_rate : float
        Adam's, falling along half a cosine over the whole phase.
    star_iterations : int
        Gauss-Newton steps of every star at the start of each cycle; 0 holds labels and extinction.
    low_extinction_only : bool
        Use only stars whose estimated E is below the recipe's `low_extinction`.
    free_curve : bool
        Whether the extinction curve is learned.
    clean : bool
        Whether outliers are dropped anew before the epochs of each cycle.
    """

    name: str
    n_cycles: int
    n_epochs: int
    learning_rate: float
    final_learning_rate: float
    star_iterations: int = 0
    low_extinction_only: bool = False
    free_curve: bool = True
    clean: bool = False

    def __post_init__(self):
        _require(self, "n_cycles", self.n_cycles >= 1, "at least 1")
        _require(self, "n_epochs", self.n_epochs >= 0, "0 or more")
        _require(self, "star_iterations", self.star_iterations >= 0, "0 or more")
        for name in ("learning_rate", "final_learning_rate"):
            _require(self, name, 0 < getattr(self, name) < math.inf, "positive")


DEFAULT_PHASES = (
    Phase("start", 1, 200, 3e-3, 3e-4, low_extinction_only=True, free_curve=False),
    Phase("joint", 16, 20, 3e-3, 3e-4, star_iterations=3, clean=True),
    Phase("final", 1, 200, 1e-3, 1e-5, star_iterations=5, clean=True),
)
"""Start on stars of low extinction with the CCM89 curve, free the curve, then settle."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training, apart from its data and seed.

    Parameters
    ----------
    phases : tuple of Phase
    batch_size : int
        Stars per minibatch (ZGR23: 512).
    turnover : float
        chi2 at which a star's influence turns over (see `xpfit.nn.asinh_turnover`).
    low_extinction : float
        mag; limit of `Phase.low_extinction_only`.
    label_error_floor : mapping of str to float
        Smallest error of each label.
    clean_sigma : float
        A star is dropped if a label moves further than this from its measured value (ZGR23: 4).
    clean_chi2 : float
        A star is dropped if chi2 per degree of freedom exceeds this.
    clean_fraction : float
        At most this share of the stars is dropped (ZGR23 dropped a quarter).
    flux_error_floor : float
        Fraction of the flux added to the errors of spectra that bring no covariances, while
        training: neither an emulator nor the calibration is as good as their best errors. What
        the emulator does get wrong is learned at the end, from the errors without this floor.
    covariance_rank : int
        Correlated components of the model covariance.
    """

    phases: tuple[Phase, ...] = DEFAULT_PHASES
    batch_size: int = 512
    turnover: float = 300.0
    low_extinction: float = 0.1
    label_error_floor: Mapping[str, float] = field(default_factory=lambda: dict(LABEL_ERROR_FLOOR))
    clean_sigma: float = 4.0
    clean_chi2: float = 5.0
    clean_fraction: float = 0.3
    flux_error_floor: float = 0.015
    covariance_rank: int = RANK

    def __post_init__(self):
        _require(self, "phases", len(self.phases) > 0, "at least one phase")
        _require(self, "batch_size", self.batch_size >= 1, "at least 1")
        _require(self, "covariance_rank", self.covariance_rank >= 1, "at least 1")
        _require(self, "clean_fraction", 0 <= self.clean_fraction <= 1, "between 0 and 1")
        _require(self, "flux_error_floor", 0 <= self.flux_error_floor < 1, "0 or more, below 1")
        for name in ("turnover", "clean_sigma", "clean_chi2"):
            _require(self, name, getattr(self, name) > 0, "positive")
        for label, floor in self.label_error_floor.items():
            _require(self, "label_error_floor", floor >= 0, f"0 or more for {label}")

    @property
    def n_epochs(self) -> int:
        """Epochs of model updates in all phases together."""
        return sum(phase.n_cycles * phase.n_epochs for phase in self.phases)

    def to_dict(self) -> dict:
        """Plain values, for a model file."""
        return asdict(self)
