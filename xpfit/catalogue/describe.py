"""Unit, UCD and description of every column of a catalogue."""

from __future__ import annotations

from dataclasses import dataclass

import astropy.units as u

from ..data.flags import DescribedFlag, FitFlag, QualityFlag
from ..quantities import BASIC_LABELS, QUANTITIES, STELLAR_PARAMETERS, quantity


@dataclass(frozen=True)
class Description:
    """Description of a column.

    Attributes
    ----------
    text : str
    unit : astropy.units.Unit or None
        None for pure numbers, for dex (which is no FITS unit; the text mentions it), and for arrays
        of different quantities.
    ucd : str
        What kind of quantity it is, in the IVOA's vocabulary (UCD1+).
    """

    text: str
    unit: u.UnitBase | None = None
    ucd: str = ""


_FIVE = ", ".join(f"{q.title} in {q.unit_inside}" for q in map(quantity, STELLAR_PARAMETERS))
_FIVE = f"({_FIVE})"


def _bits(flags: type[DescribedFlag]) -> str:
    """Bits of a flag column and what they mean."""
    return "; ".join(f"{int(flag)}: {flag.text}" for flag in flags)


DESCRIPTIONS = {
    "gdr3_source_id": Description("Gaia DR3 source_id; 0 if unknown", None, "meta.id;meta.main"),
    "ra": Description(
        "right ascension (ICRS, Gaia DR3); of the HEALPix cell in the source id if fit_flags has "
        "512",
        u.deg,
        "pos.eq.ra;meta.main",
    ),
    "dec": Description(
        "declination (ICRS, Gaia DR3); of the HEALPix cell in the source id if fit_flags has 512",
        u.deg,
        "pos.eq.dec;meta.main",
    ),
    "stellar_params_est": Description(f"stellar parameters {_FIVE}", None, "stat.fit.param"),
    "stellar_params_err": Description(
        f"standard errors of the stellar parameters {_FIVE}", None, "stat.error;stat.fit.param"
    ),
    "chi2_opt": Description("chi2 of the best fit", None, "stat.fit.chi2"),
    "ln_prior": Description(
        "ln of the prior density of stellar type (kK, dex) at the best fit", None, "stat.likelihood"
    ),
    **{
        f"{name}_confidence": Description(
            f"confidence in {quantity(name).title}: probability that it agrees with a "
            "spectroscopic survey",
            None,
            "stat.probability",
        )
        for name in BASIC_LABELS
    },
    "quality_flags": Description(_bits(QualityFlag), None, "meta.code.qual"),
    "stellar_params_icov_triu": Description(
        f"upper triangle of the inverse covariance of the stellar parameters {_FIVE}",
        None,
        "stat.covariance",
    ),
    "stellar_params_cov_triu": Description(
        f"upper triangle of the covariance of the stellar parameters {_FIVE}",
        None,
        "stat.covariance",
    ),
    **{q.name: Description(q.description, q.table_unit, q.ucd) for q in QUANTITIES.values()},
    "r_v": Description("R(V) of the CCM89 curve closest to that at xi", None, "phys.absorption"),
    "amplitude": Description(
        "geometric mean of the dust-free flux at 592-782 nm",
        u.W / u.m**2 / u.nm,
        "phot.flux.density;em.wl",
    ),
    "all_params_icov_triu": Description(
        "upper triangle of the inverse covariance", None, "stat.covariance"
    ),
    "all_params_cov_triu": Description("upper triangle of the covariance", None, "stat.covariance"),
    "fit_flags": Description(_bits(FitFlag), None, "meta.code.qual"),
    "n_obs": Description("number of values used", None, "meta.number"),
    "status": Description("0 converged, 1 not converged, 2 not fitted", None, "meta.code.status"),
    "n_iterations": Description("steps of the optimiser over all starts", None, "meta.number"),
    "n_restarts": Description(
        "further starts of stars that had not converged", None, "meta.number"
    ),
    "gradient_norm": Description(
        "length of the standardised gradient of the loss at the best fit", None, "stat.fit.residual"
    ),
    "min_hessian_eigenvalue": Description(
        "smallest eigenvalue of the standardised Hessian of the loss at the best fit",
        None,
        "stat.fit",
    ),
    "second_mode": Description(
        "by how much ln posterior is lower at the second best mode; NaN if none was searched for "
        "or found",
        None,
        "stat.fit.goodness",
    ),
    "gaia_parallax": Description(
        "observed parallax, zero point subtracted", u.mas, "pos.parallax.trig"
    ),
    "gaia_parallax_error": Description("its standard error", u.mas, "stat.error;pos.parallax.trig"),
    "phot_g_mean_mag": Description("Gaia G", u.mag, "phot.mag;em.opt"),
    "phot_bp_mean_mag": Description("Gaia BP", u.mag, "phot.mag;em.opt.B"),
    "phot_rp_mean_mag": Description("Gaia RP", u.mag, "phot.mag;em.opt.R"),
    "ref_snr": Description("signal-to-noise ratio of the reference spectrum", None, "stat.snr"),
    "_healpix_29": Description("HEALPix cell of order 29 (nested, ICRS)", None, "pos.healpix"),
}
"""By column. Errors (`*_err`) and reference values (`ref_*`) follow from the quantity itself."""


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
        return Description(f"standard error of {value.text}", value.unit, f"stat.error;{value.ucd}")
    known = DESCRIPTIONS[name]
    return Description(f"reference {known.text}", known.unit, known.ucd) if prefix else known
