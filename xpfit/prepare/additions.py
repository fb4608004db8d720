"""Tables of photometry, astrometry and labels attached to spectra, part by part."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from astropy.table import Table

from ..data.spectra import Spectra
from ..dust import DustMap, DustTable
from ..errors import InputError
from ..read.crosswalk import Crosswalk
from ..read.joins import Found, Key, require_same_release
from ..read.known import name_of
from ..read.tables import matched_values
from ..read.units import say_once
from ..releases import DEFAULT
from .astrometry import Astrometry
from .cuts import TrainingCuts, training_cuts
from .extinction import attach_dust
from .labels import LABEL_EPOCH, attach_labels, match_labels, matched_table
from .photometry import Photometry


@dataclass
class Additions:
    """Tables to be joined to spectra.

    Parameters
    ----------
    photometry, astrometry, labels : astropy.table.Table, optional
        As for `attach_photometry`, `attach_astrometry` and `attach_labels`.
    zero_point : bool
        Subtract the zero point of parallaxes.
    epoch : float
        Julian year of the labels' positions, for a join by position.
    crosswalk : astropy.table.Table, optional
        Links the sources of two data releases (`xpfit.read.crosswalk.Crosswalk`), for tables whose
        ids are not of the release of the spectra; ids of unknown release are taken as DR3's then.
    cuts : TrainingCuts, optional
        Keep only stars that are good enough to train on; needs astrometry and labels.
    dust_map : DustMap or DustTable, optional
        Gives stars an estimate of E where the table of labels has none.

    Attributes
    ----------
    n_labelled : int
        Number of stars with labels so far.
    removed : Counter
        Number of stars that each cut has removed so far.
    dust_counts : Counter
        Number of stars so far with an estimate of E, and without one by reason.

    Raises
    ------
    InputError
        If cuts are asked for without the tables that they need, or a table cannot be used.
    """

    photometry: Table | None = None
    astrometry: Table | None = None
    labels: Table | None = None
    zero_point: bool = True
    epoch: float = LABEL_EPOCH
    cuts: TrainingCuts | None = None
    crosswalk: Table | None = None
    dust_map: DustMap | DustTable | None = None
    n_labelled: int = field(default=0, init=False)
    removed: Counter = field(default_factory=Counter, init=False)
    dust_counts: Counter = field(default_factory=Counter, init=False)
    _photometry: Photometry | None = field(default=None, init=False, repr=False)
    _astrometry: Astrometry | None = field(default=None, init=False, repr=False)
    _crosswalk: Crosswalk | None = field(default=None, init=False, repr=False)
    _warned: bool = field(default=False, init=False, repr=False)

    def __post_init__(self):
        if self.cuts and (self.astrometry is None or self.labels is None):
            raise InputError("training cuts need the tables of astrometry and of labels")
        if self.photometry is not None:
            self._photometry = Photometry(self.photometry, gaia=self.astrometry)
        if self.astrometry is not None:
            self._astrometry = Astrometry(self.astrometry, zero_point=self.zero_point)
        self._crosswalk = Crosswalk(self.crosswalk) if self.crosswalk is not None else None

    @property
    def _joins(self) -> dict[str, Key]:
        """Keys of the tables that are joined by source id, by what the tables hold."""
        tables = {"photometry": self._photometry, "astrometry": self._astrometry}
        if isinstance(self.dust_map, DustTable):
            tables["dust map"] = self.dust_map
        return {name: table.key for name, table in tables.items() if table}

    @property
    def found(self) -> dict[str, list[int]]:
        """Number of stars so far, and how many of them each table has."""
        return {name: [k.found.n_star, k.found.n_matched] for name, k in self._joins.items()}

    def check_joins(self, found: Mapping[str, Sequence[int]] | None = None) -> None:
        """Tell users how many stars each table was found to have, when all are joined.

        Parameters
        ----------
        found : mapping of str to sequence of int, optional
            By default `found` of this object; other processes have their own.

        Raises
        ------
        InputError
            If a table has none of the stars.

        Warns
        -----
        UserWarning
            If a table has few of the stars.
        """
        found = self.found if found is None else found
        for name, key in self._joins.items():
            say_once(key.check(Found(*found.get(name, (0, 0)))))

    def _warn_at_once(self) -> None:
        """Warn of a table that has none of the first stars, before hours of work."""
        for key in self._joins.values():
            if key.found.n_star and not key.found.n_matched and not self._warned:
                self._warned = True
                warnings.warn(
                    f"{key.what}: none of the first {key.found.n_star} stars is in this table",
                    stacklevel=3,
                )

    def digests(self) -> dict[str, str | None]:
        """SHA-256 of the contents of each table, by what it holds; None where there is none."""
        return {
            name: None if (table := getattr(self, name)) is None else _table_digest(table)
            for name in ("photometry", "astrometry", "labels", "crosswalk")
        }

    def _ids(self, spectra: Spectra, release: str) -> np.ndarray | None:
        """Ids of stars in the release of a table, where a crosswalk gives them."""
        if self._crosswalk is None:
            return None
        return self._crosswalk.translate(spectra.source_id, spectra.release, release or DEFAULT)

    def _label_positions(self, spectra: Spectra) -> tuple[np.ndarray, np.ndarray] | None:
        """Positions in the table of labels, NaN where unknown."""
        if self.labels is None or not {"ra", "dec"} <= set(self.labels.colnames):
            return None
        ids = self._ids(spectra, self.labels.meta.get("release", ""))
        rows, matched = match_labels(
            spectra.source_id if ids is None else ids,
            self.labels,
            self.astrometry,
            epoch=self.epoch,
        )
        ra, dec = (matched_values(self.labels[name], rows, matched) for name in ("ra", "dec"))
        return ra, dec

    def apply(self, spectra: Spectra) -> Spectra:
        """Spectra with everything attached, and cut.

        Parameters
        ----------
        spectra : Spectra

        Returns
        -------
        Spectra

        Raises
        ------
        InputError
            If a table lacks columns.
        """
        for join in (self._photometry, self._astrometry):
            if join:
                spectra = join.attach(spectra, self._ids(spectra, join.key.release))
        self._warn_at_once()
        if self.labels is not None:
            ids = self._ids(spectra, self.labels.meta.get("release", ""))
            require_same_release(
                "" if self._crosswalk else spectra.release,
                self.labels.meta.get("release", ""),
                f"{name_of(self.labels, 'the table of labels')}: its column of ids",
            )
            spectra = attach_labels(
                spectra, self.labels, self.astrometry, epoch=self.epoch, source_id=ids
            )
            self.n_labelled += int(np.sum(np.isfinite(spectra.labels["teff"])))
        if self.dust_map is not None:
            spectra, counts = attach_dust(spectra, self.dust_map, self._label_positions(spectra))
            self.dust_counts.update(counts)
        if self.cuts:
            table = matched_table(spectra, self.labels, self.astrometry, epoch=self.epoch)
            keep, removed = training_cuts(table, self.cuts)
            # A Counter drops no zeros on update, so that every cut is reported.
            self.removed.update(removed)
            spectra = spectra[np.flatnonzero(keep)]
        return spectra


def _table_digest(table: Table) -> str:
    """SHA-256 of names, types and values of a table's columns, in hexadecimal digits."""
    sha = hashlib.sha256()
    for name in table.colnames:
        column = table[name]
        sha.update(f"{name} {column.dtype} {column.shape}".encode())
        values, mask = np.ma.getdata(column), np.ma.getmaskarray(np.ma.asarray(column))
        if values.dtype.hasobject:
            values = np.array([repr(value).encode() for value in values.ravel()] or [b""])
        elif mask.any():
            values = np.where(mask, np.zeros((), values.dtype), values)
        sha.update(np.ascontiguousarray(values))
        sha.update(np.packbits(mask))
    return sha.hexdigest()
