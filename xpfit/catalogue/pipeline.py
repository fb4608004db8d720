"""Files of spectra -> fitted stars -> rows of a catalogue: the loop that all commands share."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from astropy.table import Table
from tqdm.auto import tqdm

from ..companion import Companion, UncertainNetwork
from ..data import Spectra
from ..errors import InputError
from ..fit import FitResult, FitSettings, Fitter
from ..fit.distance import check_prior
from ..model import XPModel
from ..prepare import Additions, iterate_file
from ..prepare.bases import Basis
from ..prepare.corrections import Correction
from ..prepare.open import warn_of_loss
from ..quality import Confidence
from .columns import result_table
from .companion_columns import add_companion_columns, check_companions

MAX_INPUTS_NAMED = 20
"""Input files that are named in a catalogue's metadata; of further ones the number is given."""


def find_stars(
    parts: Iterable[Spectra], source_ids: Iterable[int]
) -> tuple[list[Spectra], list[int]]:
    """Look for stars by their source ids.

    Parameters
    ----------
    parts : iterable of Spectra
    source_ids : iterable of int

    Returns
    -------
    found : list of Spectra
        The stars among `parts`; parts without any are left out.
    missing : list of int
        Source ids that were not found, in their order.
    """
    wanted = [int(i) for i in source_ids]
    found = []
    for part in parts:
        rows = np.flatnonzero(np.isin(part.source_id, wanted))
        if len(rows):
            found.append(part[rows])
    present = {int(i) for part in found for i in part.source_id}
    return found, [i for i in wanted if i not in present]


@dataclass(frozen=True, eq=False)
class Pipeline:
    """All that turns spectra into rows of a catalogue.

    A star's row depends on its spectrum and on this object only: not on the other stars, on how
    they are divided into parts, or on the number of workers.

    Parameters
    ----------
    model : XPModel
    confidence : Confidence, optional
        Classifiers for the model's fits (see `xpfit.quality.confidence_for`).
    settings : FitSettings
        Of the fit.
    additions : Additions
        Tables joined to the spectra.
    start_from : UncertainNetwork, optional
        Predicts where fits start; by default starts are searched for.
    companions : tuple of Companion
        Give independent estimates (see `xpfit.catalogue.companion_columns`); at most one of a kind.
    provenance : mapping of str to str
        Recorded in the catalogue's metadata.
    n_jobs : int
        Threads of the fits; -1 for one per processor.
    distance_prior : str
        As for `xpfit.result_table`.
    correction : FluxCorrection, optional
        Of the flux; must be that of the model's training data.
    release : str, optional
        Gaia's data release of files that do not tell it, as for `xpfit.prepare.iterate_file`.
    basis : Basis, optional
        Basis functions of XP continuous spectra, as for `xpfit.prepare.iterate_file`.

    Raises
    ------
    InputError
        If two companions are of one kind, or there is no such prior.
    """

    model: XPModel
    confidence: Confidence | None = None
    settings: FitSettings = field(default_factory=FitSettings)
    additions: Additions = field(default_factory=Additions)
    start_from: UncertainNetwork | None = None
    companions: tuple[Companion, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
    n_jobs: int = 1
    distance_prior: str = "none"
    correction: Correction | None = None
    release: str | None = None
    basis: Basis | None = None

    def __post_init__(self):
        check_companions(self.companions)
        check_prior(self.distance_prior)

    def __getstate__(self) -> dict:
        """Without the fitter, which each process makes for itself."""
        return {name: value for name, value in self.__dict__.items() if name != "fitter"}

    @cached_property
    def fitter(self) -> Fitter:
        """Made once per process.

        Raises
        ------
        InputError
            If an engine or device is not available.
        """
        return Fitter(self.model, self.settings, n_jobs=self.n_jobs)

    @property
    def metadata(self) -> dict[str, str]:
        """Provenance with the settings of the fit, as recorded in every catalogue."""
        settings = json.dumps(self.fitter.settings.to_dict(), sort_keys=True)
        return {**self.provenance, "SETTINGS": settings, "DISTPRI": self.distance_prior}

    def spectra(
        self,
        path: str | os.PathLike,
        rows: range | None = None,
        on_loss: Callable[[str], object] = warn_of_loss,
    ) -> Iterator[Spectra]:
        """Spectra of a file as the model needs them, with tables joined.

        Parameters
        ----------
        path : path-like
            As for `xpfit.prepare.iterate_file`.
        rows : range, optional
            Rows of a file of prepared spectra.
        on_loss : callable
            As for `xpfit.prepare.iterate_file`.

        Yields
        ------
        Spectra

        Raises
        ------
        FileNotFoundError
            If the file does not exist.
        InputError
            If it cannot be read, has no rows, or a joined table lacks columns.
        """
        how = {
            "model": self.model,
            "correction": self.correction,
            "release": self.release,
            "basis": self.basis,
        }
        parts = iterate_file(path, rows, **how, on_loss=on_loss)
        return map(self.additions.apply, parts)

    def stars(self, paths: Iterable[str | os.PathLike], source_ids: Iterable[int]) -> Spectra:
        """Single stars from files of spectra, with tables joined.

        Parameters
        ----------
        paths : iterable of path-like
        source_ids : iterable of int

        Returns
        -------
        Spectra
            In the order of the files.

        Raises
        ------
        FileNotFoundError
            If a file does not exist.
        InputError
            If a file cannot be read, none has a star, or a joined table has none of them.
        """
        how = {
            "model": self.model,
            "correction": self.correction,
            "release": self.release,
            "basis": self.basis,
        }
        parts = (part for path in paths for part in iterate_file(path, **how))
        found, missing = find_stars(parts, source_ids)
        if missing:
            raise InputError(f"source {missing[0]} is in none of the files; check the id")
        joined = Spectra.concatenate([self.additions.apply(part) for part in found])
        self.additions.check_joins()
        return joined

    def fit(self, spectra: Spectra, progress: bool | tqdm = False) -> FitResult:
        """Fit stars.

        Parameters
        ----------
        spectra : Spectra
            From `spectra` or `stars`.
        progress : bool or tqdm
            As for `xpfit.Fitter.fit`.

        Returns
        -------
        FitResult

        Raises
        ------
        InputError
            As `xpfit.Fitter.fit`.
        """
        start = self.start_from
        guesses = start and start.guesses(spectra, self.model.label_names)
        return self.fitter.fit(spectra, progress, guesses)

    def table(
        self, spectra: Spectra, *, reference: bool = True, progress: bool | tqdm = False
    ) -> Table:
        """Fit stars, and make their rows of the catalogue.

        Parameters
        ----------
        spectra : Spectra
            From `spectra` or `stars`.
        reference : bool
            Add the labels that came with the spectra, if any did.
        progress : bool or tqdm
            As for `xpfit.Fitter.fit`.

        Returns
        -------
        astropy.table.Table
            See `xpfit.result_table`; with the companions' columns.

        Raises
        ------
        InputError
            If the spectra do not match the model or a companion.
        """
        table = result_table(
            self.model,
            spectra,
            self.fit(spectra, progress),
            self.confidence,
            reference=reference,
            provenance=self.metadata,
            distance_prior=self.distance_prior,
        )
        add_companion_columns(table, spectra, self.companions)
        return table


def provenance(
    inputs: Iterable[str | os.PathLike],
    *,
    model: str | os.PathLike | None = None,
    tables: Mapping[str, str | os.PathLike | None] | None = None,
    zero_point: bool = True,
    start_from: str | os.PathLike | None = None,
    companions: Iterable[str | os.PathLike] = (),
) -> dict[str, str]:
    """Names of all files that a catalogue is made from, under keys that FITS accepts.

    Parameters
    ----------
    inputs : iterable of path-like
        Files of spectra.
    model : path-like, optional
        The model file; by default the one that comes with xpfit.
    tables : mapping of str to path-like or None
        Tables joined to the spectra, by what they hold.
    zero_point : bool
        Whether the zero point was subtracted from parallaxes.
    start_from : path-like, optional
        The companion that predicts where fits start.
    companions : iterable of path-like
        Companions that give independent estimates.

    Returns
    -------
    dict of str to str
        File names without directories.
    """
    names = [Path(path).name for path in inputs]
    more = [f"and {len(names) - MAX_INPUTS_NAMED} more"] if len(names) > MAX_INPUTS_NAMED else []
    joined = {name: Path(path).name for name, path in (tables or {}).items() if path}
    return {
        "MODEL": Path(model).name if model else "default",
        "INPUT": ",".join(names[:MAX_INPUTS_NAMED] + more),
        "TABLES": json.dumps(joined, sort_keys=True),
        "ZEROPT": str(zero_point),
        "STARTS": Path(start_from).name if start_from else "none",
        "COMPANIO": ",".join(Path(path).name for path in companions) or "none",
    }
