"""A prior by which the extinction curve is alike for stars in the same part of the sky.

xi of a star is the sum of a smooth function of the direction and of its own deviation. The function
is a Gaussian process over HEALPix cells, of variance `share`, correlated over `scale`; deviations
are independent, of variance 1 - `share`, so that xi has variance one for each star, as without this
prior. The stars of the same and of neighbouring cells then tell what to expect of a star.
"""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy_healpix import HEALPix

MAX_NSIDE = 16
"""Of the cells: with all 3,072 of them, a matrix of 75 MB."""

CELLS_PER_SCALE = 2.0
"""Cells are smaller than the correlation length by this factor, if `MAX_NSIDE` allows."""


class SkyPrior:
    """The prior of xi for stars at given positions.

    Parameters
    ----------
    ra, dec : ndarray, shape (n_star,)
        Degrees; NaN where unknown: such stars have the prior of a star anywhere.
    share : float
        Part of the variance of xi that is smooth over the sky, between 0 and 1.
    scale : float
        Degrees; angle at which the correlation has fallen to exp(-1/2).
    """

    def __init__(self, ra: np.ndarray, dec: np.ndarray, share: float, scale: float):
        side = np.degrees(np.sqrt(np.pi / 3.0))  # of a cell of nside 1
        wanted = 2 ** int(np.ceil(np.log2(max(CELLS_PER_SCALE * side / scale, 1.0))))
        healpix = HEALPix(nside=min(wanted, MAX_NSIDE), order="nested")
        self.share = share
        self.cell = np.full(len(ra), -1)
        known = np.isfinite(ra) & np.isfinite(dec)
        cells = healpix.lonlat_to_healpix(ra[known] * u.deg, dec[known] * u.deg)
        used, self.cell[known] = np.unique(cells, return_inverse=True)
        lon, lat = (x.to_value(u.rad) for x in healpix.healpix_to_lonlat(used))
        unit = np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
        # A function of the chord is positive definite on the sphere; it is the angle where small.
        squared = 2.0 - 2.0 * unit @ unit.T
        self.covariance = share * np.exp(-0.5 * squared / np.radians(scale) ** 2)

    def given_the_others(
        self, xi: np.ndarray, information: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Prior of each star's xi, from what is known of all other stars.

        Parameters
        ----------
        xi : ndarray, shape (n_star,)
            Best values by each star's own data, without a prior.
        information : ndarray, shape (n_star,)
            Inverse variance of these; zero where the data say nothing.

        Returns
        -------
        mean, variance : ndarray, shape (n_star,)
            Of the prior. With the star's own data it gives the posterior of the joint Gaussian of
            all stars, without counting any data twice.
        """
        own = 1.0 - self.share
        mean, variance = np.zeros(len(xi)), np.ones(len(xi))
        inside = self.cell >= 0
        if not inside.any():
            return mean, variance
        cell = self.cell[inside]
        # Information on the cell's value: the star's deviation is noise to it.
        weight = information[inside] / (1.0 + own * information[inside])
        n = len(self.covariance)
        total = np.bincount(cell, weight, n)
        pull = np.bincount(cell, weight * xi[inside], n)
        # (K^-1 + W)^-1 = K - K (I + W K)^-1 W K, without the inverse of K.
        inner = np.linalg.solve(
            np.eye(n) + total[:, None] * self.covariance, total[:, None] * self.covariance
        )
        posterior = self.covariance - self.covariance @ inner
        value, spread = (posterior @ pull)[cell], np.diag(posterior)[cell]
        # The star itself taken out again.
        rest = 1.0 / spread - weight
        mean[inside] = (value / spread - weight * xi[inside]) / rest
        variance[inside] = 1.0 / rest + own
        return mean, variance
