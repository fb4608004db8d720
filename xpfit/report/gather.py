"""Numbers of a catalogue for a report, gathered part by part in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from astropy.table import Table, vstack

from ..catalogue import REFERENCE_PREFIX
from ..catalogue.cuts import counts
from ..data import has_flag
from ..fit import FitStatus
from ..quality import FitFlag, QualityFlag, is_reliable
from ..quantities import BASIC_LABELS, LABELS
from ..read.tables import float_column
from ..releases import RELEASES
from ..validate.metrics import require_columns
from ..validate.selection import chi2_per_dof
from ..validate.sky import SkyMeans, cells_of, good_for_maps

SAMPLE = 50_000
"""Stars that figures are made of, drawn at random."""

REFERENCED = 50_000
"""Stars with a reference that are compared with it, drawn at random."""

N_WORST = 4
"""Stars shown for the worst fits, and for the most typical."""

KIEL_EDGES = (np.linspace(2500.0, 10_000.0, 151), np.linspace(-1.0, 6.0, 141))
"""K and dex, of the cells of the Kiel diagram."""

SKY_NSIDE = 64

VALUES = (*LABELS, "extinction", "parallax")
"""Parameters that a report shows."""

COLUMNS = (
    *(release.id_column for release in RELEASES.values()),
    "ra", "dec", "chi2_opt", "ln_prior", "teff_confidence", "feh_confidence", "logg_confidence",
    "quality_flags", "fit_flags", "n_obs", "status", "gaia_parallax", "gaia_parallax_error",
    "phot_g_mean_mag",
    "phot_bp_mean_mag", "phot_rp_mean_mag", "xi", "amplitude", "ref_snr",
    *(f"{prefix}{name}{suffix}" for name in VALUES for prefix in ("", REFERENCE_PREFIX)
      for suffix in ("", "_err")),
)  # fmt: skip
"""Columns that a report reads, as far as a catalogue has them."""

NEEDED = ("teff", "feh", "logg", "chi2_opt", "quality_flags")


@dataclass
class Gathered:
    """Numbers of a whole catalogue, and stars drawn from it.

    Attributes
    ----------
    meta : dict
        Of the catalogue.
    columns : tuple of str
        Those of `COLUMNS` that it has.
    n_star, n_fitted, n_reliable : int
    cuts : dict of str to int
        Stars that pass each cut (see `xpfit.catalogue.cuts`).
    flags : dict of str to int
        Stars with each flag.
    kiel : ndarray, shape of `KIEL_EDGES`
        Reliable stars over Teff and log g.
    sky : SkyMeans
        Extinction of the stars that are good for maps; of all reliable ones without parallaxes.
    n_mapped : int
    sample, referenced : Table
        Stars drawn at random, from all, and from those with reference labels.
    n_referenced : int
        Stars with reference labels.
    worst : Table
        Fitted stars with the highest chi2 per degree of freedom, highest first.
    """

    meta: dict = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    n_star: int = 0
    n_fitted: int = 0
    n_reliable: int = 0
    cuts: dict[str, int] = field(default_factory=dict)
    flags: dict[str, int] = field(default_factory=dict)
    kiel: np.ndarray = field(default_factory=lambda: np.zeros([len(e) - 1 for e in KIEL_EDGES]))
    sky: SkyMeans = field(default_factory=lambda: SkyMeans(SKY_NSIDE))
    n_mapped: int = 0
    sample: Table = field(default_factory=Table)
    referenced: Table = field(default_factory=Table)
    n_referenced: int = 0
    worst: Table = field(default_factory=Table)

    @property
    def typical(self) -> Table:
        """Reliable stars whose chi2 per degree of freedom is closest to the median of all."""
        rows = np.flatnonzero(reliable(self.sample)) if len(self.sample) else []
        if not len(rows):
            return self.sample[:0]
        chi2 = chi2_per_dof(self.sample)[rows]
        order = np.argsort(np.abs(chi2 - np.median(chi2)), kind="stable")
        return self.sample[rows[order[:N_WORST]]]


def gather(
    tables: Iterable[Table],
    *,
    attach: Callable[[Table], Table] | None = None,
    seed: int = 1,
) -> Gathered:
    """Gather the numbers of a report.

    Parameters
    ----------
    tables : iterable of astropy.table.Table
        Parts of a catalogue, in the columns `COLUMNS`.
    attach : callable, optional
        Puts reference labels beside the fitted ones of a part.
    seed : int
        Of the drawing of stars.

    Returns
    -------
    Gathered

    Raises
    ------
    InputError
        If columns are missing.
    """
    total, rng = Gathered(), np.random.default_rng(seed)
    sample, referenced = _Reservoir(SAMPLE, rng), _Reservoir(REFERENCED, rng)
    for part in tables:
        part = part[[name for name in COLUMNS if name in part.colnames]]
        require_columns(part, NEEDED, "give one written by xpfit, or ZGR23's")
        part = attach(part) if attach else part
        total.meta = total.meta or dict(part.meta)
        total.columns = tuple(part.colnames)
        _count(total, part)
        _map(total, part)
        sample.add(part)
        known = _has_reference(part)
        total.n_referenced += int(known.sum())
        referenced.add(part[known])
        _keep_worst(total, part)
    total.sample, total.referenced = sample.table(), referenced.table()
    return total


def reliable(table: Table) -> np.ndarray:
    """Rows that `xpfit.is_reliable` accepts, by the flags that a table has."""
    fit = table["fit_flags"] if "fit_flags" in table.colnames else np.zeros(len(table), dtype=int)
    return is_reliable(table["quality_flags"], fit)


def _count(total: Gathered, part: Table) -> None:
    """Add up stars, cuts and flags."""
    good = reliable(part)
    total.n_star += len(part)
    total.n_fitted += int(_fitted(part).sum())
    total.n_reliable += int(good.sum())
    if "teff_confidence" in part.colnames:
        for name, n in counts([part]).items():
            total.cuts[name] = total.cuts.get(name, 0) + n
    for column, kind in (("quality_flags", QualityFlag), ("fit_flags", FitFlag)):
        if column in part.colnames:
            values = np.asarray(part[column])
            for flag in kind:
                n = int(has_flag(values, flag).sum())
                total.flags[flag.name] = total.flags.get(flag.name, 0) + n
    teff, logg = (float_column(part[name])[good] for name in ("teff", "logg"))
    total.kiel += np.histogram2d(teff, logg, KIEL_EDGES)[0]


def _fitted(part: Table) -> np.ndarray:
    """Stars that have parameters."""
    if "status" in part.colnames:
        return np.asarray(part["status"]) != int(FitStatus.NOT_FITTED)
    return np.isfinite(float_column(part["teff"]))


def _map(total: Gathered, part: Table) -> None:
    """Add stars to the map of extinction."""
    if not {"ra", "dec", "extinction", "extinction_err"} <= set(part.colnames):
        return
    value, error = (float_column(part[name]) for name in ("extinction", "extinction_err"))
    if "parallax" in part.colnames and np.isfinite(float_column(part["parallax"])).any():
        keep = good_for_maps(part)
    else:
        keep = reliable(part) & np.isfinite(value) & (error > 0)
    cells = cells_of(part, total.sky.healpix)
    keep &= cells >= 0
    total.n_mapped += int(keep.sum())
    total.sky.add(cells[keep], value[keep], error[keep] ** -2.0)


def _has_reference(part: Table) -> np.ndarray:
    """Stars with all three reference labels."""
    names = [REFERENCE_PREFIX + name for name in BASIC_LABELS]
    if not set(names) <= set(part.colnames):
        return np.zeros(len(part), dtype=bool)
    return np.isfinite([float_column(part[name]) for name in names]).all(axis=0)


def _keep_worst(total: Gathered, part: Table) -> None:
    """Keep the stars with the highest chi2 per degree of freedom."""
    chi2 = np.where(_fitted(part), chi2_per_dof(part), -np.inf)
    rows = np.argsort(-np.nan_to_num(chi2, nan=-np.inf), kind="stable")[:N_WORST]
    rows = rows[np.isfinite(chi2[rows])]
    both = _stack([total.worst, part[rows]])
    if len(both):
        order = np.argsort(-chi2_per_dof(both), kind="stable")
        total.worst = both[order[:N_WORST]]


class _Reservoir:
    """A uniform sample of rows that come in parts: those with the smallest random numbers."""

    def __init__(self, size: int, rng: np.random.Generator):
        self.size, self.rng = size, rng
        self._parts: list[Table] = []
        self._keys = np.empty(0)

    def add(self, part: Table) -> None:
        """Offer rows."""
        keys = self.rng.random(len(part))
        if len(self._keys) >= self.size:
            # Keys above the largest that is kept cannot be among the smallest.
            rows = np.flatnonzero(keys < np.partition(self._keys, self.size - 1)[self.size - 1])
            part, keys = part[rows], keys[rows]
        self._parts.append(part)
        self._keys = np.concatenate([self._keys, keys])
        if len(self._keys) > 2 * self.size:
            self.table()

    def table(self) -> Table:
        """The rows that are drawn, in their order; the others are dropped."""
        rows = np.arange(len(self._keys))
        if len(rows) > self.size:
            rows = np.sort(np.argpartition(self._keys, self.size)[: self.size])
        self._parts, self._keys = [_stack(self._parts)[rows]], self._keys[rows]
        return self._parts[0]


def _stack(parts: list[Table]) -> Table:
    """Rows of several tables."""
    parts = [part for part in parts if len(part)]
    return vstack(parts, metadata_conflicts="silent") if parts else Table()
