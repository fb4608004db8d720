"""Attaching estimates of extinction from dust maps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..data import Spectra
from ..dust import (
    DustMap,
    DustTable,
    Estimates,
    NoEstimate,
    estimate_extinction,
    load_dust_map,
    star_positions,
)

KEPT = "with an estimate already, which is kept"


def attach_dust(
    spectra: Spectra,
    dust_map: DustMap | DustTable | object,
    positions: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[Spectra, Mapping[str, int]]:
    """Attach a dust map's estimates of E to the stars that have none.

    Parameters
    ----------
    spectra : Spectra
        With parallaxes (zero point subtracted), where there are some.
    dust_map : DustMap, DustTable, str, path-like or object
        As for `xpfit.dust.load_dust_map`.
    positions : tuple of ndarray of shape (n_star,), optional
        Right ascension and declination (deg, NaN where unknown) of stars that `spectra.gaia` has no
        position of. Where neither has one, it is that of the source id's HEALPix cell.

    Returns
    -------
    spectra : Spectra
        With `extinction` and `extinction_err`; NaN and infinity where the map has no estimate. An
        estimate that a star had before is kept.
    counts : mapping of str to int
        Number of stars with an estimate, and of those without by reason
        (`xpfit.dust.NoEstimate`).
    """
    dust_map = load_dust_map(dust_map)
    had = np.isfinite(spectra.extinction) & np.isfinite(spectra.extinction_err)
    if isinstance(dust_map, DustTable):
        extinction, error = dust_map.of(spectra.source_id, spectra.release)
        missing = np.isnan(extinction) * NoEstimate.NOT_COVERED
        found = Estimates(extinction, error, missing.astype(np.int8))
    else:
        ra, dec = star_positions(spectra, positions)
        found = estimate_extinction(dust_map, ra, dec, spectra.parallax, spectra.parallax_err)
    error = np.where(np.isfinite(found.extinction_err), found.extinction_err, np.inf)
    new = Estimates(found.extinction[~had], found.extinction_err[~had], found.reason[~had])
    counts = {**new.counts, **({KEPT: int(had.sum())} if had.any() else {})}
    attached = spectra.replace(
        extinction=np.where(had, spectra.extinction, found.extinction),
        extinction_err=np.where(had, spectra.extinction_err, error),
    )
    return attached, counts
