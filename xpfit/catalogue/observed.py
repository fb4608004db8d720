"""What Gaia has measured of the stars of a catalogue that does not tell it."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from ..model import XPModel
from ..model.absolute import extinction_in_g
from ..prepare.astrometry import Astrometry
from ..read.joins import integer_ids
from ..read.tables import float_column
from .columns import add_column

MAGNITUDES = ("phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag")


def attach_observed(table: Table, astrometry: Astrometry, model: XPModel) -> Table:
    """Add Gaia's parallax and magnitudes to a catalogue, and the absolute magnitude.

    Parameters
    ----------
    table : astropy.table.Table
        Catalogue, such as a published one.
    astrometry : Astrometry
        Table of gaia_source.
    model : XPModel
        For A_G of a star's type behind its dust, of which published catalogues have E alone.

    Returns
    -------
    astropy.table.Table
        A copy with `gaia_parallax` (zero point subtracted), `gaia_parallax_error`, magnitudes and
        `absolute_magnitude_g`; NaN for stars that are not in the table.

    Raises
    ------
    InputError
        If none is in it.
    """
    table = table.copy()
    columns = astrometry.of_sources(integer_ids(table, "the catalogue"))
    astrometry.key.check()
    error = columns["parallax_error"]
    add_column(table, "gaia_parallax", columns["parallax"])
    add_column(table, "gaia_parallax_error", np.where(np.isfinite(error), error, np.nan))
    unknown = np.full(len(table), np.nan)
    for name in MAGNITUDES:
        add_column(table, name, columns.get(name, unknown))
    add_column(table, "absolute_magnitude_g", _absolute(table, model))
    return table


def _absolute(table: Table, model: XPModel) -> np.ndarray:
    """G without dust at 10 pc, by the fitted parallax; labels that are not known count as zero."""
    linear = np.zeros((len(table), model.forward.n_stellar))
    for i, name in enumerate(model.parameter_names):
        if name in table.colnames:
            scale = 1e-3 if name == "teff" else 1.0
            linear[:, i] = scale * float_column(table[name])
    parallax = float_column(table["parallax"])
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = 5.0 * np.log10(np.where(parallax > 0, parallax, np.nan) / 100.0)
    known = np.isfinite(linear).all(axis=1)
    extinction = np.full(len(table), np.nan)
    extinction[known] = extinction_in_g(model, linear[known])
    return float_column(table["phot_g_mean_mag"]) + distance - extinction
