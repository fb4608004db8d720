"""Unresolved binaries among solar-type stars of a catalogue (ZGR23, fig. 4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from ..data import UNRELIABLE, FitFlag, QualityFlag, has_flag
from ..errors import InputError
from ..read.tables import float_column
from ..statistics import robust_width
from .metrics import require_columns

COLUMNS = (
    "ref_teff", "ref_feh", "ref_logg", "ref_logg_err", "logg", "logg_err", "parallax_tension",
    "absolute_magnitude_g", "parallax", "gaia_parallax",
)  # fmt: skip

SOLAR_TYPE = {"teff": (5750.0, 450.0), "logg": (4.4, 0.3), "feh": (0.0, 0.4)}
"""Centre and half width of the reference labels. Those of ZGR23's eq. 16 (5700 +- 50 K, 4.5 and
0.0 +- 0.1) hold too few stars of small samples."""

LIMIT = 3.5
"""Sigma in parallax and log g together, beyond which ZGR23 take a star for a binary."""


N_FITS = 5
"""Linear fits of the absolute magnitude, each to the bulk about the last."""


@dataclass(frozen=True)
class Tensions:
    """Solar-type stars with measured parallaxes, shape (n_star,) each.

    Attributes
    ----------
    tension : ndarray
        Parallax from the spectrum alone minus the measured one, in sigma.
    logg_pull : ndarray
        Fitted minus reference log g, in their common error.
    excess : ndarray
        M_G without dust at the measured parallax, less that of stars with the same reference
        labels, mag. That of a pair of equal stars is -0.75. (The fitted parallax, between the
        measured one and the spectrum's, has absorbed part of the excess.)
    """

    tension: np.ndarray
    logg_pull: np.ndarray
    excess: np.ndarray

    @property
    def binary(self) -> np.ndarray:
        """Stars that are too luminous for their spectrum or log g, bool."""
        too_luminous = self.tension > self.logg_pull
        return too_luminous & (np.hypot(self.tension, self.logg_pull) > LIMIT)


def tensions(tables: Iterable[Table]) -> Tensions:
    """Parallax tension and offset in log g of the solar-type stars of a catalogue.

    Parameters
    ----------
    tables : iterable of astropy.table.Table
        Parts of a catalogue with reference labels and measured parallaxes.

    Returns
    -------
    Tensions
        Of stars with converged fits in the trained range, whatever their chi2 and parallax.

    Raises
    ------
    InputError
        If columns are missing, or there is no such star.
    """
    parts = [_of_table(table) for table in tables]
    values = {name: np.concatenate([part[name] for part in parts]) for name in COLUMNS}
    if not len(values["logg"]):
        raise InputError(
            "this catalogue has no solar-type stars with reference labels, a measured parallax and "
            "an absolute magnitude"
        )
    error = np.hypot(values["logg_err"], values["ref_logg_err"])
    pull = (values["logg"] - values["ref_logg"]) / error
    return Tensions(values["parallax_tension"], pull, _excess(values))


def _excess(values: dict[str, np.ndarray]) -> np.ndarray:
    """Absolute magnitudes less a linear function of the reference labels, fitted to the bulk."""
    ratio = values["gaia_parallax"] / values["parallax"]
    magnitude = values["absolute_magnitude_g"] + 5.0 * np.log10(ratio)
    terms = [np.ones(len(magnitude))]
    terms += [(values[f"ref_{name}"] - at) / width for name, (at, width) in SOLAR_TYPE.items()]
    design, rest = np.stack(terms, axis=1), magnitude - np.median(magnitude)
    for _ in range(N_FITS):
        bulk = np.abs(rest - np.median(rest)) <= 2.0 * robust_width(rest)
        rest = magnitude - design @ np.linalg.lstsq(design[bulk], magnitude[bulk], rcond=None)[0]
    return rest - np.median(rest)


def _of_table(table: Table) -> dict[str, np.ndarray]:
    """Columns of the solar-type stars of one part."""
    require_columns(table, COLUMNS)
    values = {name: float_column(table[name]) for name in COLUMNS}
    keep = np.all([np.isfinite(column) for column in values.values()], axis=0)
    for label, (centre, width) in SOLAR_TYPE.items():
        keep &= np.abs(values[f"ref_{label}"] - centre) < width
    keep &= (values["gaia_parallax"] > 0) & (values["parallax"] > 0)
    # A discrepant parallax, and a spectrum that one star cannot have, are looked for here.
    keep &= ~has_flag(table["fit_flags"], UNRELIABLE & ~FitFlag.PARALLAX_TENSION)
    keep &= ~has_flag(table["quality_flags"], QualityFlag.LOW_PRIOR)
    return {name: column[keep] for name, column in values.items()}
