"""Members of globular clusters by position, proper motion and parallax."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

from ..errors import InputError
from ..read import read_table
from ..read.columns import MEANINGS, Meaning, error_names, find_column
from ..read.joins import Key, integer_ids
from ..read.known import known_columns, name_of, possible_values
from ..read.tables import float_column, matched_values
from .clusters import Cluster, ClusterFacts

FACTS = Path(__file__).with_name("clusters.csv")

MAX_SIGMA = 3.0
"""Of the proper motion, in its error and the cluster's dispersion together."""

MAX_PARALLAX_SIGMA = 5.0
"""Of the measured parallax. Wide, as the distribution of parallaxes is what is looked at."""

MOTIONS = ("pmra", "pmdec", "pmra_error", "pmdec_error")
"""mas / yr."""


@cache
def globular_clusters() -> tuple[ClusterFacts, ...]:
    """Globular clusters whose members xpfit can find, as `ClusterFacts` tells."""
    table = Table.read(FACTS, format="ascii.csv")
    rows = (dict(zip(table.colnames, row, strict=True)) for row in table.iterrows())
    return tuple(
        ClusterFacts(str(row.pop("name")), **{k: float(v) for k, v in row.items()}) for row in rows
    )


def attach_motions(fitted: Table, astrometry: Table) -> Table:
    """Add proper motions, and positions that are measured, from a table of gaia_source.

    Parameters
    ----------
    fitted, astrometry : astropy.table.Table
        Catalogue, and rows of gaia_source with `MOTIONS`.

    Returns
    -------
    astropy.table.Table
        A copy with all rows of the catalogue; NaN for stars that are not in the other table.

    Raises
    ------
    InputError
        If a column is missing or has another unit, or none of the stars is in the table.
    """
    what = name_of(astrometry, "the table of astrometry")
    key = Key(astrometry, what)
    columns, _ = known_columns(astrometry, ("ra", "dec", "pmra", "pmdec"), what)
    for name in ("pmra", "pmdec"):
        found = find_column(astrometry, error_names(*MEANINGS[name].names), what)
        if name not in columns or found is None:
            raise InputError(f"{what}: needs columns {', '.join(MOTIONS)} to find members by")
        meaning = Meaning(f"{name}_error", f"error of {name}", "mas / yr", 0.0, 1e4, ())
        where = f"{what}: column {found}"
        columns[f"{name}_error"], _ = possible_values(astrometry[found], meaning, where)
    rows, matched = key.rows(integer_ids(fitted, "the catalogue"))
    key.check()
    joined = fitted.copy()
    for name, values in columns.items():
        here = matched_values(values, rows, matched)
        if name in ("ra", "dec") and name in joined.colnames:
            here = np.where(np.isfinite(here), here, float_column(joined[name]))
        joined[name] = here
    return joined


def separation(fitted: Table, facts: ClusterFacts) -> np.ndarray:
    """Distance of stars from the centre of a cluster in arcmin, shape (n_star,)."""
    ra, dec = (np.nan_to_num(float_column(fitted[name])) for name in ("ra", "dec"))
    centre = SkyCoord(facts.ra * u.deg, facts.dec * u.deg)
    known = np.isfinite(float_column(fitted["ra"])) & np.isfinite(float_column(fitted["dec"]))
    angle = SkyCoord(ra * u.deg, dec * u.deg).separation(centre).arcmin
    return np.where(known, angle, np.inf)


def motion_chi2(fitted: Table, facts: ClusterFacts) -> np.ndarray:
    """Squared distance of proper motions from a cluster's, in their errors and its dispersion."""
    chi2 = np.zeros(len(fitted))
    for name in ("pmra", "pmdec"):
        error = np.hypot(float_column(fitted[f"{name}_error"]), facts.motion_dispersion)
        chi2 = chi2 + ((float_column(fitted[name]) - getattr(facts, name)) / error) ** 2
    return np.where(np.isfinite(chi2), chi2, np.inf)


def members_of(fitted: Table, facts: ClusterFacts) -> Cluster:
    """The stars of a catalogue that are taken for members of a globular cluster.

    Parameters
    ----------
    fitted : astropy.table.Table
        Catalogue with `MOTIONS`, see `attach_motions`.
    facts : ClusterFacts

    Returns
    -------
    Cluster
        Of stars between `r_in` and `r_out` from the centre (as ZGR23 do, fig. 19), whose proper
        motion is within 3 sigma of the cluster's, errors and dispersion together, and whose
        measured parallax is within 5 of its errors.

    Raises
    ------
    InputError
        If the catalogue has no proper motions.
    """
    missing = [name for name in ("ra", "dec", *MOTIONS) if name not in fitted.colnames]
    if missing:
        raise InputError(
            f"the catalogue lacks {', '.join(missing)}, by which members of clusters are found; "
            "give rows of gaia_source with --astrometry"
        )
    angle = separation(fitted, facts)
    keep = (angle > facts.r_in) & (angle < facts.r_out)
    keep &= motion_chi2(fitted, facts) < MAX_SIGMA**2
    pull = float_column(fitted["gaia_parallax"]) - facts.parallax
    with np.errstate(invalid="ignore", divide="ignore"):
        pull = pull / float_column(fitted["gaia_parallax_error"])
    keep &= ~(np.abs(pull) > MAX_PARALLAX_SIGMA)
    ids = integer_ids(fitted, "the catalogue")[keep]
    return Cluster(facts.name, facts.parallax, ids, facts)


def read_members(path: str | os.PathLike) -> list[Cluster]:
    """Clusters of a list of members, such as ``data/open_cluster_members.csv``.

    Parameters
    ----------
    path : path-like
        Table with `cluster`, source ids and the cluster's `parallax` (or `plx`) in mas.

    Returns
    -------
    list of Cluster

    Raises
    ------
    FileNotFoundError, InputError
        If the file cannot be read, or a column is missing or in a wrong unit.
    """
    table, what = read_table(path), str(path)
    columns, _ = known_columns(table, ["parallax"], what)
    if "cluster" not in table.colnames or "parallax" not in columns:
        raise InputError(f"{what}: a list of members needs columns cluster, source_id and parallax")
    names = np.char.strip(np.asarray(table["cluster"]).astype(str))
    ids = integer_ids(table, what)
    return [
        Cluster(str(name), float(np.nanmedian(columns["parallax"][names == name])),
                ids[names == name])
        for name in np.unique(names)
    ]  # fmt: skip


def clusters_in(fitted: Table, clusters: Iterable[Cluster | ClusterFacts]) -> list[Cluster]:
    """Those clusters of which a catalogue has members, with them.

    Parameters
    ----------
    fitted : astropy.table.Table
    clusters : iterable of Cluster or ClusterFacts

    Returns
    -------
    list of Cluster

    Raises
    ------
    InputError
        If there is none, or as `members_of`.
    """
    ids = integer_ids(fitted, "the catalogue")
    found = [members_of(fitted, c) if isinstance(c, ClusterFacts) else c for c in clusters]
    found = [cluster for cluster in found if np.isin(cluster.members, ids).any()]
    if not found:
        raise InputError("no star of the catalogue is a member of any of the clusters")
    return found


def find_clusters(
    fitted: Table, members: str | os.PathLike | None = None, astrometry: Table | None = None
) -> tuple[Table, list[Cluster]]:
    """A catalogue's stars in clusters.

    Parameters
    ----------
    fitted : astropy.table.Table
        Catalogue.
    members : path-like, optional
        List of members (see `read_members`); by default members of the known globular clusters are
        found.
    astrometry : astropy.table.Table, optional
        Rows of gaia_source with proper motions, unless the catalogue has them.

    Returns
    -------
    fitted : astropy.table.Table
        The catalogue, with proper motions.
    clusters : list of Cluster

    Raises
    ------
    InputError
        As `clusters_in`, `attach_motions` and `read_members`.
    """
    if astrometry is not None:
        fitted = attach_motions(fitted, astrometry)
    known = read_members(members) if members else globular_clusters()
    return fitted, clusters_in(fitted, known)
