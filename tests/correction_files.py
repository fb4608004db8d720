"""Files of published corrections, made by hand in the form that users bring, and stars for them."""

from pathlib import Path

import numpy as np
from archive import archive_sources
from astropy.table import Table

from xpfit.prepare.bases import sampled_design

NODES = {
    "C2": np.linspace(-3.7, 1.3, 21),
    "C3": np.linspace(-0.5, 2.4, 16),
    "G": np.array([2.703, 5.0, 10.0, 14.0, 17.122]),
    "Gext": np.array([9.0, 12.0, 15.0, 17.4]),
    "phot": np.array([10.0, 13.0, 16.0, 17.7]),
}
"""Far fewer nodes than in the files of the authors (steps of 0.001)."""

WAVELENGTH = np.arange(336.0, 1021.0, 2.0)


def write_huang(directory: Path, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Files of Huang et al. 2024; returns their contents by file."""
    directory.mkdir()
    contents = {}
    for prefix in ("untruc", "dotruc"):
        for name, shared in (("C2", False), ("C3", False), ("G", False), ("Gext", True)):
            nodes = NODES[name]
            contents[f"{'' if shared else prefix + '_'}inter{name}_CM.csv"] = nodes[:, None]
            factors = 1.0 + 0.05 * rng.standard_normal((len(nodes), len(WAVELENGTH)))
            contents[f"{prefix}_interyy{name}_CM.csv"] = factors
    contents["inter_phot.csv"] = NODES["phot"][:, None]
    for band in ("BP", "RP"):
        contents[f"inter_{band}.csv"] = 1.0 + 0.01 * rng.standard_normal((4, 1))
    for name, values in contents.items():
        np.savetxt(directory / name, values, delimiter=",")
    return contents


def write_ye(directory: Path, rng: np.random.Generator, with_g: bool = False) -> Table:
    """A grid for Ye et al. 2025 in any order of rows."""
    directory.mkdir()
    axes = {"bp_rp": [0.2, 0.9, 2.0], "ebv": [0.0, 0.3, 1.0], "wavelength": [380.0, 600.0, 1000.0]}
    axes |= {"phot_g_mean_mag": [10.0, 17.0]} if with_g else {}
    grid = np.meshgrid(*axes.values(), indexing="ij")
    table = Table({name: values.ravel() for name, values in zip(axes, grid, strict=True)})
    table["factor"] = 1.0 + 0.05 * rng.standard_normal(len(table))
    table = table[rng.permutation(len(table))]
    table.write(directory / "correction.ecsv", format="ascii.ecsv")
    return table


def star_table(source_id: np.ndarray, g, bp_rp, ebv=None) -> Table:
    """Rows of gaia_source, with E(B-V) if it is given."""
    n = len(source_id)
    table = Table({"source_id": np.asarray(source_id, dtype=np.int64)})
    table["phot_g_mean_mag"] = np.broadcast_to(g, n).astype(float)
    table["phot_bp_mean_mag"] = table["phot_g_mean_mag"] + 0.6 * np.broadcast_to(bp_rp, n)
    table["phot_rp_mean_mag"] = table["phot_g_mean_mag"] - 0.4 * np.broadcast_to(bp_rp, n)
    if ebv is not None:
        table["ebv"] = np.broadcast_to(ebv, n).astype(float)
    return table


def smooth_sources(n_star: int, rng: np.random.Generator) -> Table:
    """Archive sources whose coefficients give smooth spectra, redder from one to the next."""
    sources = archive_sources(n_star, rng)
    design = sampled_design(WAVELENGTH)
    tilt = np.linspace(-0.5, 0.6, n_star)[:, None]
    flux = 500.0 * np.exp(tilt * (WAVELENGTH - 475.0) / 300.0)
    matrix = np.concatenate([design.bp, design.rp])
    coefficients = np.linalg.lstsq(matrix.T, flux.T, rcond=1e-6)[0].T
    sources["bp_coefficients"], sources["rp_coefficients"] = np.split(coefficients, 2, axis=1)
    return sources
