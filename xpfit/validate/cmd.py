"""Colour-absolute-magnitude diagram of a catalogue, by measured and by fitted parallaxes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
from astropy.table import Table

from ..catalogue.cuts import passes
from ..errors import InputError
from ..read.tables import float_column
from .metrics import require_columns

COLUMNS = (
    "phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag", "feh", "parallax", "gaia_parallax",
    "absolute_magnitude_g",
)  # fmt: skip

BP_RP_PER_AG = 0.49
"""E(BP - RP) / A_G, (3.374 - 2.035) / 2.740, at 5000 to 6000 K (Casagrande & VandenBerg 2018).

For stars of 3500 to 10,000 K it differs by less than a tenth.
"""


@dataclass(frozen=True)
class ColourMagnitude:
    """Stars in the colour-absolute-magnitude diagram, shape (n_star,) each.

    Attributes
    ----------
    colour : ndarray
        BP - RP without dust, mag.
    magnitude : ndarray
        M_G at the fitted parallax, mag.
    magnitude_measured : ndarray
        M_G at the measured parallax, with the same extinction; NaN without a positive one.
    feh : ndarray
    """

    colour: np.ndarray
    magnitude: np.ndarray
    magnitude_measured: np.ndarray
    feh: np.ndarray

    @property
    def has_measured(self) -> bool:
        """Whether any star has a measured parallax."""
        return bool(np.isfinite(self.magnitude_measured).any())


def colour_magnitude(tables: Iterable[Table]) -> ColourMagnitude:
    """Colours and absolute magnitudes of the reliable stars of a catalogue.

    Parameters
    ----------
    tables : iterable of astropy.table.Table
        Parts of a catalogue of an absolute model, with Gaia's magnitudes.

    Returns
    -------
    ColourMagnitude

    Raises
    ------
    InputError
        If columns are missing, or no reliable star has a colour and an absolute magnitude.

    Notes
    -----
    A_G is what lies between G, M_G and the fitted parallax; the colour excess follows from it by
    `BP_RP_PER_AG`.
    """
    parts = [_of_table(table) for table in tables]
    joined = {
        f.name: np.concatenate([getattr(part, f.name) for part in parts])
        for f in fields(ColourMagnitude)
    }
    if not len(joined["colour"]):
        raise InputError(
            "no reliable star of this catalogue has BP, RP and an absolute magnitude: give 'xpfit "
            "fit' or 'run' Gaia's magnitudes (--astrometry), and a model that knows luminosities"
        )
    return ColourMagnitude(**joined)


def _of_table(table: Table) -> ColourMagnitude:
    """The stars of one part."""
    require_columns(table, COLUMNS)
    g, bp, rp, feh, fitted, measured, magnitude = (float_column(table[name]) for name in COLUMNS)
    with np.errstate(invalid="ignore", divide="ignore"):
        extinction = g + 5.0 * np.log10(fitted / 100.0) - magnitude
        positive = np.where(measured > 0, measured, np.nan)
        by_measured = g + 5.0 * np.log10(positive / 100.0) - extinction
    colour = bp - rp - BP_RP_PER_AG * extinction
    keep = np.isfinite(colour) & np.isfinite(magnitude) & passes(table, ["reliable"])
    values = (colour, magnitude, by_measured, feh)
    return ColourMagnitude(*(x[keep].astype(np.float32) for x in values))
