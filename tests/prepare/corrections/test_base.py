from dataclasses import replace

import numpy as np
import pytest
from archive import archive_sources, write_archive

from xpfit import InputError, XPSettings
from xpfit.constants import XP_WAVELENGTH
from xpfit.prepare import (
    FluxCorrection,
    continuous_spectra,
    iterate_spectra,
    sample_continuous,
    write_spectra,
)
from xpfit.read import read_continuous


def redder(wavelength, flux, table):
    """A correction by a slope, as published ones are in form."""
    return np.broadcast_to(1.0 + 1e-4 * (wavelength - 700.0), flux.shape)


TILT = FluxCorrection("tilt", "1.0", redder)


@pytest.fixture
def tables(rng, tmp_path):
    path = write_archive(archive_sources(3, rng), tmp_path / "s.csv", "csv (a, b)")
    return list(read_continuous(path))


def test_flux_and_covariance_are_corrected_before_the_inflation_terms(tables):
    settings = XPSettings(0.004, 0.006, 0.0)
    plain = sample_continuous(tables[0], XP_WAVELENGTH, settings)
    tilted = sample_continuous(tables[0], XP_WAVELENGTH, settings, TILT)
    factor = 1.0 + 1e-4 * (XP_WAVELENGTH - 700.0)
    np.testing.assert_allclose(tilted.flux, plain.flux * factor, rtol=1e-12)
    scaled = plain.gaia_covariance * factor[:, None] * factor
    np.testing.assert_allclose(tilted.gaia_covariance, scaled, rtol=1e-12)
    for i in range(3):
        flux = tilted.flux[i]
        expected = scaled[i] + np.diag(0.004 * flux) ** 2 + 0.006**2 * np.outer(flux, flux)
        np.testing.assert_allclose(tilted.covariance[i], expected, rtol=1e-9, atol=1e-12)


def test_correction_is_recorded_in_spectra_store_and_model(tables, tmp_path, model):
    assert continuous_spectra(tables).correction == "none"
    spectra = continuous_spectra(tables, correction=TILT)
    assert spectra.correction == "tilt 1.0"
    write_spectra([spectra], tmp_path / "s.h5")
    (read,) = iterate_spectra(tmp_path / "s.h5")
    assert read.correction == "tilt 1.0"
    trained = replace(model, preparation=read.preparation)
    assert trained.correction == "tilt 1.0" and model.correction == "none"


def test_model_refuses_data_corrected_otherwise_unless_told(tables, model):
    spectra = continuous_spectra(tables, correction=TILT)
    with pytest.raises(InputError, match=r"'tilt 1\.0'.*'none'.*ignore_preparation"):
        model.fit(spectra, progress=False)
    assert len(model.fit(spectra, progress=False, n_starts=1, ignore_preparation=True)) == 3
    with pytest.warns(FutureWarning, match="use ignore_preparation"):
        model.fit(spectra, progress=False, n_starts=1, ignore_correction=True)
    alike = replace(model, preparation=spectra.preparation)
    assert len(alike.fit(spectra, progress=False, n_starts=1)) == 3


def test_differently_corrected_spectra_do_not_share_a_store(tables, tmp_path):
    parts = [continuous_spectra(tables), continuous_spectra(tables, correction=TILT)]
    with pytest.raises(InputError, match="prepared differently"):
        write_spectra(parts, tmp_path / "s.h5")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda w, f, t: np.ones(len(w)), "returned shape"),
        (lambda w, f, t: np.full(f.shape, np.nan), "not finite and positive for source"),
        (lambda w, f, t: -np.ones(f.shape), "not finite and positive for source"),
    ],
)
def test_corrections_that_return_nonsense_are_named(tables, function, message):
    with pytest.raises(InputError, match=rf"'odd 2'.*{message}"):
        continuous_spectra(tables, correction=FluxCorrection("odd", "2", function))


@pytest.mark.parametrize(("name", "version"), [("", "1"), ("x", ""), ("none", "1")])
def test_corrections_need_a_name_and_a_version(name, version):
    with pytest.raises(InputError, match="needs a name"):
        FluxCorrection(name, version, redder)
