"""Files of the same form as the published catalogues, of a few made-up stars."""

from __future__ import annotations

import h5py
import numpy as np
from astropy.table import Table

FIVE = ("teff", "feh", "logg", "extinction", "parallax")
SIX = ("teff", "feh", "logg", "xi", "extinction", "parallax")


def published_arrays(rng: np.random.Generator, n: int = 40, *, xi: bool = False) -> dict:
    """Datasets of the authors' HDF5 files: single precision, Teff in kK."""
    names = SIX if xi else FIVE
    values = {
        "teff": rng.uniform(4.0, 7.0, n), "feh": rng.uniform(-1.0, 0.3, n),
        "logg": rng.uniform(1.0, 5.0, n), "xi": rng.normal(0.0, 0.3, n),
        "extinction": rng.uniform(0.01, 1.0, n), "parallax": rng.uniform(0.5, 5.0, n),
    }  # fmt: skip
    estimates = np.column_stack([values[name] for name in names])
    error = {"teff": 0.05, "feh": 0.1, "logg": 0.1, "xi": 0.2, "extinction": 0.01, "parallax": 0.01}
    scale = np.array([error[name] for name in names])
    mixing = np.eye(len(names)) + 0.3 * rng.standard_normal((n, len(names), len(names)))
    covariance = scale[:, None] * (mixing @ np.swapaxes(mixing, 1, 2)) * scale
    rows, columns = np.triu_indices(len(names))
    flags = np.zeros(n, dtype=np.uint8)
    flags[:4] = [1, 8, 16, 32]
    return {
        "gdr3_source_id": (np.arange(1, n + 1) << 45) + 35,
        "ra": rng.uniform(0, 360, n), "dec": rng.uniform(-80, 80, n),
        "stellar_params_est": estimates.astype("f4"),
        "stellar_params_err": np.sqrt(np.einsum("nii->ni", covariance)).astype("f4"),
        "chi2_opt": rng.uniform(40, 80, n).astype("f4"), "ln_prior": np.full(n, -3.0, "f4"),
        "teff_confidence": rng.uniform(0.6, 1, n).astype("f4"),
        "feh_confidence": rng.uniform(0.6, 1, n).astype("f4"),
        "logg_confidence": rng.uniform(0.6, 1, n).astype("f4"),
        "quality_flags": flags,
        "stellar_params_icov_triu": np.linalg.inv(covariance)[:, rows, columns].astype("f4"),
        "stellar_params_cov_triu": covariance[:, rows, columns].astype("f4"),
    }  # fmt: skip


def write_hdf5(path, arrays: dict) -> None:
    """As the authors publish it: one dataset for each column."""
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, compression="lzf", chunks=True)


def gavo_table(arrays: dict, unit: str | None = "K") -> Table:
    """As GAVO's TAP service gives it: a column for each element, Teff in K."""
    names = SIX if arrays["stellar_params_est"].shape[1] == 6 else FIVE
    spelled = {"extinction": "ext", "parallax": "mod_parallax"}
    table = Table({"source_id": arrays["gdr3_source_id"], "ra": arrays["ra"], "dec": arrays["dec"]})
    for i, name in enumerate(names):
        factor = 1000.0 if name == "teff" and unit != "kK" else 1.0
        column = spelled.get(name, name)
        for prefix, array in (("", "stellar_params_est"), ("err_", "stellar_params_err")):
            table[prefix + column] = factor * arrays[array][:, i].astype(float)
    for prefix in ("", "err_"):
        table[f"{prefix}teff"].unit = unit
        table[f"{prefix}mod_parallax"].unit = "mas"
    for name in ("chi2_opt", "ln_prior", "teff_confidence", "feh_confidence", "logg_confidence",
                 "quality_flags"):  # fmt: skip
        table[name] = arrays[name]
    return table


def sdss_table(arrays: dict) -> Table:
    """As SDSS's database keeps it: flattened arrays, in kK."""
    ends = ("teff", "fe_h", "logg", "e", "parallax")
    table = Table({"gdr3_source_id": arrays["gdr3_source_id"]})
    for array in ("stellar_params_est", "stellar_params_err"):
        for i, end in enumerate(ends):
            table[f"{array}_{end}"] = arrays[array][:, i]
    for name in ("ra", "dec", "chi2_opt", "ln_prior", "teff_confidence", "feh_confidence",
                 "logg_confidence", "quality_flags"):  # fmt: skip
        table[name] = arrays[name]
    return table


def gaia_rows(arrays: dict, rng: np.random.Generator) -> Table:
    """Rows of gaia_source of the same stars, with the zero point given."""
    n = len(arrays["ra"])
    parallax = arrays["stellar_params_est"][:, -1].astype(float)
    return Table(
        {
            "source_id": arrays["gdr3_source_id"], "ra": arrays["ra"], "dec": arrays["dec"],
            "parallax": parallax - 0.03 + 0.1 * rng.standard_normal(n),
            "parallax_error": np.full(n, 0.1), "zero_point": np.full(n, -0.03),
            "phot_g_mean_mag": rng.uniform(10, 16, n),
            "phot_bp_mean_mag": rng.uniform(11, 17, n), "phot_rp_mean_mag": rng.uniform(9, 15, n),
            "pmra": rng.normal(0, 5, n), "pmdec": rng.normal(0, 5, n),
            "pmra_error": np.full(n, 0.1), "pmdec_error": np.full(n, 0.1),
        }
    )  # fmt: skip
