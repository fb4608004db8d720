"""`train_model`: from stars with known labels to a model."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TextIO

import numpy as np

from ..data.spectra import Spectra
from ..errors import InputError
from ..model import XPModel
from .cleaning import trainable
from .outcome import assemble
from .recipe import Recipe
from .trainer import CHECKPOINT_MINUTES, MIN_STARS, Trainer


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
    loss: list[float] = field(default_factory=list)
    median_chi2: float = np.nan
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.n_read} rows read; left out: {_counts(self.dropped)}\n"
            f"{self.n_used} stars trained on, {self.n_cleaned} of them "
            f"({self.n_cleaned / self.n_used:.1%}) dropped as outliers "
            f"(reasons, some with several: {_counts(self.cleaned)})\n"
            f"median chi2 per degree of freedom {self.median_chi2:.2f}; {self.seconds:.0f} s"
        )


def _counts(reasons: dict[str, int]) -> str:
    """Reasons that occurred, with their numbers."""
    return ", ".join(f"{n} {reason}" for reason, n in reasons.items() if n) or "none"


def train_model(
    spectra: Spectra,
    label_names: Sequence[str] = ("teff", "feh", "logg"),
    *,
    rng: np.random.Generator,
    recipe: Recipe | None = None,
    absolute: bool | None = None,
    exclude: Sequence[int] = (),
    progress: bool = True,
    provenance: dict | None = None,
    log: TextIO | None = None,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_minutes: float = CHECKPOINT_MINUTES,
    resume: bool = False,
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
        Whether parallaxes are used, so that the model learns luminosities; by default, if any star
        has one.
    exclude : sequence of int
        Source ids never to be trained on.
    progress : bool
        Show a progress bar.
    provenance : dict, optional
        JSON-able facts (data file, seed, ...) to be kept in the model.
    log : file open for writing text, optional
        Gets one line of JSON per epoch (see `Trainer`).
    checkpoint : path-like, optional
        File for the state of the training (see `Trainer`); it is left there at the end.
    checkpoint_minutes : float
    resume : bool
        Go on from `checkpoint`. All else must be as it was, the state of `rng` too; the model then
        is the same as if the training had not stopped.

    Returns
    -------
    model : XPModel
        If ``absolute`` is False it knows shapes, not luminosities.
    summary : TrainingSummary

    Raises
    ------
    InputError
        If labels or parallaxes are missing, too few stars are left, or the checkpoint is of
        another training.

    Notes
    -----
    Alternates the global parameters with per-star updates (ZGR23, section 3.2), as the recipe says.
    """
    started = time.perf_counter()
    recipe = recipe or Recipe()
    has_parallax = bool(np.isfinite(spectra.parallax_err).any())
    absolute = has_parallax if absolute is None else absolute
    if absolute and not has_parallax:
        raise InputError("an absolute model needs parallaxes, and none of these stars has one")
    rows, dropped = trainable(spectra, label_names, np.asarray(exclude, dtype=np.int64))
    if len(rows) < MIN_STARS:
        raise InputError(f"{len(rows)} usable stars; training needs at least {MIN_STARS}")
    trainer = Trainer(
        spectra[rows],
        label_names,
        recipe,
        rng,
        absolute=absolute,
        progress=progress,
        log=log,
        checkpoint=checkpoint,
        checkpoint_minutes=checkpoint_minutes,
    )
    if resume:
        trainer.resume()
    trainer.run()
    summary = TrainingSummary(
        n_read=len(spectra),
        n_used=len(rows),
        dropped=dropped,
        n_cleaned=len(rows) - len(trainer.kept),
        cleaned=trainer.clean_reasons,
        loss=[line["loss"] for line in trainer.history],
        median_chi2=float(np.median(trainer.chi2_per_dof()[trainer.kept])),
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
    return assemble(trainer, facts), summary
