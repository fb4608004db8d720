"""Extinction and parallax of single stars with their covariance, as makers of 3D dust maps take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy_healpix import HEALPix

from ..catalogue import add_column
from ..catalogue.cuts import passes
from ..catalogue.describe import Description, describe
from ..errors import InputError
from ..quantities import STELLAR_PARAMETERS
from ..read.tables import float_column
from ..releases import id_column_of
from ..validate.metrics import require_columns

NSIDE = 1024
"""Of the HEALPix cells, 3.4 arcmin."""

MAX_PARALLAX_REL_ERR = 0.33
"""Largest error of the parallax over the parallax (ZGR23's of their bird's-eye view)."""

CUTS = ("reliable",)
"""Cuts (`xpfit.catalogue.cuts`) that stars for maps pass."""

_DUST = "amount of dust E of the model, close to E(B-V)"
_MODULUS = "distance modulus 10 - 5 lg (parallax / mas)"

COLUMNS = {
    "l": Description("Galactic longitude", "pos.galactic.lon", u.deg),
    "b": Description("Galactic latitude", "pos.galactic.lat", u.deg),
    "healpix": Description("HEALPix cell (nested, Galactic); nside is NSIDE", "pos.healpix"),
    "parallax": Description("from spectrum and astrometry", "pos.parallax", u.mas),
    "extinction": Description(_DUST, "phys.absorption;em.opt", u.mag),
    "parallax_var": Description("variance of parallax", "stat.variance", u.mas**2),
    "extinction_var": Description("variance of extinction", "stat.variance", u.mag**2),
    "parallax_extinction_cov": Description(
        "covariance of parallax and extinction", "stat.covariance", u.mas * u.mag
    ),
    "distance_modulus": Description(_MODULUS, "phot.mag.distMod", u.mag),
    "distance_modulus_var": Description(
        "variance of distance_modulus, to first order", "stat.variance", u.mag**2
    ),
    "distance_modulus_extinction_cov": Description(
        "covariance of distance_modulus and extinction, to first order",
        "stat.covariance",
        u.mag**2,
    ),
}
"""Of the table for maps, after the source id."""


def iterate_for_maps(
    tables: Iterable[Table],
    *,
    cuts: Sequence[str] = CUTS,
    max_parallax_rel_err: float = MAX_PARALLAX_REL_ERR,
    nside: int = NSIDE,
) -> Iterator[Table]:
    """Tables for maps of dust from parts of a catalogue.

    Parameters
    ----------
    tables : iterable of astropy.table.Table
        Of fits by a model with luminosities.
    cuts : sequence of str
        Names in `xpfit.catalogue.cuts.CUTS`.
    max_parallax_rel_err : float
        Largest error of the parallax, over the parallax.
    nside : int
        Of the HEALPix cells, a power of two.

    Yields
    ------
    astropy.table.Table
        Source id and the columns `COLUMNS` of the stars that pass the cuts, with position,
        positive parallax and a covariance of E and parallax that is positive definite. The cuts
        are in the metadata (`CUTS`, `MAXPLXER`, `NSIDE`).

    Raises
    ------
    InputError
        If columns are missing, `nside` is no power of two, or the fits have no parallaxes.
    """
    if nside < 1 or nside & (nside - 1):
        raise InputError(f"nside must be a power of two, such as {NSIDE}, got {nside}")
    if not max_parallax_rel_err > 0:
        raise InputError(f"the error of the parallax must be positive: {max_parallax_rel_err:g}")
    healpix = HEALPix(nside=nside, order="nested", frame="galactic")
    for table in tables:
        if not table.meta.get("ABSOLUTE", True):
            raise InputError(
                "the catalogue has no parallaxes, because its model has no luminosities; fit with "
                "a model that has"
            )
        part = _columns(table, cuts, max_parallax_rel_err, healpix)
        part.meta.update(CUTS=",".join(cuts), MAXPLXER=max_parallax_rel_err, NSIDE=nside)
        yield part


def _columns(
    table: Table, cuts: Sequence[str], max_parallax_rel_err: float, healpix: HEALPix
) -> Table:
    """Columns of the stars that pass."""
    require_columns(table, ("ra", "dec", "extinction", "parallax", "stellar_params_cov_triu"))
    value = {n: float_column(table[n]) for n in ("ra", "dec", "extinction", "parallax")}
    variance = _covariance(table)
    parallax, dust = value["parallax"], value["extinction"]
    with np.errstate(invalid="ignore"):
        keep = passes(table, cuts) & (parallax > 0) & np.isfinite(dust)
        keep &= np.isfinite(value["ra"]) & np.isfinite(value["dec"])
        keep &= variance["parallax"] < (max_parallax_rel_err * parallax) ** 2
        determinant = variance["parallax"] * variance["extinction"] - variance["both"] ** 2
        keep &= (variance["extinction"] > 0) & (determinant > 0)
    stars = np.flatnonzero(keep)
    at = SkyCoord(value["ra"][stars] * u.deg, value["dec"][stars] * u.deg, frame="icrs").galactic
    parallax, dust = parallax[stars], dust[stars]
    variance = {name: values[stars] for name, values in variance.items()}
    # d modulus / d parallax
    slope = -5.0 / (np.log(10.0) * parallax)
    columns = {
        "l": at.l.deg,
        "b": at.b.deg,
        "healpix": healpix.skycoord_to_healpix(at).astype(np.int64),
        "parallax": parallax,
        "extinction": dust,
        "parallax_var": variance["parallax"],
        "extinction_var": variance["extinction"],
        "parallax_extinction_cov": variance["both"],
        "distance_modulus": 10.0 - 5.0 * np.log10(parallax),
        "distance_modulus_var": slope**2 * variance["parallax"],
        "distance_modulus_extinction_cov": slope * variance["both"],
    }
    name = id_column_of(table.colnames)
    result = Table(meta=dict(table.meta))
    add_column(result, name, np.asarray(table[name])[stars], describe(name))
    for name, values in columns.items():
        add_column(result, name, values, COLUMNS[name])
    return result


def _covariance(table: Table) -> dict[str, np.ndarray]:
    """Variances of parallax and extinction, and their covariance, as the catalogue gives them."""
    packed = np.ma.filled(np.ma.asarray(table["stellar_params_cov_triu"]).astype(float), np.nan)
    rows, columns = np.triu_indices(len(STELLAR_PARAMETERS))
    if packed.shape[1:] != rows.shape:
        raise InputError(
            f"stellar_params_cov_triu has shape {packed.shape}, expected {len(rows)} values a star"
        )
    dust, parallax = (STELLAR_PARAMETERS.index(n) for n in ("extinction", "parallax"))
    place = {
        "extinction": (dust, dust), "parallax": (parallax, parallax), "both": (dust, parallax)
    }  # fmt: skip
    return {
        name: packed[:, np.flatnonzero((rows == i) & (columns == j))[0]]
        for name, (i, j) in place.items()
    }
