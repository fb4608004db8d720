"""Fraction of reliable fits over the colour-absolute-magnitude diagram (ZGR23, fig. 18)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from astropy.table import Table

from ..catalogue.cuts import passes
from ..errors import InputError
from ..read.tables import float_column
from .metrics import require_columns

COLOUR_LIMITS, MAGNITUDE_LIMITS = (-1.0, 6.0), (-6.0, 17.0)
"""BP - RP and absolute G that the diagram shows, as ZGR23's fig. 18."""

BIN_SIZES = (0.1, 0.25)
"""mag, of the cells in colour and magnitude."""

COLUMNS = (
    "phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag", "parallax", "gaia_parallax",
)  # fmt: skip

MIN_IN_CELL = 3
"""Sources without which a cell's fraction is not shown."""


def reliable_fraction(
    tables: Iterable[Table],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Fraction of sources that pass the basic cut, over the colour-absolute-magnitude diagram.

    Parameters
    ----------
    tables : iterable of astropy.table.Table
        Parts of a catalogue, with Gaia's magnitudes. The absolute magnitude is that at the fitted
        parallax, or at the observed one if the model has no luminosities; sources without colour
        or parallax are left out.

    Returns
    -------
    fraction : ndarray, shape (n_colour, n_magnitude)
        NaN in cells with fewer than three sources.
    count : ndarray of int, shape (n_colour, n_magnitude)
    colour_edges, magnitude_edges : ndarray

    Raises
    ------
    InputError
        If columns are missing, or no source has colour and parallax.
    """
    edges = [
        np.arange(low, high + 0.5 * size, size)
        for (low, high), size in zip((COLOUR_LIMITS, MAGNITUDE_LIMITS), BIN_SIZES, strict=True)
    ]
    count = passed = np.zeros((len(edges[0]) - 1, len(edges[1]) - 1))
    for table in tables:
        require_columns(table, COLUMNS)
        g, bp, rp, fitted, observed = (float_column(table[name]) for name in COLUMNS)
        parallax = np.where(np.isfinite(fitted), fitted, observed)
        parallax = np.where(parallax > 0, parallax, np.nan)
        colour, magnitude = bp - rp, g + 5.0 * np.log10(parallax / 100.0)
        known = np.isfinite(colour) & np.isfinite(magnitude)
        good = known & passes(table, ["basic"])
        count = count + np.histogram2d(colour[known], magnitude[known], edges)[0]
        passed = passed + np.histogram2d(colour[good], magnitude[good], edges)[0]
    if not count.any():
        raise InputError(
            "no source of this catalogue has a colour and a parallax: give 'xpfit run' or 'fit' "
            "the rows of gaia_source with --astrometry"
        )
    fraction = np.where(count >= MIN_IN_CELL, passed / np.maximum(count, 1), np.nan)
    return fraction, count.astype(int), *edges
