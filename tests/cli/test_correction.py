"""`--correction`, as users type it."""

from dataclasses import replace

import numpy as np
import pytest
from archive import write_archive
from correction_files import smooth_sources, star_table, write_huang, write_ye
from helpers import run_command as run

import xpfit
from xpfit import read_catalogue
from xpfit.data import FitFlag
from xpfit.prepare import iterate_spectra


@pytest.fixture
def files(rng, tmp_path):
    """Spectra of the archive, a table of their sources, and the files of two corrections."""
    sources = smooth_sources(4, rng)
    write_archive(sources, tmp_path / "s.csv", "csv (a, b)")
    stars = star_table(sources["source_id"], np.array([12.0, 15.0, 18.5, 9.0]), 0.8, 0.2)
    stars["parallax"], stars["parallax_error"] = 1.0, 0.1
    stars.write(tmp_path / "gaia.fits")
    write_huang(tmp_path / "huang", rng)
    write_ye(tmp_path / "ye", rng)
    return tmp_path


@pytest.fixture
def options(files):
    table = ("--astrometry", files / "gaia.fits", "--no-zero-point", "--quiet")
    return (*table, "--correction", f"huang2024={files / 'huang'}")


@pytest.fixture
def corrected(files, options, absolute_model):
    """A model of corrected spectra, and these spectra, prepared."""
    assert run("prepare", files / "s.csv", "--space", "sampled", *options,
               "--output", files / "s.h5") == 0  # fmt: skip
    (spectra,) = iterate_spectra(files / "s.h5")
    replace(absolute_model, preparation=spectra.preparation).save(files / "model.h5")
    return spectra


def test_a_correction_goes_from_the_files_to_the_catalogue(files, options, corrected, capsys):
    assert corrected.correction.startswith("huang2024 V1 ")
    fit = ("fit", files / "s.csv", "--model", files / "model.h5", "--n-starts", 2)
    assert run(*fit, *options, "--output", files / "f.fits") == 0
    table = read_catalogue(files / "f.fits")
    outside = (np.asarray(table["fit_flags"]) & int(FitFlag.NOT_CORRECTED)) != 0
    np.testing.assert_array_equal(outside, [False, False, True, False])
    np.testing.assert_array_equal(table["correction_caution"] % 10, [1, 1, 3, 0])
    assert not xpfit.is_reliable(table["quality_flags"], table["fit_flags"])[2]
    # The prepared spectra carry it; what the catalogue says is the same.
    again = ("fit", files / "s.h5", *fit[2:], "--quiet", "--output", files / "g.fits")
    assert run(*again) == 0
    np.testing.assert_array_equal(read_catalogue(files / "g.fits")["fit_flags"] & 262144,
                                  table["fit_flags"] & 262144)  # fmt: skip
    capsys.readouterr()
    assert run(*fit, *options[:4], "--output", files / "h.fits") == 1
    assert "training data is 'huang2024 V1" in capsys.readouterr().err
    assert run("fit", files / "s.csv", *options, "--output", files / "h.fits") == 1
    assert "training data is 'none', that asked for 'huang2024" in capsys.readouterr().err


def test_a_run_corrects_too_and_is_resumed_with_the_same_correction(
    files, options, corrected, capsys
):
    words = ("run", files / "s.csv", "--model", files / "model.h5", "--n-starts", 2)
    words = (*words, "--output-dir", files / "run")
    assert run(*words, *options, "--workers", 2) == 0
    table = read_catalogue(files / "run")
    order = np.argsort(table["gdr3_source_id"])
    assert list((table["fit_flags"][order] & 262144) != 0) == [False, False, True, False]
    capsys.readouterr()
    (files / "huang" / "inter_BP.csv").write_text("1\n1\n1\n1\n")
    assert run(*words, *options, "--workers", 1) == 1
    assert "holds a run with other correction" in capsys.readouterr().err


def test_prepared_spectra_are_not_corrected_again(files, options, corrected, capsys):
    fit = ("fit", files / "s.h5", "--model", files / "model.h5", "--output", files / "f.fits")
    assert run(*fit, *options[:4], "--correction", f"ye2025={files / 'ye'}") == 1
    said = capsys.readouterr().err
    assert "s.h5: the flux correction 'ye2025 table" in said
    assert "these are prepared, with the correction 'huang2024 V1" in said
    assert run(*fit, *options, "--n-starts", 1) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--correction", "huang2024"), "give NAME=DIR, with NAME one of huang2024, ye2025"),
        (("--correction", "x=."), "there is no flux correction 'x'"),
        (
            ("--correction", "huang2024=nowhere"),
            "nowhere: no such directory; it is to hold the CSV",
        ),
        (("--correction", "ye2025=.", "--space", "coefficient"), "holds 0 tables named correction"),
    ],
)
def test_what_is_no_correction_is_refused(files, monkeypatch, capsys, words, message):
    monkeypatch.chdir(files)
    table = ("--astrometry", "gaia.fits", "--no-zero-point")
    assert run("prepare", "s.csv", "--output", "p.h5", "--space", "sampled", *table, *words) != 0
    assert message in capsys.readouterr().err
    assert not (files / "p.h5").exists()


def test_coefficient_space_and_missing_magnitudes_are_refused(files, options, capsys):
    prepare = ("prepare", files / "s.csv", "--output", files / "p.h5")
    assert run(*prepare, "--space", "coefficient", *options) == 1
    assert "cannot be applied in coefficient space" in capsys.readouterr().err
    assert run(*prepare, "--space", "sampled", "--quiet", *options[-2:]) == 1
    assert "give --astrometry with phot_g_mean_mag" in capsys.readouterr().err
