"""Colours, extinction and pseudo-absolute magnitudes as inputs (Fallows & Sanders 2024).

Their section 3 and appendix A. Bands are those of the data vector, in Vega magnitudes.
"""

from __future__ import annotations

import numpy as np

from ..constants import BANDS, LN_PER_MAG
from ..data import Spectra
from ..prepare.magnitudes import vega_zero_point

GAIA_COLOUR = "BP-RP"

COLOURS = (GAIA_COLOUR, "J-H", "H-W2", "W1-W2")
"""The four colours."""

AK_PER_EXCESS, INTRINSIC_COLOUR = 0.918, 0.08
"""A(Ks) per magnitude of H-W2 beyond that of stars without dust (Majewski et al. 2011, eq. 1)."""

ARP_PER_AK = 0.589 / 0.078
"""A(RP) over A(Ks), from both over A(V) (Wang & Chen 2019, table 3)."""

PIVOT_MAGNITUDE = 15.0
"""RP magnitude of stars whose pseudo-absolute magnitude is their parallax."""

_BANDS = {band.name: band for band in BANDS}


def colours(spectra: Spectra) -> np.ndarray:
    """Colours of stars.

    Parameters
    ----------
    spectra : Spectra
        BP and RP are magnitudes of `gaia`, the others bands of the data vector.

    Returns
    -------
    ndarray, shape (n_star, 4)
        The four `COLOURS` in mag; NaN where a band is unknown or not positive.
    """
    unknown = np.full(len(spectra), np.nan)
    bp, rp = (spectra.gaia.get(f"phot_{name}_mean_mag", unknown) for name in ("bp", "rp"))
    found = [bp - rp]
    for name in COLOURS[1:]:
        first, second = (_magnitude(spectra, band) for band in name.split("-"))
        found.append(first - second)
    return np.column_stack(found)


def colour_slopes(spectra: Spectra) -> np.ndarray:
    """Derivatives of the colours with respect to the data vector.

    Parameters
    ----------
    spectra : Spectra

    Returns
    -------
    ndarray, shape (n_star, 4, n_obs)
        Zero where a colour is unknown; of BP-RP, which is no part of the data vector.
    """
    slopes = np.zeros((len(spectra), len(COLOURS), spectra.space.n_obs))
    known = np.isfinite(colours(spectra))
    for i, name in enumerate(COLOURS[1:], 1):
        for sign, band in zip((-1.0, 1.0), name.split("-"), strict=True):
            channel = _channel(spectra, band)
            if channel is not None:
                rows = known[:, i]
                slopes[rows, i, channel] = sign / (LN_PER_MAG * spectra.flux[rows, channel])
    return slopes


def gaia_colour_err(spectra: Spectra) -> np.ndarray:
    """Standard error of BP-RP (mag), shape (n_star,); zero where Gaia's errors are unknown."""
    unknown = np.full(len(spectra), np.nan)
    ratios = [
        spectra.gaia.get(f"phot_{band}_mean_flux_over_error", unknown) for band in ("bp", "rp")
    ]
    with np.errstate(divide="ignore"):
        error = np.hypot(*(1.0 / (LN_PER_MAG * ratio) for ratio in ratios))
    return np.where(np.isfinite(error), error, 0.0)


def rp_extinction(spectra: Spectra) -> np.ndarray:
    """Extinction in RP from H-W2, which is nearly the same for all stars without dust.

    Parameters
    ----------
    spectra : Spectra

    Returns
    -------
    ndarray, shape (n_star,)
        mag, not negative; NaN where H or W2 is unknown.
    """
    excess = colours(spectra)[:, COLOURS.index("H-W2")] - INTRINSIC_COLOUR
    return ARP_PER_AK * AK_PER_EXCESS * np.maximum(excess, 0.0)


def pseudo_magnitude(spectra: Spectra, *, corrected: bool) -> tuple[np.ndarray, np.ndarray]:
    """Pseudo-absolute magnitude: parallax times 10^(0.2 G_RP) (eqs. 3 and A1).

    Parameters
    ----------
    spectra : Spectra
    corrected : bool
        Subtract `rp_extinction` from G_RP, as in appendix A.

    Returns
    -------
    value, error : ndarray, shape (n_star,)
        mas, of a star of RP = 15. NaN where unknown. The error is that of the parallax alone, as in
        the paper; that of the extinction follows from `pseudo_magnitude_slopes`.
    """
    unknown = np.full(len(spectra), np.nan)
    rp = spectra.gaia.get("phot_rp_mean_mag", unknown) - PIVOT_MAGNITUDE
    brightness = 10.0 ** (0.2 * (rp - rp_extinction(spectra) if corrected else rp))
    known = np.isfinite(spectra.parallax_err)
    parallax, error = (
        np.where(known, values, np.nan) for values in (spectra.parallax, spectra.parallax_err)
    )
    return parallax * brightness, error * brightness


def pseudo_magnitude_slopes(spectra: Spectra) -> np.ndarray:
    """Derivatives of the corrected pseudo-absolute magnitude with respect to the data vector.

    Parameters
    ----------
    spectra : Spectra

    Returns
    -------
    ndarray, shape (n_star, n_obs)
        Through the extinction: an error of 0.04 mag in H-W2 is one of 13 % here, which the paper
        neglects. Zero where there is no extinction, or the pseudo-absolute magnitude is unknown.
    """
    place = COLOURS.index("H-W2")
    value, _ = pseudo_magnitude(spectra, corrected=True)
    dusty = np.isfinite(value) & (colours(spectra)[:, place] > INTRINSIC_COLOUR)
    per_colour = -0.5 * LN_PER_MAG * np.where(dusty, value, 0.0) * ARP_PER_AK * AK_PER_EXCESS
    return per_colour[:, None] * colour_slopes(spectra)[:, place]


def _channel(spectra: Spectra, name: str) -> int | None:
    """Place of a band in the data vector; None if the space has no bands."""
    if not spectra.space.n_bands:
        return None
    return spectra.space.band_channel(_BANDS[name].wavelength)


def _magnitude(spectra: Spectra, name: str) -> np.ndarray:
    """Vega magnitudes in a band, NaN where unknown."""
    channel = _channel(spectra, name)
    if channel is None:
        return np.full(len(spectra), np.nan)
    known = np.isfinite(spectra.flux_err[:, channel]) & (spectra.flux[:, channel] > 0)
    flux = np.where(known, spectra.flux[:, channel], np.nan)
    return -np.log(flux / vega_zero_point(_BANDS[name])) / LN_PER_MAG
