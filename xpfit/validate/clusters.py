"""Clusters, whose stars are at one distance: a check on the parallaxes of faint stars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from ..catalogue.cuts import passes
from ..errors import InputError
from ..read.joins import integer_ids
from ..read.tables import float_column
from .metrics import residual_numbers

MIN_REL_ERR = 0.2
"""Errors of Gaia's parallaxes, over the cluster's parallax, above which stars are compared: where
the spectrum has something to add (ZGR23, fig. 19)."""


KM_S_PER_MAS_YR_KPC = 4.74047
"""Speed of a star at 1 kpc that moves by 1 mas / yr."""


@dataclass(frozen=True)
class ClusterFacts:
    """Where a globular cluster is, and which stars are taken for its members.

    Attributes
    ----------
    name : str
    ra, dec : float
        Degrees.
    distance : float
        kpc (Baumgardt & Vasiliev 2021).
    pmra, pmdec, parallax : float
        mas / yr and mas (Vasiliev & Baumgardt 2021, MNRAS 505, 5978, as in the input.txt of their
        GaiaTools).
    sigma : float
        Central velocity dispersion in km / s (Baumgardt et al. 2019, MNRAS 482, 5138).
    r_in, r_out : float
        arcmin, between which members are: the half-light radius (Harris 1996, edition of 2010),
        inside of which stars are crowded, and that of Vasiliev & Baumgardt's search.
    feh, ebv : float
        [Fe/H] and E(B-V) (Harris 1996, edition of 2010).
    """

    name: str
    ra: float
    dec: float
    distance: float
    pmra: float
    pmdec: float
    parallax: float
    sigma: float
    r_in: float
    r_out: float
    feh: float
    ebv: float

    @property
    def motion_dispersion(self) -> float:
        """Dispersion of proper motions, mas / yr."""
        return self.sigma / (KM_S_PER_MAS_YR_KPC * self.distance)


@dataclass(frozen=True)
class Cluster:
    """A cluster and its stars.

    Attributes
    ----------
    name : str
    parallax : float
        mas, of the centre, such as Vasiliev & Baumgardt's (2021).
    members : ndarray of int64
        Source ids, selected for instance by position and proper motion, outside the crowded centre.
    facts : ClusterFacts, optional
        By which they were selected (`xpfit.validate.membership`).
    """

    name: str
    parallax: float
    members: np.ndarray
    facts: ClusterFacts | None = None


@dataclass
class ClusterParallaxes:
    """Parallaxes of the faint members of one cluster.

    Attributes
    ----------
    cluster : Cluster
    fitted, fitted_err, observed, observed_err : ndarray, shape (n_member,)
        mas: of spectrum and astrometry together, and Gaia's own.
    """

    cluster: Cluster
    fitted: np.ndarray
    fitted_err: np.ndarray
    observed: np.ndarray
    observed_err: np.ndarray

    def numbers(self) -> dict[str, dict[str, float | int | None]]:
        """Of the fitted and of Gaia's parallaxes: `n`, `bias`, `scatter` (mas), `pull` width."""
        parallax = self.cluster.parallax
        fitted, observed = self.fitted - parallax, self.observed - parallax
        return {
            "fitted": residual_numbers(fitted, fitted / self.fitted_err),
            "gaia": residual_numbers(observed, observed / self.observed_err),
        }


def cluster_parallaxes(table: Table, cluster: Cluster) -> ClusterParallaxes:
    """Parallaxes of a cluster's faint and well fitted members (ZGR23, section 5.2 and fig. 19).

    Parameters
    ----------
    table : astropy.table.Table
        Catalogue of a model with luminosities.
    cluster : Cluster

    Returns
    -------
    ClusterParallaxes
        Of members that pass the basic cut with confidence in all three labels, and for which
        Gaia's error is above a fifth of the cluster's parallax.

    Raises
    ------
    InputError
        If columns are missing, or no member is in the catalogue.
    """
    rows = np.isin(integer_ids(table, "the catalogue"), cluster.members)
    if not rows.any():
        raise InputError(f"{cluster.name}: none of its members is in the catalogue; check the ids")
    part = table[rows]
    names = ("parallax", "parallax_err", "gaia_parallax", "gaia_parallax_error")
    columns = [float_column(part[name]) for name in names]
    keep = passes(part, ["confident"]) & np.isfinite(columns).all(axis=0)
    keep &= columns[3] > MIN_REL_ERR * cluster.parallax
    return ClusterParallaxes(cluster, *(values[keep] for values in columns))


def cluster_numbers(table: Table, clusters: Sequence[Cluster]) -> dict[str, dict]:
    """Parallaxes of clusters' faint members, and their [Fe/H] and E beside the literature.

    Parameters
    ----------
    table : astropy.table.Table
        Catalogue of a model with luminosities.
    clusters : sequence of Cluster
        With members in the catalogue.

    Returns
    -------
    dict
        By cluster: `parallax` (mas) and `n_member`; `fitted` and `gaia` (see
        `ClusterParallaxes.numbers`); `feh` and `extinction`, each with `n`, `median`, `scatter` and
        `literature` (None where it is not known), of members that pass the basic cut with
        confidence in [Fe/H].

    Raises
    ------
    InputError
        As `cluster_parallaxes`.
    """
    ids, confident = integer_ids(table, "the catalogue"), passes(table, ["feh"])
    numbers = {}
    for cluster in clusters:
        rows = np.isin(ids, cluster.members)
        entry = {"parallax": cluster.parallax, "n_member": int(rows.sum())}
        entry |= cluster_parallaxes(table, cluster).numbers()
        for name, known in (("feh", "feh"), ("extinction", "ebv")):
            values = float_column(table[name])[rows & confident]
            values = values[np.isfinite(values)]
            found = residual_numbers(values, values)
            literature = getattr(cluster.facts, known, None)
            entry[name] = {
                "n": found["n"], "median": found["bias"], "scatter": found["scatter"],
                "literature": literature,
            }  # fmt: skip
        numbers[cluster.name] = entry
    return numbers
