"""Unit, UCD and description of every column of a catalogue, and columns that carry them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import astropy.units as u
import numpy as np
from astropy.table import Column

from ..data.flags import DescribedFlag, FitFlag, QualityFlag
from ..quantities import BASIC_LABELS, QUANTITIES, STELLAR_PARAMETERS, quantity
from ..releases import RELEASES


@dataclass(frozen=True)
class Description:
    """Description of a column.

    Attributes
    ----------
    text : str
    ucd : str
        What kind of quantity it is, in the IVOA's vocabulary (UCD1+).
    unit : astropy.units.Unit or None
        None for pure numbers, for dex (which is no FITS unit; the text mentions it), and for arrays
        of different quantities.
    """

    text: str
    ucd: str = ""
    unit: u.UnitBase | None = None


def _bits(flags: type[DescribedFlag]) -> str:
    """Bits of a flag column and what they mean."""
    return "; ".join(f"{int(flag)}: {flag.text}" for flag in flags)


_FIVE = ", ".join(f"{q.title} in {q.unit_inside}" for q in map(quantity, STELLAR_PARAMETERS))
_ICRS = "(ICRS, from Gaia); of the HEALPix cell in the source id if fit_flags has 512"
_DISTANCE = "of the posterior of distance, from spectrum and observed parallax"
_AGREES = "probability that it agrees with a spectroscopic survey"
_COVARIANCE = "upper triangle of the covariance"
_INVERSE = "upper triangle of the inverse covariance"
_OPTIMUM = "of the loss at the best fit"

_ROWS = {
    **{
        release.id_column: (f"Gaia {name} source_id; 0 if unknown", "meta.id;meta.main")
        for name, release in RELEASES.items()
    },
    "ra": (f"right ascension {_ICRS}", "pos.eq.ra;meta.main", u.deg),
    "dec": (f"declination {_ICRS}", "pos.eq.dec;meta.main", u.deg),
    "stellar_params_est": (f"stellar parameters ({_FIVE})", "stat.fit.param"),
    "stellar_params_err": (
        f"standard errors of the stellar parameters ({_FIVE})", "stat.error;stat.fit.param"
    ),
    "chi2_opt": ("chi2 of the best fit", "stat.fit.chi2"),
    "ln_prior": (
        "ln of the prior density of stellar type (kK, dex) at the best fit", "stat.likelihood"
    ),
    **{
        f"{name}_confidence": (
            f"confidence in {quantity(name).title}: {_AGREES}",
            "stat.probability",
        )
        for name in BASIC_LABELS
    },
    "quality_flags": (_bits(QualityFlag), "meta.code.qual"),
    "stellar_params_icov_triu": (
        f"{_INVERSE} of the stellar parameters ({_FIVE})", "stat.covariance"
    ),
    "stellar_params_cov_triu": (
        f"{_COVARIANCE} of the stellar parameters ({_FIVE})", "stat.covariance"
    ),
    **{q.name: (q.description, q.ucd, q.table_unit) for q in QUANTITIES.values()},
    "r_v": ("R(V) of the CCM89 curve closest to that at xi", "phys.absorption"),
    "amplitude": (
        "geometric mean of the dust-free flux at 592-782 nm",
        "phot.flux.density;em.wl",
        u.W / u.m**2 / u.nm,
    ),
    "distance": (f"median {_DISTANCE}", "pos.distance;stat.median", u.kpc),
    "distance_lo": (f"16 % quantile {_DISTANCE}", "pos.distance;stat.min", u.kpc),
    "distance_hi": (f"84 % quantile {_DISTANCE}", "pos.distance;stat.max", u.kpc),
    "absolute_magnitude_g": (
        "absolute G without dust, at the fitted parallax", "phot.mag;em.opt", u.mag
    ),
    "ln_luminosity": (
        "ln of the bolometric luminosity at the fitted parallax, in solar luminosities",
        "phys.luminosity",
    ),
    "parallax_tension": (
        "parallax from the spectrum alone minus the observed one, in standard errors; large for "
        "unresolved binaries",
        "stat.fit.residual;pos.parallax",
    ),
    "all_params_icov_triu": (_INVERSE, "stat.covariance"),
    "all_params_cov_triu": (_COVARIANCE, "stat.covariance"),
    "fit_flags": (_bits(FitFlag), "meta.code.qual"),
    "n_obs": ("number of values used", "meta.number"),
    "status": ("0 converged, 1 not converged, 2 not fitted", "meta.code.status"),
    "n_iterations": ("steps of the optimiser over all starts", "meta.number"),
    "n_restarts": ("further starts of stars that had not converged", "meta.number"),
    "gradient_norm": (f"length of the standardised gradient {_OPTIMUM}", "stat.fit.residual"),
    "min_hessian_eigenvalue": (
        f"smallest eigenvalue of the standardised Hessian {_OPTIMUM}", "stat.fit"
    ),
    "second_mode": (
        "by how much ln posterior is lower at the second best mode; NaN if none was searched for "
        "or found",
        "stat.fit.goodness",
    ),
    "gaia_parallax": ("observed parallax, zero point subtracted", "pos.parallax.trig", u.mas),
    "gaia_parallax_error": ("its standard error", "stat.error;pos.parallax.trig", u.mas),
    "phot_g_mean_mag": ("Gaia G", "phot.mag;em.opt", u.mag),
    "phot_bp_mean_mag": ("Gaia BP", "phot.mag;em.opt.B", u.mag),
    "phot_rp_mean_mag": ("Gaia RP", "phot.mag;em.opt.R", u.mag),
    "correction_caution": (
        "codes of the flux correction; of huang2024 three digits, for C2, C3 and G, as its authors "
        "give them", "meta.code.qual"
    ),
    "ref_snr": ("signal-to-noise ratio of the reference spectrum", "stat.snr"),
    "_healpix_29": ("HEALPix cell of order 29 (nested, ICRS)", "pos.healpix"),
}  # fmt: skip

DESCRIPTIONS = {name: Description(*row) for name, row in _ROWS.items()}
"""By column. Errors (`*_err`) and reference values (`ref_*`) follow from the quantity itself."""


def attributes(column: Column) -> dict[str, str]:
    """Unit, UCD and description of a column as texts, empty where there is none."""
    return {
        "unit": str(column.unit or ""),
        "ucd": column.meta.get("ucd", ""),
        "description": column.description or "",
    }


def described_column(values: np.ndarray, texts: Mapping[str, str]) -> Column:
    """Column of the texts that `attributes` gives."""
    return Column(
        values,
        unit=texts.get("unit") or None,
        description=texts.get("description") or None,
        meta={"ucd": texts.get("ucd", "")},
    )


def describe(name: str, prefix: str = "") -> Description:
    """Description of a column.

    Parameters
    ----------
    name : str
        Without the prefix.
    prefix : str
        ``"ref_"`` for labels that came with the spectra.

    Returns
    -------
    Description

    Raises
    ------
    KeyError
        If the column is not known.
    """
    if name not in DESCRIPTIONS and name.endswith("_err"):
        value = describe(name.removesuffix("_err"), prefix)
        return Description(f"standard error of {value.text}", f"stat.error;{value.ucd}", value.unit)
    known = DESCRIPTIONS[name]
    return replace(known, text=f"reference {known.text}") if prefix else known


def describe_label(name: str, prefix: str = "") -> Description:
    """Description of a column of a label, which may have any name.

    Parameters
    ----------
    name, prefix : str
        As for `describe`; of the label or, with ``_err``, its error.

    Returns
    -------
    Description
    """
    label = name.removesuffix("_err")
    if label in DESCRIPTIONS:
        return describe(name, prefix)
    text = f"{'reference ' if prefix else ''}label {label}, in the unit of the training table"
    return Description(text if name == label else f"standard error of {text}")
