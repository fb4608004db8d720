"""ADQL for the columns that ZGR23 use (appendix A), of a list of sources.

The list is uploaded as the table `TAP_UPLOAD.wanted`.
"""

WANTED = "wanted"
"""Name of the uploaded table of source ids."""

GAIA_SOURCE = f"""
SELECT g.source_id, g.random_index, g.ref_epoch,
    g.ra, g.ra_error, g.dec, g.dec_error,
    g.parallax, g.parallax_error, g.parallax_over_error,
    g.pmra, g.pmra_error, g.pmdec, g.pmdec_error,
    g.ruwe, g.astrometric_excess_noise, g.astrometric_params_solved,
    g.nu_eff_used_in_astrometry, g.pseudocolour, g.ecl_lat,
    g.phot_g_mean_mag, g.phot_g_mean_flux, g.phot_g_mean_flux_error,
    g.phot_bp_mean_mag, g.phot_bp_mean_flux, g.phot_bp_mean_flux_error,
    g.phot_rp_mean_mag, g.phot_rp_mean_flux, g.phot_rp_mean_flux_error,
    g.phot_bp_n_obs, g.phot_rp_n_obs, g.phot_bp_rp_excess_factor,
    g.visibility_periods_used, g.has_xp_continuous,
    spur.fidelity_v2, spur.norm_dg
FROM gaiadr3.gaia_source AS g
JOIN TAP_UPLOAD.{WANTED} AS w ON g.source_id = w.source_id
LEFT OUTER JOIN external.gaiaedr3_spurious AS spur ON g.source_id = spur.source_id
"""
"""Astrometry (with what the parallax zero point depends on), photometry, fidelity, crowding."""

TWO_MASS = f"""
SELECT w.source_id, tmass.designation AS tmass_designation,
    tmass.j_m, tmass.j_msigcom, tmass.h_m, tmass.h_msigcom, tmass.ks_m, tmass.ks_msigcom,
    tmass.ph_qual, xmatch.angular_distance AS tmass_angular_distance
FROM TAP_UPLOAD.{WANTED} AS w
JOIN gaiadr3.tmass_psc_xsc_best_neighbour AS xmatch ON w.source_id = xmatch.source_id
JOIN gaiadr3.tmass_psc_xsc_join AS xjoin
    ON xmatch.clean_tmass_psc_xsc_oid = xjoin.clean_tmass_psc_xsc_oid
JOIN gaiadr1.tmass_original_valid AS tmass
    ON xjoin.original_psc_source_id = tmass.designation
WHERE (tmass.ph_qual LIKE 'A__' OR tmass.ph_qual LIKE '_A_' OR tmass.ph_qual LIKE '__A')
    AND tmass.ext_key IS NULL
"""
"""2MASS point sources with the best quality in one band at least, extended ones left out."""

ALLWISE = f"""
SELECT w.source_id, wise.designation AS allwise_designation,
    wise.w1mpro, wise.w1mpro_error, wise.w2mpro, wise.w2mpro_error,
    wise.cc_flags, wise.ext_flag, wise.ph_qual AS wise_ph_qual,
    xmatch.angular_distance AS allwise_angular_distance
FROM TAP_UPLOAD.{WANTED} AS w
JOIN gaiadr3.allwise_best_neighbour AS xmatch ON w.source_id = xmatch.source_id
JOIN gaiadr1.allwise_original_valid AS wise ON xmatch.allwise_oid = wise.allwise_oid
"""
"""AllWISE magnitudes; the archive has no unWISE."""
