"""Shared fixtures: the real sample, a small model, variants of it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import with_variation
from matplotlib import rc_context
from threadpoolctl import threadpool_limits

import xpfit
from xpfit.companion import load_companion
from xpfit.read import read_library

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def one_thread_per_worker():
    """With pytest-xdist, more threads would get in the way of each other."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        yield
        return
    with pytest.MonkeyPatch.context() as patch, threadpool_limits(1):
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(autouse=True)
def own_style_of_figures():
    """GaiaXPy, when it is imported, sets figures of all that follows in LaTeX."""
    with rc_context():
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(42)


@pytest.fixture(scope="session")
def sample_path():
    return ROOT / "data" / "apogee_xp_sample.fits"


@pytest.fixture(scope="session")
def simulated_model():
    """Options of a command that name the model trained on a simulated survey with parallaxes."""
    return ["--model", str(ROOT / "data" / "simulated_model.h5")]


@pytest.fixture(scope="session")
def sample_table(sample_path):
    return read_library(sample_path, slice(0, 60))


@pytest.fixture(scope="session")
def sample(sample_path):
    return xpfit.read_spectra(sample_path)


@pytest.fixture(scope="session")
def model():
    """A model of three labels in ZGR23's space, taken to be exact: what is simulated from it has
    no other error. An earlier default model, trained on the library."""
    return replace(xpfit.load_model(ROOT / "tests/data/three_labels.h5"), covariance=None)


@pytest.fixture(scope="session")
def varying_model(model):
    """The same model, absolute, with an extinction curve that varies from star to star."""
    return with_variation(replace(model, absolute=True))


@pytest.fixture(scope="session")
def absolute_model(model):
    """The same model, declared to know luminosities: for the terms in the parallax."""
    return replace(model, absolute=True)


@pytest.fixture(scope="session")
def companion_path():
    """The uncertain network that comes with the repository."""
    return ROOT / "data" / "companion_uncertain.h5"


@pytest.fixture(scope="session")
def uncertain(companion_path):
    return load_companion(companion_path)


@pytest.fixture(scope="session")
def svae(companion_path):
    """The auto-encoder that comes with the repository."""
    return load_companion(companion_path.with_name("companion_svae.h5"))
