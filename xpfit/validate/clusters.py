"""Globular clusters, whose stars are at one distance: a check on the parallaxes of faint stars."""

from __future__ import annotations

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
    """

    name: str
    parallax: float
    members: np.ndarray


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
