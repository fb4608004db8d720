from dataclasses import replace

import numpy as np
import pytest
from archive import archive_sources, write_archive

import xpfit
from xpfit import InputError, XPSettings
from xpfit.cli import main
from xpfit.data.preparation import Preparation
from xpfit.prepare import FluxCorrection, LibrarySettings, iterate_file, prepare_file

BRIGHTER = FluxCorrection("brighter", "1", lambda wavelength, flux, table: np.full(flux.shape, 1.1))


@pytest.fixture
def path(rng, tmp_path):
    table = archive_sources(4, rng)
    for band in ("bp", "rp"):
        table[f"{band}_n_relevant_bases"] = np.full(4, 12, dtype=np.int16)
    return write_archive(table, tmp_path / "s.csv", "csv (a, b)")


@pytest.fixture
def truncated(model):
    """A model that was trained on truncated spectra."""
    settings = XPSettings(truncate=True, zero_point_error=0.01)
    return replace(model, preparation=Preparation(settings))


def test_spectra_are_prepared_as_those_of_the_model(path, truncated):
    spectra = xpfit.read_spectra(path, model=truncated)
    assert spectra.preparation.settings == truncated.preparation.settings
    assert spectra.space.matches(truncated.space)
    (part,) = iterate_file(path, model=truncated)
    np.testing.assert_array_equal(part.flux, spectra.flux)
    explicit = xpfit.read_spectra(
        path, space=truncated.space, settings=truncated.preparation.settings
    )
    np.testing.assert_array_equal(explicit.flux, spectra.flux)
    np.testing.assert_array_equal(explicit.flux_err, spectra.flux_err)
    whole = xpfit.read_spectra(path, space=truncated.space)
    assert not np.allclose(whole.flux, spectra.flux, rtol=1e-6)


def test_prepared_and_raw_files_give_the_same_fit(path, truncated, tmp_path):
    truncated.save(tmp_path / "m.h5")
    out = tmp_path / "prepared.h5"
    arguments = ["prepare", str(path), "--output", str(out), "--quiet"]
    assert main([*arguments, "--model", str(tmp_path / "m.h5")]) == 0
    prepared, raw = xpfit.read_spectra(out), xpfit.read_spectra(path, model=truncated)
    assert prepared.preparation == raw.preparation
    for name in ("flux", "flux_err"):
        np.testing.assert_array_equal(getattr(prepared, name), getattr(raw, name))
    np.testing.assert_array_equal(prepared.whitener.array, raw.whitener.array)
    fits = [truncated.fit(s, progress=False, n_starts=1) for s in (prepared, raw)]
    np.testing.assert_array_equal(fits[0].parameters, fits[1].parameters)


def test_spectra_prepared_otherwise_are_refused_by_name(path, model, truncated):
    with pytest.raises(InputError, match=r"truncate is False, not True.*ignore_preparation"):
        truncated.fit(xpfit.read_spectra(path, model=model), progress=False)


def test_other_errors_than_in_training_are_warned_of(path, truncated):
    settings = XPSettings(truncate=True)
    spectra = xpfit.read_spectra(path, model=truncated, settings=settings)
    with pytest.warns(UserWarning, match=r"zero_point_error is 0\.005, not 0\.01"):
        truncated.fit(spectra, progress=False, n_starts=1)


def test_settings_for_another_kind_of_file_are_refused(path, sample_path):
    with pytest.raises(InputError, match=r"with XPSettings, not with LibrarySettings"):
        xpfit.read_spectra(path, settings=LibrarySettings())
    with pytest.raises(InputError, match=r"with LibrarySettings, not with XPSettings"):
        xpfit.read_spectra(sample_path, slice(0, 2), XPSettings())


def test_the_models_correction_must_be_given(path, model):
    corrected = replace(model, preparation=Preparation(correction=BRIGHTER.identifier))
    with pytest.raises(InputError, match=r"'brighter 1', that asked for 'none'"):
        xpfit.read_spectra(path, model=corrected)
    spectra = xpfit.read_spectra(path, model=corrected, correction=BRIGHTER)
    plain = xpfit.read_spectra(path, model=model)
    np.testing.assert_allclose(spectra.flux, 1.1 * plain.flux, rtol=1e-12)
    with pytest.raises(InputError, match=r"'none', that asked for 'brighter 1'"):
        xpfit.read_spectra(path, model=model, correction=BRIGHTER)


def test_rows_are_of_files_that_can_be_entered_anywhere(path, sample_path, tmp_path):
    spectra = xpfit.read_spectra(path)
    xpfit.prepare.write_spectra([spectra], tmp_path / "s.h5")
    (part,) = iterate_file(tmp_path / "s.h5", range(1, 3))
    np.testing.assert_array_equal(part.source_id, spectra.source_id[1:3])
    (part,) = iterate_file(sample_path, range(1, 3))
    assert len(part) == 2
    with pytest.raises(InputError, match="rows of archive files"):
        next(iterate_file(path, range(1, 3)))


def test_deprecated_names_work_and_say_so(path):
    settings = XPSettings(0.004)
    expected = xpfit.read_spectra(path, settings=settings)
    with pytest.warns(DeprecationWarning, match="xp_settings is deprecated"):
        spectra = xpfit.read_spectra(path, xp_settings=settings)
    np.testing.assert_array_equal(spectra.flux_err, expected.flux_err)
    with pytest.warns(DeprecationWarning, match="use iterate_file"):
        (part,) = prepare_file(path, xp_settings=settings)
    np.testing.assert_array_equal(part.flux_err, expected.flux_err)
