"""`train_model`: from stars with known labels to a model."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import wraps

import numpy as np

from ..data import Spectra
from ..errors import InputError
from ..model import XPModel
from .choice import MIN_TRAINING_STARS
from .cleaning import clean_reasons, trainable
from .luminosity import LUMINOSITY, learn_luminosities
from .outcome import TrainingResult, assemble
from .recipe import Recipe
from .record import TrainingIO
from .stars import chi2_per_dof
from .trainer import Trainer

OLD_OPTIONS = ("progress", "log", "checkpoint", "checkpoint_minutes", "resume")
"""Options of `train_model` before 0.2 that are now fields of `TrainingIO` (``minutes`` there)."""


@dataclass
class TrainingSummary:
    """What a training did.

    Attributes
    ----------
    n_read, n_used, n_cleaned : int
        Rows given, stars trained on, stars among them that were outliers at the end.
    dropped : dict of str to int
        Rows left out at the outset, by reason.
    cleaned : dict of str to int
        Outliers by reason; a star may have several.
    n_low_dust, n_free : int
        Stars without an estimate of E: those that have a typical one, since there is little dust,
        and those whose E is free.
    loss : list of float
        Mean loss per star of each epoch.
    median_chi2 : float
        Median chi2 per degree of freedom of the stars kept, at their fitted labels.
    seconds : float
    """

    n_read: int
    n_used: int
    dropped: dict[str, int]
    n_cleaned: int = 0
    cleaned: dict[str, int] = field(default_factory=dict)
    n_low_dust: int = 0
    n_free: int = 0
    loss: list[float] = field(default_factory=list)
    median_chi2: float = np.nan
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.n_read} rows read; left out: {_counts(self.dropped)}\n"
            f"{self.n_used} stars trained on, {self.n_cleaned} of them "
            f"({self.n_cleaned / self.n_used:.1%}) dropped as outliers "
            f"(reasons, some with several: {_counts(self.cleaned)})\n"
            f"{self._extinctions()}"
            f"median chi2 per degree of freedom {self.median_chi2:.2f}; {self.seconds:.0f} s"
        )

    def _extinctions(self) -> str:
        """What was assumed of stars without an estimate of E, in a line; none if there are none."""
        if not self.n_low_dust + self.n_free:
            return ""
        scale = "" if self.n_low_dust + self.n_free < self.n_used else "; no star has one"
        return (
            f"without an estimate of E: {self.n_low_dust} stars where there is little dust, with a "
            f"typical one, and {self.n_free} whose E is free{scale}\n"
        )


def _counts(reasons: dict[str, int]) -> str:
    """Reasons that occurred, with their numbers."""
    return ", ".join(f"{n} {reason}" for reason, n in reasons.items() if n) or "none"


def _accept_old_options(function):
    """Let `train_model` take the options that are now in `TrainingIO` by their old names."""

    @wraps(function)
    def wrapper(*args, **options):
        old = {name: options.pop(name) for name in list(options) if name in OLD_OPTIONS}
        if old:
            warnings.warn(
                f"train_model takes {', '.join(old)} as io=TrainingIO(...); the old keywords will "
                "not work in the next version",
                FutureWarning,
                stacklevel=2,
            )
            io = options.get("io") or TrainingIO()
            new = {name.removeprefix("checkpoint_"): value for name, value in old.items()}
            options["io"] = replace(io, **new)
        return function(*args, **options)

    return wrapper


@_accept_old_options
def train_model(
    spectra: Spectra,
    label_names: Sequence[str] = ("teff", "feh", "logg"),
    *,
    rng: np.random.Generator,
    recipe: Recipe | None = None,
    absolute: bool | None = None,
    exclude: Sequence[int] = (),
    provenance: dict | None = None,
    io: TrainingIO | None = None,
) -> tuple[XPModel, TrainingSummary]:
    """Train a model on stars with known labels.

    Parameters
    ----------
    spectra : Spectra
        With labels, and with extinction estimates and parallaxes where there are any.
    label_names : sequence of str
        The stellar type: `teff`, `feh`, `logg` and, if wanted, `alpha_m`.
    rng : numpy.random.Generator
        The same generator state gives the same model.
    recipe : Recipe, optional
    absolute : bool, optional
        Whether the model learns luminosities; by default, if any star has a parallax or the label
        `ln_luminosity`.
    exclude : sequence of int
        Source ids never to be trained on.
    provenance : dict, optional
        JSON-able facts (data file, seed, ...) to be kept in the model.
    io : TrainingIO, optional
        Progress bar, log, checkpoint, and whether to resume from it.

    Returns
    -------
    model : XPModel
        If ``absolute`` is False, of the shapes of spectra alone, not of luminosities.
    summary : TrainingSummary

    Raises
    ------
    InputError
        If labels or parallaxes are missing, too few stars are left, or the checkpoint is damaged
        or of another training.
    FileNotFoundError
        If there is no checkpoint to resume from.
    XpfitError
        If the training diverges.

    Notes
    -----
    Alternates the global parameters with per-star updates (ZGR23, section 3.2), as the recipe says.

    Where stars have parallaxes alone, these are part of the stars' losses from the first phase on.
    Where any star has a spectroscopic luminosity (`ln_luminosity`), the shapes of spectra are
    learned first, and then the luminosities from all stars that have one or a parallax (see
    `xpfit.train.luminosity`).
    """
    started = time.perf_counter()
    recipe = recipe or Recipe()
    has_parallax = bool(np.isfinite(spectra.parallax_err).any())
    has_luminosity = bool(np.isfinite(spectra.labels.get(LUMINOSITY, np.nan)).any())
    absolute = has_parallax or has_luminosity if absolute is None else absolute
    if absolute and not (has_parallax or has_luminosity):
        raise InputError(
            "an absolute model needs parallaxes or luminosities, and none of these stars has one"
        )
    luminosity_last = absolute and has_luminosity
    rows, dropped = trainable(spectra, label_names, np.asarray(exclude, dtype=np.int64))
    if len(rows) < MIN_TRAINING_STARS:
        raise InputError(f"{len(rows)} usable stars; training needs at least {MIN_TRAINING_STARS}")
    absolute = absolute and not luminosity_last
    trainer = Trainer(spectra[rows], label_names, recipe, rng, absolute=absolute, io=io)
    result, luminosity_error = trainer.run(), None
    if luminosity_last:
        result, luminosity_error = learn_luminosities(result)
    kept = result.kept
    summary = TrainingSummary(
        n_read=len(spectra),
        n_used=len(rows),
        dropped=dropped,
        n_cleaned=len(rows) - len(kept),
        cleaned=clean_reasons(result.clean_flags, result.label_names),
        **_without_estimate(result),
        loss=[line["loss"] for line in result.history],
        median_chi2=float(np.median(chi2_per_dof(result.forward, result.theta, result.data)[kept])),
        seconds=time.perf_counter() - started,
    )
    facts = {
        **(provenance or {}),
        "n_stars": summary.n_used,
        "n_cleaned": summary.n_cleaned,
        "dropped": dropped,
        "cleaned": summary.cleaned,
        "median_chi2_per_dof": summary.median_chi2,
    }
    return assemble(result, rng, facts, luminosity_error), summary


def _without_estimate(result: TrainingResult) -> dict[str, int]:
    """Numbers of the stars without an estimate of E."""
    free = result.data.constraints.free_extinction
    estimated = np.isfinite(result.spectra.extinction) & np.isfinite(result.spectra.extinction_err)
    return {"n_low_dust": int(np.sum(~estimated & ~free)), "n_free": int(free.sum())}
