from pathlib import Path

import numpy as np
import pytest

import xpfit
from xpfit import InputError
from xpfit.catalogue.companion_columns import (
    add_companion_columns,
    check_companions,
    companion_table,
)
from xpfit.catalogue.pipeline import Pipeline
from xpfit.catalogue.run.runner import run_catalogue
from xpfit.cli import main
from xpfit.companion import load_companion
from xpfit.prepare import write_spectra
from xpfit.quality import FitFlag

KINDS = ("uncertain", "svae", "gaianet")


@pytest.fixture(scope="module")
def companions(companion_path):
    return tuple(load_companion(companion_path.with_name(f"companion_{k}.h5")) for k in KINDS)


@pytest.fixture(scope="module")
def stars(companions, sample_path):
    return xpfit.read_spectra(sample_path, space=companions[0].space)[np.arange(120)]


@pytest.fixture(scope="module")
def fitted(stars):
    model = xpfit.load_model()
    return xpfit.result_table(model, stars, model.fit(stars, progress=False))


def test_independent_estimates_come_with_their_difference_from_the_fit(fitted, stars, companions):
    table = fitted.copy()
    add_companion_columns(table, stars, companions)
    for kind, labels in (
        ("uncertain", ("teff", "feh", "logg", "alpha_m")),
        ("gaianet", ("teff", "feh", "logg")),
    ):
        for name in labels:
            column = f"{kind}_{name}"
            error = np.hypot(table[f"{name}_err"], table[f"{column}_err"])
            np.testing.assert_allclose(
                table[f"{column}_sigma"], (table[name] - table[column]) / error
            )
            assert table[column].description and table[column].unit == table[name].unit
    ordinary = table["quality_flags"] < 8
    away = np.abs(table["uncertain_teff_sigma"][ordinary])
    assert 0.2 < np.median(away) < 1.5


def test_a_spectrum_that_is_no_star_s_is_flagged(fitted, stars, companions):
    flux = stars.flux.copy()
    flux[7, 88:96] *= 1.5
    odd = stars.replace(flux=flux)
    table = fitted.copy()
    add_companion_columns(table, odd, companions[1:2])
    flagged = (table["fit_flags"] & int(FitFlag.UNLIKE_TRAINING)) != 0
    before = (fitted["fit_flags"] & int(FitFlag.UNLIKE_TRAINING)) != 0
    assert flagged[7] and (flagged & ~before).mean() < 0.15
    assert stars.space.wavelength[84] < table["oddest_wavelength"][7] < stars.space.wavelength[100]
    assert table["oddity"][7] > 2.0
    others = np.arange(120) != 7
    unflagged = table["fit_flags"][others] & ~int(FitFlag.UNLIKE_TRAINING)
    other_flags = fitted["fit_flags"][others] & ~int(FitFlag.UNLIKE_TRAINING)
    np.testing.assert_array_equal(unflagged, other_flags)


def test_tables_of_companions_have_units_and_descriptions(stars, companions):
    for companion in companions:
        table = companion_table(companion, stars)
        assert len(table) == 120 and all(table[name].description for name in table.colnames)
    assert str(table["teff_input_err"].unit) == "K" and "teff_model_err" not in table.colnames


def test_two_companions_of_one_kind_are_refused(companions):
    with pytest.raises(InputError, match="one of each"):
        check_companions([companions[0], companions[0]])


def test_two_runs_give_the_same_estimates_and_need_the_same_companions(stars, companions, tmp_path):
    store = tmp_path / "stars.h5"
    write_spectra([stars[np.arange(60)]], store)
    model = xpfit.load_model()
    quiet = xpfit.catalogue.run.runner.RunSettings(progress=False)
    pipeline = Pipeline(model, start_from=companions[0], companions=companions)
    for name in ("a", "b"):
        run_catalogue([store], tmp_path / name, pipeline, stars_per_chunk=25, settings=quiet)
    sums = [(tmp_path / name / "checksums.sha256").read_text() for name in ("a", "b")]
    assert sums[0] == sums[1]
    with pytest.raises(InputError, match="other start_from"):
        run_catalogue(
            [store], tmp_path / "a", Pipeline(model, companions=companions), stars_per_chunk=25,
            settings=quiet,
        )  # fmt: skip


def test_a_companion_for_other_spectra_is_refused(sample_path, companion_path, tmp_path, capsys):
    model = Path(__file__).parents[1] / "data" / "three_labels.h5"
    command = ["fit", str(sample_path), "--model", str(model), "--output", str(tmp_path / "f.fits")]
    assert main([*command, "--companion", str(companion_path), "--quiet"]) == 1
    assert "prepare" in capsys.readouterr().err
    assert not (tmp_path / "f.fits").exists()
