"""Wherever a command is stopped: nothing half written stays, and the next run is whole.

Every command that writes is stopped by signals at steps that change files, and in the midst of
writes, and meets a full disk; then it is run again. By default at a few points of each; the tests
marked slow try twenty points of each signal and ten sizes of the disk.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import signal
import warnings
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path

import h5py
import numpy as np
import pytest
from archive import FakeGaia
from astropy.io import fits
from astropy.table import Table
from crashes import chosen, full_disk, in_child, limited, steps, stop_at
from helpers import run_command
from matplotlib.figure import Figure
from PIL import Image

from xpfit import Spectra, load_model, read_spectra, report
from xpfit.cli import binaries, train_confidence, transfer, validate
from xpfit.data.hdf5 import arrays_of
from xpfit.fit import Fitter, sampling
from xpfit.prepare import write_spectra
from xpfit.quality import labelled_fits
from xpfit.temporary import PREFIX
from xpfit.train import Phase, Recipe, recipe_text


@dataclass(frozen=True)
class Case:
    """A command that writes.

    Parameters
    ----------
    command : str
        With {inputs} and {data} in place of directories.
    again : str
        Options with which it is run again.
    keeps : str
        Regular expression of the names that stay when it is stopped, to go on from.
    """

    command: str
    again: str = "--overwrite"
    keeps: str = "(?!)"


CASES = {
    "prepare": Case("prepare {inputs}/stars.fits --output o.h5"),
    "prepare to Parquet": Case("prepare {inputs}/stars.fits --output o.parquet"),
    **{f"convert to {e}": Case(f"convert {{inputs}}/fit.h5 o.{e}")
       for e in ("fits", "vot", "ecsv", "parquet", "h5")},
    "fit": Case("fit {inputs}/stars.h5 --output o.fits --jobs 1"),
    "run": Case("run {inputs}/stars.h5 {inputs}/stars.fits --output-dir r --workers 1", "", "r/.*"),
    "download": Case(
        "download --source-ids {inputs}/ids.csv --output d --batch-size 4", "", "d/.*"
    ),
    "simulate": Case("simulate --n 20 --output o.h5"),
    "simulate a catalogue": Case("simulate --catalogue --n 100 --output o.parquet"),
    "select": Case("select {inputs}/fit.h5 --cut basic --output o.parquet"),
    "binaries": Case(
        "binaries {inputs}/survey.h5 --truth {inputs}/survey.h5 --output o.ecsv --figure f.png"
    ),
    "sample": Case(
        "sample --spectra {inputs}/stars.h5 --output-dir s --max-steps 100", "--overwrite",
        r"s/(chain|corner)-\d+\..*",
    ),
    "validate": Case("validate {inputs}/fit.h5 --include-flagged --min-snr 0 --output v"),
    "report": Case("report {inputs}/fit.h5 --output r.html"),
    "plot": Case("plot cmd {inputs}/fit.h5 --output-dir p"),
    "train": Case(
        "train {inputs}/many.h5 --recipe {inputs}/fast.toml --output m.h5 --checkpoint-minutes 0 "
        "--log l.jsonl", "--overwrite", "l.jsonl|m.h5.checkpoint",
    ),
    "transfer": Case(
        "transfer {data}/../xpfit/model/default.h5 {inputs}/stars.h5 --output t.h5 --plots t"
    ),
    "train-confidence": Case(
        "train-confidence {inputs}/labelled.h5 --output q.h5 --report q --jobs 1"
    ),
    "companion train": Case(
        "companion train {inputs}/many.h5 --kind svae --n-epochs 21 --output c.h5", "--overwrite",
        "c.h5.checkpoint",
    ),
    "companion predict": Case(
        "companion predict {inputs}/stars.h5 --companion {data}/companion_uncertain.h5 "
        "--output o.h5"
    ),
}  # fmt: skip

TIMES = ("seconds", "seconds_to_train")
"""Entries that no two runs have in common."""


def remembered(function):
    """A function that gives what it gave before, also to processes that are forked later."""
    known: dict[bytes, object] = {}

    @wraps(function)
    def wrapper(*arguments, **options):
        key = b"".join(
            x.source_id.tobytes() + x.flux.tobytes() + x.parallax_err.tobytes()
            for x in arguments
            if isinstance(x, Spectra)
        )
        if key not in known:
            known[key] = function(*arguments, **options)
        return known[key]

    return wrapper


def draws_little(figure, path, **options):
    """A small file in place of a figure, in two writes."""
    if hasattr(path, "write"):
        Image.new("L", (2, 2)).save(path, "PNG")
        return
    with open(path, "wb") as file:
        file.write(b"half ")
        file.flush()
        file.write(b"whole")


@pytest.fixture(scope="module")
def quick():
    """Fits are made once, and figures not drawn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fitter, "fit", remembered(Fitter.fit))
        patch.setattr(binaries, "fit_binaries", remembered(binaries.fit_binaries))
        for name in ("_read", "train_confidence", "calibration_report"):
            patch.setattr(train_confidence, name, remembered(getattr(train_confidence, name)))
        patch.setattr(
            train_confidence,
            "with_negatives",  # a minute of fits, and not of writing
            lambda fitter, stars, result, rng, **options: labelled_fits(
                fitter.model, stars, result
            ),
        )
        patch.setattr(train_confidence, "reliability_figure", lambda report: Figure())
        patch.setattr(transfer, "transfer_model", lambda model, *data, **options: (model, "text"))
        patch.setattr(transfer, "recalibration_figure", lambda report: Figure())
        patch.setattr(report, "_build", remembered(report._build))
        patch.setattr(sampling, "STEPS_BETWEEN_CHECKS", 50)
        patch.setattr(Figure, "savefig", draws_little)
        patch.setattr("xpfit.cli.sample.corner_figure", lambda *data, **options: Figure())
        patch.setattr(validate, "_figures", lambda *data: {"a.png": Figure(), "b.png": Figure()})
        patch.setattr("xpfit.read.archive.client._new_gaia", lambda: _archive())
        patch.setattr("xpfit.read.archive.download.PAUSE", 0.0)
        yield


def _archive():
    return FakeGaia(np.random.default_rng(1))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, sample_path, sample, quick):
    """What commands read."""
    folder = tmp_path_factory.mktemp("inputs")
    with fits.open(sample_path) as hdus:
        fits.BinTableHDU(hdus[1].data[:4]).writeto(folder / "stars.fits")
    write_spectra([sample[np.arange(200)]], folder / "many.h5")
    stars = read_spectra(sample_path, slice(0, 320), model=load_model())
    labels = {name: values.copy() for name, values in stars.labels.items()}
    for values in labels.values():
        values[::2] = values[::2][::-1]  # wrong ones, for the classifiers
    write_spectra([replace(stars, labels=labels)], folder / "labelled.h5")
    quiet = "--quiet"
    run_command("prepare", folder / "stars.fits", "--output", folder / "stars.h5", quiet)
    run_command("fit", folder / "stars.h5", "--output", folder / "fit.h5", quiet)
    survey = ("--n", 24, "--binaries", 0.9, "--output", folder / "survey.h5")
    assert run_command("simulate", *survey, quiet) == 0
    Table({"source_id": _archive().ids}).write(folder / "ids.csv")
    phases = (
        Phase("start", 2, learning_rate=3e-3, final_learning_rate=3e-3, free_curve=False),
        Phase("joint", 2, learning_rate=3e-3, final_learning_rate=1e-3),
    )
    (folder / "fast.toml").write_text(recipe_text(Recipe(phases=phases)))
    return folder


def contents(folder: Path) -> dict[str, str]:
    """Files and empty directories, with digests of what is the same in every run."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and name not in ("r/.lock", "d/.lock"):  # these name their owner
            found[name] = hashlib.sha256(_lasting(path)).hexdigest()
        elif path.is_dir() and not any(path.iterdir()):
            found[name + "/"] = ""
    return found


def _lasting(path: Path) -> bytes:
    """Content of a file without times."""
    if path.name == "c.h5":
        with h5py.File(path) as file:
            arrays = {name: values.tolist() for name, values in arrays_of(file).items()}
            card = json.loads(file.attrs["card"])
        return repr([arrays, {k: v for k, v in card.items() if k not in TIMES}]).encode()
    if path.suffix == ".jsonl" and path.name != "manifest.jsonl":
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        return repr([{k: v for k, v in line.items() if k not in TIMES} for line in lines]).encode()
    return path.read_bytes()


@dataclass
class Undisturbed:
    """A command, what it wrote, and the steps of its writing."""

    case: Case
    words: list[str]
    contents: dict[str, str]
    steps: list[str]
    largest: int

    def left(self, folder: Path) -> set[str]:
        """What is in a folder and should not be there."""
        return {
            name
            for name, digest in contents(folder).items()
            if not re.fullmatch(self.case.keeps, name) and self.contents.get(name) != digest
        }

    def runs_again(self, folder: Path) -> None:
        """Run the command once more, unless nothing was left, and compare."""
        if not any(folder.iterdir()):
            return
        words = self.words
        if "m.h5.checkpoint" in contents(folder):
            words = [*words, "--resume"]
        ending = in_child([*words, *shlex.split(self.case.again)], folder)
        assert (ending.status, errors(ending.said)) == (0, [])
        same_contents(self, folder)


def same_contents(undisturbed: Undisturbed, folder: Path) -> None:
    """Assert that a folder holds what the undisturbed command wrote."""
    assert contents(folder) == undisturbed.contents


def errors(said: str) -> list[str]:
    """Lines on standard error that are no warnings and do not tell of written files."""
    return [x for x in said.splitlines() if not x.startswith(("xpfit: warning:", "wrote "))]


@pytest.fixture(scope="module")
def undisturbed(inputs, tmp_path_factory, sample_path):
    """Runs a command to its end, once."""
    known = {}

    def run(name):
        if name not in known:
            folder = tmp_path_factory.mktemp("undisturbed")
            words = CASES[name].command.format(inputs=inputs, data=sample_path.parent)
            words = [*shlex.split(words), "--quiet"]
            with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
                patch.chdir(folder)
                warnings.simplefilter("default")
                run_command(*words)  # whatever is done once is done
                shutil.rmtree(folder)
                folder.mkdir()
                patch.chdir(folder)
                names = steps(lambda: run_command(*words))
            sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
            known[name] = Undisturbed(CASES[name], words, contents(folder), names, max(sizes))
        return known[name]

    return run


def stop_by_signal(undisturbed: Undisturbed, step: int, number: int, folder: Path) -> None:
    """Stop a command at a step, and check what it leaves."""
    ending = in_child(undisturbed.words, folder, stop_at(step, number))
    where = f"{undisturbed.steps[step]} ({step})"
    assert ending.status == 128 + number, f"{where}: {ending}"
    if number == signal.SIGKILL:
        left = {name for name in undisturbed.left(folder) if PREFIX not in name}
        # An empty directory, or the lock of one, may stay until the next run.
        left = {name for name in left if not name.endswith(("/", ".lock"))}
    else:
        assert len(errors(ending.said)) == 1, f"{where}: {ending.said}"
        left = undisturbed.left(folder)
    assert not left, where


def fill_disk(undisturbed: Undisturbed, folder: Path, prepare) -> None:
    """Have a command meet a full disk, and check what it leaves."""
    ending = in_child(undisturbed.words, folder, prepare)
    if ending.status == 0:  # as without hard links, or where directories cannot be synced
        same_contents(undisturbed, folder)
        return
    assert ending.status == 1, ending
    assert len(errors(ending.said)) == 1 and "fault of xpfit" not in ending.said, ending.said
    assert not undisturbed.left(folder)


def matrix(undisturbed: Undisturbed, tmp_path: Path, n_steps: int, n_sizes: int) -> None:
    """Stop a command at some steps by each signal, and at some sizes; run it again each time."""
    rng = np.random.default_rng(list(undisturbed.case.command.encode()))
    for number in (signal.SIGTERM, signal.SIGKILL):
        for step in chosen(undisturbed.steps, n_steps, rng):
            folder = tmp_path / f"{signal.Signals(number).name}-{step}"
            folder.mkdir()
            stop_by_signal(undisturbed, step, number, folder)
            undisturbed.runs_again(folder)
    writes = [
        i
        for i, name in enumerate(undisturbed.steps)
        if re.match("call (write|fsync|mkdir|flush|link)", name)
    ]
    for step in rng.permutation(writes)[:n_sizes]:
        folder = tmp_path / f"full-{step}"
        folder.mkdir()
        fill_disk(undisturbed, folder, stop_at(int(step), full_disk()))
        undisturbed.runs_again(folder)
    for size in rng.integers(undisturbed.largest, size=n_sizes):
        folder = tmp_path / f"size-{size}"
        folder.mkdir()
        fill_disk(undisturbed, folder, limited(int(size)))
        undisturbed.runs_again(folder)
        shutil.rmtree(folder)
        folder.mkdir()
        ending = in_child(undisturbed.words, folder, limited(int(size), fatal=True))
        assert ending.status == 128 + signal.SIGXFSZ
        undisturbed.runs_again(folder)


@pytest.mark.parametrize("name", CASES)
def test_a_command_that_is_stopped_is_whole_when_it_runs_again(name, undisturbed, tmp_path):
    matrix(undisturbed(name), tmp_path, 1, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_command_that_is_stopped_anywhere_is_whole_when_it_runs_again(
    name, undisturbed, tmp_path
):
    matrix(undisturbed(name), tmp_path, 20, 10)
