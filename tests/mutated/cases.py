"""Commands with one mutated input each: for every way into xpfit, what can go wrong with it.

A case is known by its way in and its seed: ``run_case("tables", 17, corpus, folder)``.
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import Table
from mutated import mutations
from mutated.corpus import CHAIN, ENDINGS, MODEL, write_table
from mutated.process import OUTPUT, Ending, run_watched

STORE = "o.h5"

WITH_MODEL = ("--model", f"@{MODEL}")

PREPARE = ("prepare", "@stars.fits", "--output", STORE, *WITH_MODEL)

SPECTRA = ("prepare", "!", "--output", STORE, *WITH_MODEL)

FIT = ("fit", "@store.h5", "--output", STORE, *WITH_MODEL, "--jobs", "1")


@dataclass(frozen=True)
class Corpus:
    """Good files, and the tables in them."""

    folder: Path
    tables: dict[str, Table]


def of_tables(rng: np.random.Generator) -> tuple[str, tuple[str, ...]]:
    """Name of a file, and the command with ``!`` in its place and ``@`` before good files."""
    ending = str(rng.choice(ENDINGS))
    commands = (
        (f"photometry.{ending}", (*PREPARE, "--photometry", "!")),
        (f"astrometry.{ending}", (*PREPARE, "--astrometry", "!")),
        (f"labels.{ending}", (*PREPARE, "--labels", "!")),
        (f"labels.{ending}", (*PREPARE, "--labels", "!", "--survey", "apogee")),
        (f"labels.{ending}", (*PREPARE, "--labels", "!", "--survey", "lamost")),
        (f"labels.{ending}", ("train", "@stars.fits", "--output", STORE, "--luminosities", "!")),
        ("ids.txt", ("train", "@store.h5", "--output", STORE, "--exclude", "!")),
        (f"labels.{ending}", ("train", "@store.h5", "--output", STORE, "--exclude", "!")),
        (f"sampled.{ending}", SPECTRA),
        (f"sampled.{ending}", SPECTRA),
        ("stars.fits", SPECTRA),
        *((name, SPECTRA) for name in CONTINUOUS),
        *((f"fit.{e}", ("select", "!")) for e in ("fits", "ecsv", "parquet")),
        ("fit.ecsv", ("convert", "!", "o.fits")),
        ("fit.parquet", ("convert", "!", "o.ecsv")),
        ("store.parquet", (*FIT[:1], "!", *FIT[2:])),
    )
    return commands[rng.integers(len(commands))]


CONTINUOUS = (
    "continuous_csv__a__b_.csv", "continuous_csv__a__b_.csv", "continuous_ecsv.csv",
    "continuous_bulk_csv.csv.gz", "continuous_fits.fits", "continuous_fits.fits.gz",
    "continuous_fits_fixed.fits",
)  # fmt: skip


def of_votables(rng: np.random.Generator) -> tuple[str, tuple[str, ...]]:
    """As `of_tables`, of VOTables alone."""
    commands = (
        ("continuous_votable_text.vot", SPECTRA),
        ("continuous_votable_binary.vot", SPECTRA),
        ("continuous_votable_binary2.vot.gz", SPECTRA),
        ("sampled.vot", SPECTRA),
        ("photometry.vot", (*PREPARE, "--photometry", "!")),
        ("labels.vot", (*PREPARE, "--labels", "!")),
        ("fit.vot", ("select", "!")),
        ("fit.vot", ("convert", "!", "o.parquet")),
    )
    return commands[rng.integers(len(commands))]


def of_hdf5(rng: np.random.Generator) -> tuple[str, tuple[str, ...]]:
    """As `of_tables`, of HDF5 files."""
    commands = (
        ("continuous_hdf5.h5", SPECTRA),
        ("store.h5", (*FIT[:1], "!", *FIT[2:])),
        ("store.h5", SPECTRA),
        ("coefficients.h5", ("prepare", "!", "--output", STORE, "--space", "coefficient")),
        (MODEL, ("prepare", "@stars.fits", "--output", STORE, "--model", "!")),
        (MODEL, ("simulate", "--n", "2", "--output", STORE, "--model", "!")),
        (MODEL, ("fit", "@store.h5", "--output", STORE, "--model", "!", "--jobs", "1")),
        ("confidence.h5", (*FIT, "--confidence", "!")),
        ("svae.h5", ("companion", "card", "!")),
        ("svae.h5", ("companion", "predict", "@store.h5", "--output", STORE, "--companion", "!")),
        ("uncertain.h5", ("companion", "predict", "@stars.fits", "--companion", "!", "--output",
                          STORE)),
        ("fit.h5", ("select", "!")),
        ("fit.h5", ("convert", "!", "o.fits")),
        ("fit.h5", ("convert", "!", "o.vot")),
        ("fit.h5", ("validate", "!", "--json")),
        ("survey.h5", ("validate", "@fit.h5", "--truth", "!")),
        ("survey.h5", (*FIT[:1], "!", *FIT[2:])),
        ("survey.h5", ("simulate", "--n", "2", "--library", "!", "--output", STORE, *WITH_MODEL)),
        (f"{OUTPUT}/{CHAIN}", ("sample", "--spectra", "@store.h5", "--output-dir", ".",
                                 "--max-steps", "4", *WITH_MODEL)),
    )  # fmt: skip
    return commands[rng.integers(len(commands))]


def of_recipes(rng: np.random.Generator) -> tuple[str, tuple[str, ...]]:
    """As `of_tables`, of recipes."""
    train = ("train", "@store.h5", "--output", STORE, "--recipe", "!")
    return "recipe.toml", ("recipe", "show", "!") if rng.random() < 0.9 else train


def of_manifests(rng: np.random.Generator) -> tuple[str, tuple[str, ...]]:
    """As `of_tables`, of directories of runs."""
    run = ("run", "@store.h5", "--output-dir", "run", *WITH_MODEL, "--workers", "1")
    commands = (
        (f"{OUTPUT}/run", (*run, "--keep-parts")),
        (f"{OUTPUT}/run", (*run, "--retry-refused")),
        ("run", ("select", "!")),
        ("run", ("convert", "!", "o.fits")),
    )
    return commands[rng.integers(len(commands))]


def of_arguments(rng: np.random.Generator) -> tuple[str, tuple[str, ...]]:
    """As `of_tables`: a good command, some of whose words are exchanged."""
    commands = (
        PREPARE, FIT, ("recipe", "show", "zgr23"), ("select", "@fit.h5", "--cut", "basic"),
        (*PREPARE, "--wavelength", "400:900:10", "--truncate", "--label-epoch", "2000"),
        (*PREPARE, "--photometry", "@photometry.csv", "--astrometry", "@astrometry.ecsv"),
        (*PREPARE, "--labels", "@labels.csv", "--label-columns", "teff=teff,feh=feh,logg=logg"),
        ("simulate", "--n", "2", "--output", STORE, *WITH_MODEL, "--seed", "1", "--binaries", "0.1",
         "--g-limits", "12", "15", "--mean-extinction", "0.3"),
        ("simulate", "--n", "2", "--output", STORE, "--catalogue"),
        ("convert", "@fit.h5", "o.vot"), ("convert", "@run", "o.ecsv"),
        ("validate", "@fit.h5", "--reference", "@labels.fits", "--min-snr", "20",
         "--max-teff", "9e3"),
        ("companion", "card", "@svae.h5"),
        ("companion", "train", "@store.h5", "--kind", "svae", "--output", STORE, "--n-epochs", "1"),
        ("companion", "predict", "@store.h5", "--companion", "@svae.h5", "--output", STORE,
         "--seed", "1"),
        ("plot", "sky", "@fit.h5", "--output-dir", ".", "--nside", "16", "--distances", "1", "2"),
        ("plot", "forecast", "@model.h5", "--output-dir", ".", "--g", "15"),
        ("sample", "--spectra", "@store.h5", "--output-dir", ".", "--max-steps", "4", "--first",
         "1", *WITH_MODEL),
        ("binaries", "@store.h5", "--output", STORE, *WITH_MODEL, "--jobs", "1"),
        ("report", "@fit.h5", "--output", "o.html", "--spectra", "@missing.h5"),
        ("train", "@store.h5", "--output", STORE, "--checkpoint-minutes", "1", "--labels",
         "teff,feh"),
        ("train-confidence", "@ids.txt", "--output", STORE, *WITH_MODEL, "--jobs", "1"),
        ("run", "@store.h5", "--output-dir", "run", *WITH_MODEL, "--workers", "1",
         "--chunk-size", "2", "--retries", "1"),
        (*FIT, "--n-starts", "4", "--multistart", "2", "--starts", "profile"),
    )  # fmt: skip
    return "", commands[rng.integers(len(commands))]


def _change_words(words: list[str], corpus: Corpus, rng: np.random.Generator) -> list[str]:
    """Exchange, remove, repeat or add some words of a command line."""
    files = sorted(path.name for path in corpus.folder.iterdir())
    for _ in range(rng.integers(1, 3)):
        values = [i for i, word in enumerate(words) if i and not word.startswith("--")]
        place = int(rng.choice(values)) if values else 0
        kind = rng.integers(0, 20)
        if kind < 8:
            words[place] = str(rng.choice(NUMBERS if rng.random() < 0.6 else mutations.CELLS))
        elif kind < 12:
            words[place] = f"@{rng.choice(files)}"
        elif kind < 16:
            words[place] = str(rng.choice(PLACES))
        elif kind == 16:
            del words[place]
        elif kind == 17:
            words.insert(place, words[int(rng.integers(len(words)))])
        else:
            words += str(rng.choice(SWITCHES)).split()
    return words


NUMBERS = ("0", "-1", "1", "2", "1.5", "1e9", "nan", "inf", "-inf", "1000000000000", str(2**63))

PLACES = (
    "/", ".", "..", "/dev/null", "/dev/full", "/dev/stdin", "/proc/self/mem", "loop", "empty",
    "broken", "pipe", "\udcff", "x" * 300, "x" * 5000, "a/" * 2000, f"{'y' * 256}.h5",
    "home", "none/o.fits", "-", "--", "http://localhost/x.fits", "empty.fits",
    "empty.vot", "empty.h5", "*.fits", "~", "line\nfeed", "nul\\0", "a=b", "1:2", "1:2:0",
    "2:1:1", "1:1e9:1e-9", "nan:1:1", "400:900:10:1",
)  # fmt: skip

SWITCHES = (
    "--overwrite", "--quiet", "--no-verify", "--shapes-only", "--single",
    "--device gpu", "--engine scipy", "--engine array", "--starts grid", "--n-starts 0",
    "--multistart -1", "--jobs 0", "--jobs -9", "--seed -1", "--seed 1e3", "--json", "--help",
    "--version", "--space coefficient", "--no-zero-point", "--training-cuts", "--hot-payne x",
    "--distance-prior uniform", "--model", "--companion", "--labels teff,teff", "--labels ,",
    "--output", "--unknown", "--batch-size 0",
)  # fmt: skip


WAYS: dict[str, Callable] = {
    "arguments": of_arguments, "tables": of_tables, "VOTable": of_votables, "HDF5": of_hdf5,
    "recipes": of_recipes, "manifests": of_manifests,
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A command that has been run on a mutated input."""

    way: str
    seed: int
    command: list[str]
    ending: Ending

    @property
    def complaint(self) -> str:
        """What is wrong, with all that is needed to see it again; empty if all is well."""
        faults = self.ending.faults
        said = self.ending.said[-1500:]
        return (
            f"{self.way}, seed {self.seed}: {'; '.join(faults)}\n  {self.command}\n{said}"
            * bool(faults)
        )


def run_case(way: str, seed: int, corpus: Corpus, folder: Path) -> Case:
    """Run one command on one mutated input, in a new folder.

    Parameters
    ----------
    way : str
        One of `WAYS`.
    seed : int
    corpus : Corpus
    folder : Path
        Created, and removed if all is well.

    Returns
    -------
    Case
    """
    rng = np.random.default_rng([list(WAYS).index(way), seed])
    name, words = WAYS[way](rng)
    (folder / OUTPUT).mkdir(parents=True)
    if name:
        _write_mutated(name, corpus, folder, rng)
        words = [str(Path("..", name)) if word == "!" else word for word in words]
        if rng.random() < 0.5 and way == "HDF5":
            words.append("--no-verify")
    else:
        _write_odd_places(folder / OUTPUT)
        words = _change_words(list(words), corpus, rng)
    words = [str(corpus.folder / w[1:]) if w.startswith("@") else w for w in words]
    return Case(way, seed, words, run_watched(words, folder))


def _write_odd_places(folder: Path) -> None:
    """What may be where a file is expected."""
    (folder / "loop").symlink_to("loop")
    (folder / "broken").symlink_to("nowhere")
    for name in ("empty", "empty.fits", "empty.vot", "empty.h5"):
        (folder / name).touch()


def _write_mutated(name: str, corpus: Corpus, folder: Path, rng: np.random.Generator) -> None:
    """A mutated copy of a file of the corpus."""
    path, original = folder / name, corpus.folder / Path(name).name
    if original.is_dir():
        shutil.copytree(original, path)
        mutations.mutate_directory(path, rng)
        return
    table = corpus.tables.get(path.stem)
    if table is not None and rng.random() < 0.5:
        with suppress(Exception):  # the format cannot hold it
            write_table(mutations.mutate_table(table, rng), path)
            return
    shutil.copyfile(original, path)
    if path.suffix == ".h5" and rng.random() < 0.8:
        mutations.mutate_hdf5(path, rng)
    elif path.suffix in (".csv", ".ecsv", ".txt", ".toml") and rng.random() < 0.7:
        path.write_bytes(mutations.mutate_text(path.read_bytes(), rng))
    elif path.suffix == ".gz" and rng.random() < 0.7:
        inner = gzip.decompress(path.read_bytes())
        path.write_bytes(gzip.compress(mutations.mutate_bytes(inner, rng), 1))
    else:
        path.write_bytes(mutations.mutate_bytes(path.read_bytes(), rng))
