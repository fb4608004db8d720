"""Wavelengths, photometric bands, zero points, the flux unit and the reference parallax."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FLUX_UNIT_SI = 1e-18
"""One unit of `flux` inside xpfit, in W m-2 nm-1."""

AB_ZERO_POINT_SI = 3631e-26
"""Flux density of AB magnitude zero, 3631 Jy, in W m-2 Hz-1."""

SPEED_OF_LIGHT = 299_792_458.0
"""m s-1."""

REFERENCE_PARALLAX = 1.0
"""Parallax (mas) of the distance, 1 kpc, at which `absolute flux` is given."""

SOLAR_LUMINOSITY = 3.828e26
"""W: the nominal luminosity of the Sun (IAU 2015, resolution B3)."""

SOLAR_TEFF, SOLAR_LOGG = 5.772, 4.438
"""The nominal Teff (kK) and log g of the Sun (IAU 2015, resolution B3)."""

PARSEC = 3.085_677_581_491_367e16
"""m."""

MAD_TO_SIGMA = 1.4826
"""Standard deviation of a Gaussian over its median absolute deviation."""

LN_PER_MAG = 0.4 * np.log(10.0)
"""Natural-log units of flux per magnitude (0.921)."""

AK_PER_EXTINCTION = 0.36
"""A(Ks) in mag for unit `extinction`, which is so normalised to be close to E(B-V).

CCM89 with R(V) = 3.1 gives 0.363 at 2.159 um.
"""

XP_WAVELENGTH = np.arange(392.0, 993.0, 10.0)
"""The 61 wavelengths (nm) at which ZGR23 (section 2.1) sample XP spectra."""

AMPLITUDE_WINDOW = (592.0, 782.0)
"""Wavelengths (nm) that are well measured in every XP spectrum.

ZGR23 (section 4.2) guess the parallax from them; for models without parallaxes they define the
amplitude gauge.
"""


@dataclass(frozen=True)
class Band:
    """A photometric band, treated as flux density at one wavelength (ZGR23, eq. 5).

    Attributes
    ----------
    name : str
    wavelength : float
        Central wavelength in nm.
    ab_offset : float
        AB minus Vega magnitude.
    """

    name: str
    wavelength: float
    ab_offset: float


BANDS = (
    Band("J", 1235.0, 0.91),
    Band("H", 1662.0, 1.39),
    Band("Ks", 2159.0, 1.85),
    Band("W1", 3352.6, 2.699),
    Band("W2", 4602.8, 3.339),
)
"""2MASS and (un)WISE bands in the order in which they follow the XP samples."""

WAVELENGTH = np.concatenate([XP_WAVELENGTH, [band.wavelength for band in BANDS]])
"""Wavelengths (nm) of the default data vector: 61 XP samples, then J, H, Ks, W1, W2."""

XP_WAVELENGTH.flags.writeable = False
WAVELENGTH.flags.writeable = False
