"""What a training recipe consists of, and which values are possible; values are in `recipes`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from .. import constraints as allowed
from ..constraints import CheckedSettings, each, one_of
from ..nn import CosineSchedule, StepSchedule

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RECIPE_FOLDER = Path(__file__).parent / "recipes"
"""Where the recipes that come with xpfit are: one TOML file each."""

PHASE_CONSTRAINTS = {
    "n_cycles": allowed.AT_LEAST_1,
    "stars": one_of("kept", "all", "high_quality", "low_extinction"),
    "optimiser": one_of("adam", "sgd"),
    "momentum": allowed.BELOW_1,
    "schedule": one_of("cosine", "steps"),
    "milestones": (lambda m: all(epoch > 0 for epoch in m), "positive epochs"),
    "drop": (lambda x: 0 < x <= 1, "above 0, at most 1"),
    "star_step": one_of("none", "gauss-newton", "projected", "sgd", "adam"),
    **each(allowed.NOT_NEGATIVE, "n_epochs", "star_iterations", "min_batches"),
    **each(allowed.RATE, "learning_rate", "final_learning_rate", "star_learning_rate"),
}
"""Of each setting of a phase by itself."""

PHASE_CONSISTENCY = {
    "momentum": (
        lambda p: p.optimiser == "sgd" or p.momentum == 0,
        "0 unless the optimiser is sgd",
    ),
    "star_iterations": (
        lambda p: p.fits_stars == (p.star_iterations > 0),
        "positive for the star_steps gauss-newton and projected, and 0 for others",
    ),
    "star_learning_rate": (
        lambda p: (p.star_step in ("sgd", "adam")) == (p.star_learning_rate > 0),
        "positive for the star_steps sgd and adam, and 0 for others",
    ),
    "star_step": (
        lambda p: p.star_step != "adam" or not p.updates_model,
        "another while the model is updated",
    ),
    "min_batches": (
        lambda p: p.updates_model or p.min_batches == 0,
        "0 unless the model is updated",
    ),
    "n_epochs": (
        lambda p: p.updates_model or p.star_learning_rate > 0 or p.n_epochs == 0,
        "0 where epochs update nothing",
    ),
    "milestones": (lambda p: p.schedule != "cosine" or not p.milestones, "empty for a cosine"),
    "final_learning_rate": (
        lambda p: p.schedule == "cosine" or p.final_learning_rate == 0,
        "0 for steps",
    ),
}
"""Of the settings of a phase together."""

RECIPE_CONSTRAINTS = {
    "phases": (len, "at least one phase"),
    "hidden_layers": (lambda n: n and all(x >= 1 for x in n), "one or more positive widths"),
    "batch_size": allowed.AT_LEAST_1,
    "clean_fraction": allowed.FRACTION,
    "flux_error_floor": allowed.BELOW_1,
    "xi_sky_share": allowed.BELOW_1,
    "xi_sky_scale": allowed.POSITIVE,
    **each(allowed.NOT_NEGATIVE, "label_error_floor", "clean_label_floor", "covariance_rank"),
    **each(allowed.POSITIVE, "turnover", "gradient_clip", "high_quality", "clean_sigma"),
    **each(allowed.POSITIVE, "clean_flux_sigma", "clean_chi2", "clean_binary_sigma"),
}
"""Of each setting of a recipe; of mappings, for each of their values."""


@dataclass(frozen=True)
class Phase(CheckedSettings):
    """One phase: cycles of star updates and cleaning, each followed by epochs of updates.

    Parameters
    ----------
    name : str
    n_epochs : int
        Epochs in each cycle. An epoch passes once over the stars, in minibatches, and updates the
        model, the stars, or both.
    n_cycles : int
    min_batches : int
        Fewest minibatches in an epoch that updates the model: where the stars make up fewer, the
        epoch passes over them several times.
    stars : str
        Which stars the epochs use: ``kept`` (all but the outliers of the last cleaning), ``all``,
        ``high_quality`` (the recipe's `high_quality`), or ``low_extinction`` (those of them that
        have E below the recipe's `low_extinction`).
    optimiser : str
        Of the model: ``adam`` or ``sgd``.
    momentum : float
        Of the model's SGD.
    learning_rate : float
        Of the model; 0 keeps it fixed.
    schedule : str
        How rates fall: ``cosine``, along half a cosine over the whole phase to
        `final_learning_rate`, or ``steps``, by `drop` at each of the epochs `milestones`.
    final_learning_rate : float
    milestones : tuple of int
    drop : float
    star_step : str
        How stars are updated: ``none`` keeps their labels and extinction fixed (their amplitude too
        in absolute models); ``gauss-newton`` fits all stars at the start of each cycle;
        ``projected`` does so too, and while the model is updated the stars follow it within their
        constraints, to first order (`xpfit.train.projection.Projection`); ``sgd`` updates the stars
        of each minibatch by their gradient after the model's step; ``adam`` updates all stars at a
        fixed model.
    star_iterations : int
        Gauss-Newton steps per cycle.
    star_learning_rate : float
        Of ``sgd`` and ``adam``; falls as the model's does.
    free_curve : bool
        Whether the extinction curve is learned.
    clean : bool
        Whether outliers are identified anew before the epochs of each cycle.

    Raises
    ------
    SettingError
        If a setting is impossible, or contradicts another.
    """

    name: str
    n_epochs: int
    n_cycles: int = 1
    min_batches: int = 0
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

    constraints = PHASE_CONSTRAINTS
    consistency = PHASE_CONSISTENCY

    @property
    def updates_model(self) -> bool:
        """Whether the model is updated at all."""
        return self.learning_rate > 0

    @property
    def fits_stars(self) -> bool:
        """Whether each cycle starts with Gauss-Newton steps of all stars."""
        return self.star_step in ("gauss-newton", "projected")

    def rates(self) -> tuple:
        """Schedules of the model's and of the stars' learning rates, functions of the epoch."""
        rates = (self.learning_rate, self.star_learning_rate)
        if self.schedule == "steps":
            return tuple(StepSchedule(rate, self.milestones, self.drop) for rate in rates)
        n_epochs = max(self.n_cycles * self.n_epochs, 1)
        fall = self.final_learning_rate / self.learning_rate if self.updates_model else 0.0
        return tuple(CosineSchedule(rate, n_epochs, fall * rate) for rate in rates)


@cache
def _default_values() -> dict:
    """Settings of the default recipe."""
    values = tomllib.loads((RECIPE_FOLDER / "default.toml").read_text(encoding="utf-8"))
    return {**values, "phases": tuple(Phase(**phase) for phase in values["phases"])}


def _default(name: str):
    """Field whose default is that of the default recipe."""

    def value():
        value = _default_values()[name]
        return dict(value) if isinstance(value, dict) else value

    return field(default_factory=value)


@dataclass(frozen=True)
class Recipe(CheckedSettings):
    """Everything that decides a training, apart from its data and seed.

    What is not given is that of the default recipe (``recipes/default.toml``).

    Parameters
    ----------
    phases : tuple of Phase
    hidden_layers : tuple of int
        Widths of the emulator's hidden layers.
    extinction_variation : bool
        Whether the extinction curve varies from star to star, R = exp(b + xi a).
    xi_sky_share : float
        Part of the variance of xi that is smooth over the sky (`xpfit.train.xi_sky`); 0 for none.
    xi_sky_scale : float
        Degrees over which it is correlated.
    jacobian_terms : bool
        Whether the stellar loss has the terms -2 ln varpi - 2 ln E of ZGR23's eq. 14. They belong
        to the posterior of a single star; in a training their small shifts, all to one side, add
        up to luminosities that are too low and a curve that is too weak.
    batch_size : int
        Stars per minibatch (ZGR23: 512).
    turnover : float
        chi2 at which a star's influence turns over (see `xpfit.nn.asinh_turnover`).
    gradient_clip : float
        Gradients of the model's loss that are longer than this are shortened to it.
    low_extinction : float
        mag; limit of the stars ``low_extinction``.
    label_error_floor : mapping of str to float
        Added in quadrature to each label's error (kK, dex).
    high_quality : mapping of str to float
        Largest errors of the stars ``high_quality``: labels (kK, dex), `extinction` (mag), and
        `parallax` relative to the parallax; models of shapes alone do not use the last one.
    clean_sigma : float
        A star is dropped if a label or its parallax is fitted further than this from its measured
        value (ZGR23: 4).
    clean_label_floor : mapping of str to float
        Added in quadrature to each label's error for that (kK, dex).
    clean_flux_sigma : float
        A star is dropped if any flux is further than this from its prediction (ZGR23: 4).
    clean_chi2 : float
        A star is dropped if chi2 per degree of freedom exceeds this.
    clean_binary_sigma : float
        In absolute models, a star is dropped if log g and parallax together are further than this
        from the measured ones (ZGR23, fig. 4: 3.5): likely a binary of nearly equal masses.
    clean_fraction : float
        At most this fraction of the stars is dropped (ZGR23 dropped a quarter).
    flux_error_floor : float
        Fraction of the flux added to the errors of XP values while training: neither an emulator
        nor the calibration is as good as the smallest errors. The errors of the emulator are
        learned at the end, from the flux errors without this floor.
    covariance_rank : int
        Correlated components of the model covariance; 0 to learn none.

    Raises
    ------
    SettingError
        If a setting is impossible.
    """

    phases: tuple[Phase, ...] = _default("phases")
    hidden_layers: tuple[int, ...] = _default("hidden_layers")
    extinction_variation: bool = _default("extinction_variation")
    xi_sky_share: float = _default("xi_sky_share")
    xi_sky_scale: float = _default("xi_sky_scale")
    jacobian_terms: bool = _default("jacobian_terms")
    batch_size: int = _default("batch_size")
    turnover: float = _default("turnover")
    gradient_clip: float = _default("gradient_clip")
    low_extinction: float = _default("low_extinction")
    label_error_floor: Mapping[str, float] = _default("label_error_floor")
    high_quality: Mapping[str, float] = _default("high_quality")
    clean_label_floor: Mapping[str, float] = _default("clean_label_floor")
    clean_sigma: float = _default("clean_sigma")
    clean_flux_sigma: float = _default("clean_flux_sigma")
    clean_chi2: float = _default("clean_chi2")
    clean_binary_sigma: float = _default("clean_binary_sigma")
    clean_fraction: float = _default("clean_fraction")
    flux_error_floor: float = _default("flux_error_floor")
    covariance_rank: int = _default("covariance_rank")

    constraints = RECIPE_CONSTRAINTS

    @property
    def n_epochs(self) -> int:
        """Epochs in all phases together."""
        return sum(phase.n_cycles * phase.n_epochs for phase in self.phases)
