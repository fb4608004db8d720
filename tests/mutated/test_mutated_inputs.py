"""Whatever a command is given, it ends soon, in one line of explanation or with a result."""

from __future__ import annotations

import shutil
import warnings
from importlib import import_module

import numpy as np
import pytest
from mutated import corpus as files
from mutated.cases import WAYS, Corpus, run_case

from xpfit.cli import COMMANDS

N_QUICK = {
    "arguments": 70, "tables": 110, "VOTable": 40, "HDF5": 40, "recipes": 30, "manifests": 10,
}  # fmt: skip
"""Cases of each way in that run by default, 300 in all."""

N_SLOW = {
    "arguments": 2000, "tables": 3000, "VOTable": 1500, "HDF5": 2000, "recipes": 1000,
    "manifests": 500,
}  # fmt: skip
"""Cases of the slow test, 10,000 in all: others than by default."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Good files, with all that commands import imported before."""
    for _, module, _ in COMMANDS:
        import_module(f"xpfit.cli.{module}")
    folder = tmp_path_factory.mktemp("corpus")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Corpus(folder, files.build(folder))


def complaints(way, seeds, corpus, folder):
    """What was wrong with cases, and how they ended."""
    found, statuses = [], []
    for seed in seeds:
        case = run_case(way, seed, corpus, folder / str(seed))
        statuses.append(case.ending.status)
        if case.complaint:
            found.append(case.complaint)
        shutil.rmtree(folder / str(seed))
    return found, statuses


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", WAYS)
def test_mutated_inputs_end_soon_and_explained(way, corpus, tmp_path):
    found, statuses = complaints(way, range(N_QUICK[way]), corpus, tmp_path)
    assert not found, "\n\n".join(found)
    assert np.mean(np.equal(statuses, 0)) > 0.02  # not everything is refused at the first look
    assert np.mean(np.equal(statuses, 1)) > 0.1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", WAYS)
def test_thousands_of_mutated_inputs_end_soon_and_explained(way, corpus, tmp_path):
    seeds = range(N_QUICK[way], N_QUICK[way] + N_SLOW[way])
    found, _ = complaints(way, seeds, corpus, tmp_path)
    assert not found, f"{len(found)} cases\n\n" + "\n\n".join(found[:10])
