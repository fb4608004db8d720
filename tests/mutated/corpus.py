"""Good files of every kind that commands read, small, and from few stars."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
from archive import FORMATS, archive_sources, write_archive
from astropy.io import fits
from astropy.table import Table
from helpers import gaia_source, run_command

from xpfit import load_model, read_spectra
from xpfit.fit.chains import ChainFile, posterior_digest

ROOT = Path(__file__).parents[2]
MODEL = "model.h5"

CHAIN = "chain-5853222117302202752.h5"
"""A chain of the first star, as ``xpfit sample`` names it."""

ENDINGS = ("csv", "ecsv", "fits", "vot")


def write_table(table: Table, path: Path) -> bytes:
    """Write a table in the format of the ending, as far as the format can hold it."""
    form = {"csv": "ascii.csv", "ecsv": "ascii.ecsv", "vot": "votable"}.get(path.suffix[1:], "fits")
    if form == "ascii.csv":
        table = Table({n: c for n, c in table.columns.items() if c.ndim == 1})
    if form == "fits":
        out = io.BytesIO()
        table.write(out, format="fits")
        path.write_bytes(out.getvalue())
    else:
        table.write(path, format=form, overwrite=True)


def build(folder: Path) -> dict[str, Table]:
    """Write the corpus; returns the tables in it, by name, in memory."""
    rng = np.random.default_rng(19)
    with fits.open(ROOT / "data/apogee_xp_sample.fits") as hdus:
        fits.BinTableHDU(hdus[1].data[:3]).writeto(folder / "stars.fits")
    shutil.copy(ROOT / "tests/data/three_labels.h5", folder / MODEL)
    shutil.copy(ROOT / "data/companion_svae.h5", folder / "svae.h5")
    shutil.copy(ROOT / "data/companion_uncertain.h5", folder / "uncertain.h5")
    shutil.copy(ROOT / "xpfit/quality/default_confidence.h5", folder / "confidence.h5")
    library = Table.read(folder / "stars.fits")
    ids = np.asarray(library["gaiaedr3_source_id"], dtype=np.int64)
    sources = archive_sources(2, rng)
    for style in FORMATS:
        write_archive(sources, folder / _file_name(style), style)
    tables = _tables(ids, rng)
    for name, table in tables.items():
        for ending in ENDINGS:
            write_table(table, folder / f"{name}.{ending}")
    (folder / "ids.txt").write_text("".join(f"{i}\n" for i in ids))
    for recipe in ("zgr23", "tuned"):
        text = ROOT / f"xpfit/train/recipes/{recipe}.toml"
        if text.exists():
            shutil.copy(text, folder / "recipe.toml")
    _derive(folder)
    _write_chain(folder, rng)
    return tables


def _write_chain(folder: Path, rng: np.random.Generator) -> None:
    """A short chain; to go on with it takes more steps than the commands ask for."""
    model, stars = load_model(folder / MODEL), read_spectra(folder / "store.h5")
    chain = ChainFile(folder / CHAIN, posterior_digest(model, stars[[0]], 1, model_covariance=True))
    chain.reset(32, len(model.parameter_names))
    chain.chain = rng.standard_normal((3, *chain.shape))
    chain.log_prob, chain.iteration = np.zeros((3, 32)), 3
    chain.random_state = np.random.RandomState(1).get_state()
    chain.save()


def _file_name(style: str) -> str:
    """A file name for a style of the archive's files."""
    ending = {"v": "vot", "f": "fits", "h": "h5", "c": "csv", "e": "csv", "b": "csv"}[style[0]]
    words = "".join(c if c.isalnum() else "_" for c in style.removesuffix(".gz"))
    return f"continuous_{words}.{ending}" + ".gz" * style.endswith(".gz")


def _tables(ids: np.ndarray, rng: np.random.Generator) -> dict[str, Table]:
    """Tables of what else is known of the stars."""
    n = len(ids)
    photometry = Table({"source_id": ids})
    for name, error in (
        ("j_m", "j_msigcom"), ("h_m", "h_msigcom"), ("ks_m", "ks_msigcom"),
        ("w1mpro", "w1mpro_error"), ("w2mpro", "w2mpro_error"),
    ):  # fmt: skip
        photometry[name], photometry[error] = rng.uniform(10, 12, n), np.full(n, 0.03)
    labels = Table({"source_id": ids})
    for name, value, error in (("teff", 5000.0, 50.0), ("feh", -0.1, 0.05), ("logg", 3.0, 0.1)):
        labels[name], labels[f"{name}_err"] = np.full(n, value), np.full(n, error)
    labels["snr"] = np.full(n, 100.0)
    astrometry = gaia_source(ids, np.array([1.0, 2.0, -0.1]), np.full(n, 0.05))
    astrometry["ra"], astrometry["dec"] = rng.uniform(0, 360, n), rng.uniform(-90, 90, n)
    sampled = Table({"source_id": 2**61 + np.arange(2)})
    sampled["flux"] = rng.uniform(1e-16, 2e-16, (2, 343)).astype(np.float32)
    sampled["flux_error"] = np.full((2, 343), 1e-18, np.float32)
    return {
        "photometry": photometry, "labels": labels, "astrometry": astrometry, "sampled": sampled,
    }  # fmt: skip


def _derive(folder: Path) -> None:
    """Stores, catalogues, a run and a simulated survey."""
    stars, model = folder / "stars.fits", ["--model", folder / MODEL]
    store, catalogue = folder / "store.h5", folder / "fit.h5"
    for command in (
        ("prepare", stars, "--output", store, *model),
        ("prepare", stars, "--output", folder / "store.parquet", *model),
        ("prepare", folder / "continuous_fits.fits", "--output", folder / "coefficients.h5",
         "--space", "coefficient"),
        ("fit", store, "--output", catalogue, *model, "--jobs", 1),
        *(("convert", catalogue, folder / f"fit.{e}") for e in ("fits", "vot", "ecsv", "parquet")),
        ("run", store, "--output-dir", folder / "run", *model, "--workers", 1, "--keep-parts"),
        ("simulate", "--n", 3, "--output", folder / "survey.h5", *model),
    ):  # fmt: skip
        assert run_command(*command, "--quiet") == 0, command
