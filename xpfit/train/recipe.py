"""A training recipe: what is done in which phase, as data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from ..errors import InputError
from ..model.covariance import RANK
from ..nn import CosineSchedule, StepSchedule

LABEL_ERROR_FLOOR = {"teff": 0.01, "feh": 0.01, "logg": 0.02, "alpha_m": 0.006}
"""Smallest errors (kK, dex) at which labels are taken in training, about APOGEE's formal ones.

Larger floors (50 K, 0.05, 0.05, 0.03) turn labels into latent variables that take up whatever else
varies between spectra: on validation stars the scatters of fits were 5-15 % larger, and the errors
of [alpha/M] too small by half.
"""

HIGH_QUALITY = {"teff": 0.2, "feh": 0.2, "logg": 0.2, "extinction": 0.1, "parallax": 0.1}
"""Largest errors of high-quality stars: kK, dex, mag; of the parallax, relative (ZGR23, eq. 15)."""

CLEAN_LABEL_FLOOR = {"teff": 0.025, "feh": 0.025, "logg": 0.03, "alpha_m": 0.015}
"""Added to labels' errors where outliers are looked for: systematics between surveys, kK and dex.

By formal errors alone every tenth star of the library would be one, and those that are left would
make the emulator look better than it is.
"""

STARS = ("kept", "all", "high_quality", "low_extinction")
OPTIMISERS = ("adam", "sgd")
SCHEDULES = ("cosine", "steps")
STAR_STEPS = ("none", "gauss-newton", "projected", "sgd", "adam")


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
    """One phase: cycles of star updates and cleaning, each followed by epochs of updates.

    Parameters
    ----------
    name : str
    n_epochs : int
        Epochs in each cycle: every star's turn once, in minibatches, to update the model, the
        stars, or both.
    n_cycles : int
    stars : str
        Which stars the epochs use: ``kept`` (all but the outliers of the last cleaning), ``all``,
        ``high_quality`` (the recipe's `high_quality`), or ``low_extinction`` (those of them that
        have E below the recipe's `low_extinction`).
    optimiser : str
        Of the model: ``adam`` or ``sgd``.
    momentum : float
        Of the model's SGD.
    learning_rate : float
        Of the model; 0 holds it.
    schedule : str
        How rates fall: ``cosine``, along half a cosine over the whole phase to
        `final_learning_rate`, or ``steps``, by `drop` at each of the epochs `milestones`.
    final_learning_rate : float
    milestones : tuple of int
    drop : float
    star_step : str
        How stars are updated: ``none`` holds their labels and extinction (their amplitude too in
        absolute models); ``gauss-newton``, all stars at the start of each cycle; ``projected``,
        then too, and while the model moves they follow it within their constraints, to first order
        (`xpfit.train.stars.Projection`); ``sgd``, after each of the model's steps the stars of its
        minibatch, by gradient; ``adam``, all, while the model is held.
    star_iterations : int
        Gauss-Newton steps per cycle.
    star_learning_rate : float
        Of ``sgd`` and ``adam``; falls as the model's does.
    free_curve : bool
        Whether the extinction curve is learned.
    clean : bool
        Whether outliers are dropped anew before the epochs of each cycle.
    """

    name: str
    n_epochs: int
    n_cycles: int = 1
    stars: str = "kept"
    optimiser: str = "adam"
    momentum: float = 0.0
    learning_rate: float = 0.0
    schedule: str = "cosine"
    final_learning_rate: float = 0.0
    milestones: tuple[int, ...] = ()
    drop: float = 0.1
    star_step: str = "none"
    star_iterations: int = 0
    star_learning_rate: float = 0.0
    free_curve: bool = True
    clean: bool = False

    def __post_init__(self):
        object.__setattr__(self, "milestones", tuple(self.milestones))
        _require(self, "n_cycles", self.n_cycles >= 1, "at least 1")
        for name in ("n_epochs", "star_iterations"):
            _require(self, name, getattr(self, name) >= 0, "0 or more")
        for name in ("learning_rate", "final_learning_rate", "star_learning_rate"):
            _require(self, name, 0 <= getattr(self, name) < math.inf, "0 or more, and finite")
        _require(self, "momentum", 0 <= self.momentum < 1, "0 or more, below 1")
        _require(self, "drop", 0 < self.drop <= 1, "above 0, at most 1")
        _require(self, "milestones", all(m > 0 for m in self.milestones), "positive epochs")
        for name, known in (
            ("stars", STARS),
            ("optimiser", OPTIMISERS),
            ("schedule", SCHEDULES),
            ("star_step", STAR_STEPS),
        ):
            _require(self, name, getattr(self, name) in known, f"one of {', '.join(known)}")
        self._require_consistency()

    def _require_consistency(self) -> None:
        """Refuse settings that contradict each other."""
        sgd = self.optimiser == "sgd" or not self.momentum
        _require(self, "momentum", sgd, "0 unless the optimiser is sgd")
        newton = self.star_step in ("gauss-newton", "projected")
        _require(
            self,
            "star_iterations",
            newton == (self.star_iterations > 0),
            "positive for the star_steps gauss-newton and projected, and 0 for others",
        )
        first_order = self.star_step in ("sgd", "adam")
        _require(
            self,
            "star_learning_rate",
            first_order == (self.star_learning_rate > 0),
            "positive for the star_steps sgd and adam, and 0 for others",
        )
        held = self.learning_rate == 0
        _require(
            self, "star_step", held or self.star_step != "adam", "another while the model moves"
        )
        idle = held and not first_order
        _require(self, "n_epochs", not (idle and self.n_epochs), "0 where epochs update nothing")
        cosine = self.schedule == "cosine"
        _require(self, "milestones", not (cosine and self.milestones), "empty for a cosine")
        _require(
            self, "final_learning_rate", cosine or self.final_learning_rate == 0, "0 for steps"
        )

    @property
    def updates_model(self) -> bool:
        """Whether the model is updated at all."""
        return self.learning_rate > 0

    def rates(self) -> tuple:
        """Schedules of the model's and of the stars' learning rates, functions of the epoch."""
        if self.schedule == "steps":
            return tuple(
                StepSchedule(rate, self.milestones, self.drop)
                for rate in (self.learning_rate, self.star_learning_rate)
            )
        n_epochs = max(self.n_cycles * self.n_epochs, 1)
        fall = self.final_learning_rate / self.learning_rate if self.updates_model else 0.0
        return tuple(
            CosineSchedule(rate, n_epochs, fall * rate)
            for rate in (self.learning_rate, self.star_learning_rate)
        )


_FOLLOWING = {"star_step": "projected", "star_iterations": 3}

DEFAULT_PHASES = (
    Phase(
        "start",
        100,
        stars="low_extinction",
        learning_rate=3e-3,
        final_learning_rate=1e-3,
        free_curve=False,
    ),
    Phase(
        "all stars",
        10,
        n_cycles=8,
        stars="all",
        learning_rate=3e-3,
        final_learning_rate=1e-3,
        free_curve=False,
        **_FOLLOWING,
    ),
    Phase(
        "free curve",
        20,
        n_cycles=10,
        learning_rate=2e-3,
        final_learning_rate=3e-4,
        clean=True,
        **_FOLLOWING,
    ),
    Phase(
        "final",
        40,
        n_cycles=5,
        learning_rate=3e-4,
        final_learning_rate=1e-5,
        clean=True,
        **_FOLLOWING,
    ),
)
"""Good stars of low extinction with CCM89's curve, then all stars, a free curve, and rest."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training, apart from its data and seed.

    Parameters
    ----------
    phases : tuple of Phase
    hidden_layers : tuple of int
        Widths of the emulator's hidden layers.
    extinction_variation : bool
        Whether the extinction curve varies from star to star, R = exp(b + xi a).
    jacobian_terms : bool
        Whether the stellar loss has the terms -2 ln varpi - 2 ln E of ZGR23's eq. 14. They belong
        to the posterior of a single star; in a training their small shifts, all to one side, add
        up to luminosities that are too low and a curve that is too weak.
    batch_size : int
        Stars per minibatch (ZGR23: 512).
    turnover : float
        chi2 at which a star's influence turns over (see `xpfit.nn.asinh_turnover`).
    gradient_clip : float
        Longest gradient of the model's loss that is followed as it is; longer ones are shortened.
    low_extinction : float
        mag; limit of the stars ``low_extinction``.
    label_error_floor : mapping of str to float
        Added in quadrature to each label's error.
    high_quality : mapping of str to float
        Largest errors of the stars ``high_quality``: labels (kK, dex), `extinction` (mag), and
        `parallax` relative to the parallax; where a parallax is of no use it is not asked for.
    clean_sigma : float
        A star is dropped if a label or its parallax moves further than this from its measured
        value (ZGR23: 4).
    clean_label_floor : mapping of str to float
        Added in quadrature to each label's error for that.
    clean_flux_sigma : float
        A star is dropped if any flux is further than this from its prediction (ZGR23: 4).
    clean_chi2 : float
        A star is dropped if chi2 per degree of freedom exceeds this.
    clean_binary_sigma : float
        In absolute models, a star is dropped if log g and parallax together move further than this
        (ZGR23, fig. 4: 3.5): likely a binary of nearly equal masses.
    clean_fraction : float
        At most this share of the stars is dropped (ZGR23 dropped a quarter).
    flux_error_floor : float
        Fraction of the flux added to the errors of XP values while training: neither an emulator
        nor the calibration is as good as their best errors. What the emulator does get wrong is
        learned at the end, from the errors without this floor.
    covariance_rank : int
        Correlated components of the model covariance; 0 to learn none.
    """

    phases: tuple[Phase, ...] = DEFAULT_PHASES
    hidden_layers: tuple[int, ...] = (64, 64, 64)
    extinction_variation: bool = False
    jacobian_terms: bool = False
    batch_size: int = 512
    turnover: float = 300.0
    gradient_clip: float = math.inf
    low_extinction: float = 0.1
    label_error_floor: Mapping[str, float] = field(default_factory=lambda: dict(LABEL_ERROR_FLOOR))
    high_quality: Mapping[str, float] = field(default_factory=lambda: dict(HIGH_QUALITY))
    clean_label_floor: Mapping[str, float] = field(default_factory=lambda: dict(CLEAN_LABEL_FLOOR))
    clean_sigma: float = 4.0
    clean_flux_sigma: float = math.inf
    clean_chi2: float = 5.0
    clean_binary_sigma: float = 3.5
    clean_fraction: float = 0.3
    flux_error_floor: float = 0.02
    covariance_rank: int = RANK

    def __post_init__(self):
        object.__setattr__(self, "phases", tuple(self.phases))
        object.__setattr__(self, "hidden_layers", tuple(self.hidden_layers))
        _require(self, "phases", len(self.phases) > 0, "at least one phase")
        widths = len(self.hidden_layers) > 0 and all(n >= 1 for n in self.hidden_layers)
        _require(self, "hidden_layers", widths, "one or more positive widths")
        _require(self, "batch_size", self.batch_size >= 1, "at least 1")
        _require(self, "covariance_rank", self.covariance_rank >= 0, "0 or more")
        _require(self, "clean_fraction", 0 <= self.clean_fraction <= 1, "between 0 and 1")
        _require(self, "flux_error_floor", 0 <= self.flux_error_floor < 1, "0 or more, below 1")
        for name in (
            "turnover", "gradient_clip", "clean_sigma", "clean_flux_sigma", "clean_chi2",
            "clean_binary_sigma",
        ):  # fmt: skip
            _require(self, name, getattr(self, name) > 0, "positive")
        lowest_values = {"label_error_floor": 0.0, "clean_label_floor": 0.0, "high_quality": 1e-12}
        for name, lowest in lowest_values.items():
            for label, value in getattr(self, name).items():
                what = f"{'0 or more' if lowest == 0 else 'positive'} for {label}"
                _require(self, name, value >= lowest, what)

    @property
    def n_epochs(self) -> int:
        """Epochs in all phases together."""
        return sum(phase.n_cycles * phase.n_epochs for phase in self.phases)

    def to_dict(self) -> dict:
        """Plain values, for a model file."""
        return asdict(self)


_ZGR23_DROPS = {"schedule": "steps", "milestones": (32, 64, 96), "drop": 0.1}
_ZGR23_MODEL = {"optimiser": "sgd", "momentum": 0.5, **_ZGR23_DROPS}

ZGR23_PHASES = (
    Phase("1 model", 128, stars="high_quality", learning_rate=1e-3, **_ZGR23_MODEL),
    Phase(
        "2 model and stars",
        128,
        stars="high_quality",
        learning_rate=1e-5,
        star_step="sgd",
        star_learning_rate=1e-4,
        **_ZGR23_MODEL,
    ),
    Phase("3 stars", 128, stars="all", star_step="sgd", star_learning_rate=1e-4, **_ZGR23_DROPS),
    Phase("4 self-cleaning", 0, clean=True),
    Phase(
        "5 model and stars",
        128,
        learning_rate=1e-7,
        star_step="sgd",
        star_learning_rate=1e-5,
        **_ZGR23_MODEL,
    ),
    Phase(
        "6 stars",
        4096,
        stars="all",
        star_step="adam",
        star_learning_rate=1e-2,
        schedule="steps",
        milestones=tuple(range(512, 4096, 512)),
        drop=0.5,
    ),
)
"""Table 1 of ZGR23."""

ZGR23 = Recipe(
    phases=ZGR23_PHASES,
    turnover=math.inf,
    gradient_clip=100.0,
    label_error_floor={},
    clean_label_floor={},
    clean_flux_sigma=4.0,
    clean_chi2=math.inf,
    clean_fraction=0.3,
    hidden_layers=(32, 32, 32),
    jacobian_terms=True,
    flux_error_floor=0.0,
    covariance_rank=0,
)
"""ZGR23's recipe. They do not say how gradients were bounded; without that SGD diverges here.

It was made for two million stars: with a few thousand its steps are too few to converge, and the
bound on `clean_fraction`, which theirs stayed below, keeps it from dropping nearly all of them.
"""
