"""What the files of the corpus hold: columns by name, NaN (or -1 for integers) where missing."""

from __future__ import annotations

import numpy as np

IDS = np.array([5853498713190525696, 5762406957886626816, 4345775217221821312, 2**53 + 1, 35])

WAVELENGTH = np.arange(400.0, 420.0, 2.0)
"""Of the sampled spectra, in nm; files do not state them."""

_rng = np.random.default_rng(20)


def _continuous() -> dict[str, np.ndarray]:
    """XP continuous spectra of three sources with 4 + 5 coefficients, the second without BP."""
    columns = {"source_id": IDS[:3].copy()}
    for band, n in (("bp", 4), ("rp", 5)):
        columns[f"{band}_n_relevant_bases"] = np.full(3, n, dtype=np.int16)
        columns[f"{band}_standard_deviation"] = _rng.uniform(1.0, 1.3, 3)
        columns[f"{band}_coefficients"] = 1000.0 * _rng.standard_normal((3, n))
        columns[f"{band}_coefficient_errors"] = _rng.uniform(1.0, 9.0, (3, n))
        columns[f"{band}_coefficient_correlations"] = _rng.uniform(-0.1, 0.1, (3, n * (n - 1) // 2))
    for name, values in columns.items():
        if name.startswith("bp") and values.dtype.kind == "f":
            values[1] = np.nan
    return columns


def _sampled() -> dict[str, np.ndarray]:
    """XP sampled spectra of three sources at `WAVELENGTH`."""
    flux = 1e-16 * _rng.uniform(1.0, 2.0, (3, len(WAVELENGTH)))
    return {"source_id": IDS[:3].copy(), "flux": flux, "flux_error": 0.01 * flux}


def _table() -> dict[str, np.ndarray]:
    """Photometry, parallaxes and labels of five sources."""
    columns = {"source_id": IDS.copy()}
    columns["name"] = np.array(["18 Sco", "a, b", "Proxima", "said so", "x"])
    for band in ("j", "h", "ks"):
        columns[f"{band}_m"] = np.round(_rng.uniform(8, 14, 5), 3)
        columns[f"{band}_msigcom"] = np.round(_rng.uniform(0.02, 0.04, 5), 3)
    columns["h_m"][2] = columns["h_msigcom"][2] = np.nan
    columns["parallax"] = _rng.uniform(-1, 20, 5)
    columns["parallax_error"] = _rng.uniform(0.02, 0.1, 5)
    columns["teff"] = _rng.uniform(4000, 7000, 5).astype(np.float32)
    columns["teff"][1] = np.nan
    columns["fe_h"] = np.round(_rng.uniform(-1, 0.3, 5), 2)
    columns["logg"] = np.round(_rng.uniform(1, 5, 5), 2)
    columns["n_obs"] = np.array([3, 4, -1, 12, 300], dtype=np.int16)
    columns["ph_qual"] = np.array(["AAA", "AAB", "UAA", "AAA", "EEE"])
    columns["flag"] = np.array([True, False, False, True, True])
    return columns


CONTINUOUS, SAMPLED, TABLE = _continuous(), _sampled(), _table()

UNITS = {
    "flux": "W / (nm m2)", "flux_error": "W / (nm m2)", "parallax": "mas", "parallax_error": "mas",
    "j_m": "mag", "j_msigcom": "mag", "h_m": "mag", "h_msigcom": "mag", "teff": "K",
}  # fmt: skip
"""Of columns, in the formats that have them."""

OMITTED = {
    **dict.fromkeys(("table/astropy/binary.vot", "table/astropy/filled.h5"), ("n_obs",)),
    "table/astropy_old/binary2.vot": ("n_obs",),
    **dict.fromkeys(("table/h5py/top.h5", "table/h5py/group.h5"), ("n_obs",)),
    **dict.fromkeys(("table/pandas/table.h5", "table/pandas/columns.h5"), ("n_obs",)),
    "table/pandas/fixed.h5": ("n_obs", "name", "ph_qual"),
}
"""Columns that a format or its writer cannot hold (whole numbers with gaps), or not as anything
that is read (texts in pandas' fixed format are Python objects)."""
