"""ADQL for the columns that ZGR23 use (appendix A), of a list of sources, for each data release.

The list is uploaded as the table `TAP_UPLOAD.wanted`.
"""

from ...releases import DR3, EXCESS_FACTOR, PARAMS_SOLVED, Release

WANTED = "wanted"
"""Name of the uploaded table of source ids."""

COLUMNS = (
    ("random_index", "ref_epoch"),
    ("ra", "ra_error", "dec", "dec_error"),
    ("parallax", "parallax_error", "parallax_over_error"),
    ("pmra", "pmra_error", "pmdec", "pmdec_error"),
    ("ruwe", "astrometric_excess_noise", PARAMS_SOLVED),
    ("nu_eff_used_in_astrometry", "pseudocolour", "ecl_lat"),
    ("phot_g_mean_mag", "phot_g_mean_flux", "phot_g_mean_flux_error"),
    ("phot_bp_mean_mag", "phot_bp_mean_flux", "phot_bp_mean_flux_error"),
    ("phot_rp_mean_mag", "phot_rp_mean_flux", "phot_rp_mean_flux_error"),
    ("phot_bp_n_obs", "phot_rp_n_obs", EXCESS_FACTOR),
    ("visibility_periods_used", "has_xp_continuous"),
)
"""Of gaia_source, by DR3's names, as the lines of the query."""

FIDELITY = {
    DR3.name: (
        ("spur.fidelity_v2, spur.norm_dg",),
        ("LEFT OUTER JOIN external.gaiaedr3_spurious AS spur ON g.source_id = spur.source_id",),
    )
}
"""Astrometric fidelity and crowding, by release: what is selected, and the table it comes from."""


def gaia_source(release: Release) -> str:
    """Astrometry (with what its zero point depends on), photometry; fidelity where it is known.

    Parameters
    ----------
    release : Release

    Returns
    -------
    str
        Columns have the release's names; those that it has not are left out.
    """
    lines = [[release.column(name) for name in line] for line in COLUMNS]
    if release.zero_point:
        lines[2].append(release.zero_point)
    selected = [", ".join(f"g.{name}" for name in line if name) for line in lines]
    extra, joined = FIDELITY.get(release.name, ((), ()))
    select = ",\n    ".join([", ".join(["g.source_id", selected[0]]), *selected[1:], *extra])
    tables = (
        f"FROM {release.schema}.gaia_source AS g",
        f"JOIN TAP_UPLOAD.{WANTED} AS w ON g.source_id = w.source_id",
        *joined,
    )
    return "\n".join(["", f"SELECT {select}", *tables, ""])


def two_mass(release: Release) -> str:
    """2MASS point sources with the best quality in one band at least, extended ones left out.

    Parameters
    ----------
    release : Release

    Returns
    -------
    str
    """
    return f"""
SELECT w.source_id, tmass.designation AS tmass_designation,
    tmass.j_m, tmass.j_msigcom, tmass.h_m, tmass.h_msigcom, tmass.ks_m, tmass.ks_msigcom,
    tmass.ph_qual, xmatch.angular_distance AS tmass_angular_distance
FROM TAP_UPLOAD.{WANTED} AS w
JOIN {release.schema}.tmass_psc_xsc_best_neighbour AS xmatch ON w.source_id = xmatch.source_id
JOIN {release.schema}.tmass_psc_xsc_join AS xjoin
    ON xmatch.clean_tmass_psc_xsc_oid = xjoin.clean_tmass_psc_xsc_oid
JOIN gaiadr1.tmass_original_valid AS tmass
    ON xjoin.original_psc_source_id = tmass.designation
WHERE (tmass.ph_qual LIKE 'A__' OR tmass.ph_qual LIKE '_A_' OR tmass.ph_qual LIKE '__A')
    AND tmass.ext_key IS NULL
"""


def allwise(release: Release) -> str:
    """AllWISE magnitudes; the archive has no unWISE.

    Parameters
    ----------
    release : Release

    Returns
    -------
    str
    """
    return f"""
SELECT w.source_id, wise.designation AS allwise_designation,
    wise.w1mpro, wise.w1mpro_error, wise.w2mpro, wise.w2mpro_error,
    wise.cc_flags, wise.ext_flag, wise.ph_qual AS wise_ph_qual,
    xmatch.angular_distance AS allwise_angular_distance
FROM TAP_UPLOAD.{WANTED} AS w
JOIN {release.schema}.allwise_best_neighbour AS xmatch ON w.source_id = xmatch.source_id
JOIN gaiadr1.allwise_original_valid AS wise ON xmatch.allwise_oid = wise.allwise_oid
"""


QUERIES = {"gaia_source": gaia_source, "two_mass": two_mass, "allwise": allwise}
"""By the names of requests in the accounts of a download."""
