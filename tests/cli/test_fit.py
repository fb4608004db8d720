"""`xpfit fit`, as a user runs it."""

import importlib.util
import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from helpers import gaia_source
from helpers import run_command as run

import xpfit
from xpfit import read_catalogue
from xpfit.cli import build_parser


def test_fit_writes_a_catalogue_and_says_what_it_did(stars, tmp_path, capsys):
    out = tmp_path / "fitted.fits"
    assert run("fit", stars, "--output", out, "--jobs", 1) == 0
    table = read_catalogue(out)
    assert len(table) == 12
    assert table.meta["INPUT"] == "stars.fits" and table.meta["MODEL"] == "default"
    said = capsys.readouterr()
    assert "12 stars, 12 fitted" in said.out and "fitted.fits" in said.out
    assert "0 from spectrum and Gaia, 12 from the spectrum alone" in said.out
    assert np.all(table["parallax"] > 0) and np.all(table["amplitude"] > 0)
    assert "12/12" in said.err  # the progress bar


def test_engines_agree_and_second_modes_are_told_of(stars, tmp_path):
    tables = []
    for name, *options in (
        ("numba", "--multistart", 16),
        ("array", "--starts", "grid", "--single"),
        ("scipy", "--n-starts", 4),
    ):
        out = tmp_path / f"{name}.fits"
        assert run("fit", stars, "--output", out, "--quiet", "--engine", name, *options) == 0
        tables.append(read_catalogue(out))
    for table in tables[1:]:
        same = np.abs(table["chi2_opt"] - tables[0]["chi2_opt"]) < 0.01
        assert same.mean() > 0.7
        np.testing.assert_allclose(table["teff"][same], tables[0]["teff"][same], atol=0.5)
        assert np.isnan(table["second_mode"]).all()
    depth = tables[0]["second_mode"]
    assert np.isfinite(depth).any() and np.all(depth[np.isfinite(depth)] > 0)
    flagged = (tables[0]["fit_flags"] & 256) > 0
    np.testing.assert_array_equal(flagged, np.nan_to_num(depth, nan=99.0) < 2.0)
    assert np.all(tables[0]["min_hessian_eigenvalue"] > 0)


def test_a_gpu_that_is_not_there_is_an_error_before_anything_is_read(stars, tmp_path, capsys):
    if importlib.util.find_spec("cupy"):
        pytest.skip("CuPy is installed")
    assert run("fit", stars, "--output", tmp_path / "f.fits", "--device", "gpu") != 0
    assert 'pip install "xpfit[gpu]"' in capsys.readouterr().err


def test_quiet_fit_says_nothing(stars, tmp_path, capsys):
    assert run("fit", stars, "--output", tmp_path / "f.ecsv", "--quiet") == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


def test_several_files_become_one_catalogue_with_repeated_sources_flagged(stars, tmp_path):
    out = tmp_path / "f.fits"
    assert run("fit", stars, stars, "--output", out, "--quiet", "--n-starts", 1) == 0
    table = read_catalogue(out)
    assert len(table) == 24 and np.all(table["fit_flags"] & 128)
    np.testing.assert_array_equal(table["teff"][:12], table["teff"][12:])
    assert table.meta["INPUT"] == "stars.fits,stars.fits"


def test_model_covariance_can_be_left_out(stars, tmp_path):
    for name, options in (("with", ()), ("without", ("--no-model-covariance",))):
        run("fit", stars, "--output", tmp_path / f"{name}.fits", "--quiet", *options)
    known, exact = (read_catalogue(tmp_path / f"{name}.fits") for name in ("with", "without"))
    assert np.all(known["chi2_opt"] < exact["chi2_opt"])
    assert np.median(known["teff_err"] / exact["teff_err"]) > 1.2


def test_parallaxes_are_used_and_with_shapes_only_left_out_by_name(stars, tmp_path, capsys):
    ids = xpfit.read_spectra(stars).source_id[:5]
    gaia_source(ids, np.full(5, 2.0), np.full(5, 1e-3)).write(tmp_path / "gaia.fits")
    tables = []
    for name, *options in (("with",), ("shapes", "--shapes-only")):
        out = tmp_path / f"{name}.fits"
        astrometry = "--astrometry", tmp_path / "gaia.fits", "--no-zero-point"
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            assert run("fit", stars, "--output", out, *astrometry, *options) == 0
        tables.append((read_catalogue(out), capsys.readouterr()))
    (used, said), (shapes, said_of_shapes) = tables
    assert "5 from spectrum and Gaia, 7 from the spectrum alone" in said.out
    np.testing.assert_allclose(used["parallax"][:5], 2.0, atol=0.01)
    assert "the parallaxes of 5 stars were not used" in said_of_shapes.out
    warning = "warning: the parallaxes of these stars are not used"
    assert (said.err.count(warning), said_of_shapes.err.count(warning)) == (0, 1)
    assert np.isnan(shapes["parallax"]).all() and np.all(shapes["amplitude"] > 0)
    assert not shapes.meta["ABSOLUTE"] and shapes.meta["MODELID"] != used.meta["MODELID"]
    for table in (used, shapes):
        np.testing.assert_array_equal(table["gaia_parallax"][:5], 2.0)


@pytest.mark.parametrize(
    "command",
    [
        ("fit", "x.csv", "--output", "f.fits"),
        ("run", "x.csv", "--output-dir", "run"),
        ("binaries", "x.csv", "--output", "f.fits"),
        ("sample", "--spectra", "x.csv", "--output-dir", "chains"),
        ("train-confidence", "x.csv", "--output", "c.h5"),
        ("plot", "star", "x.csv", "--output-dir", "pictures"),
    ],
    ids=lambda command: command[0],
)
def test_every_command_that_fits_can_do_so_by_shapes_alone(command):
    parser = build_parser(command[0])
    assert parser.parse_args([*command, "--shapes-only"]).shapes_only
    assert not parser.parse_args(command).shapes_only


def test_fit_equals_the_scripted_fit(stars, tmp_path):
    run("fit", stars, "--output", tmp_path / "f.ecsv", "--quiet", "--n-starts", 2)
    model = xpfit.load_model()
    spectra = xpfit.read_spectra(stars, space=model.space)
    result = model.fit(spectra, progress=False, n_starts=2)
    table = read_catalogue(tmp_path / "f.ecsv")
    np.testing.assert_allclose(table["teff"], 1000.0 * result["teff"], rtol=1e-9)


def test_fit_keeps_bad_stars_as_flagged_rows(stars, tmp_path):
    with fits.open(stars, mode="update") as hdus:
        data = hdus[1].data
        data["flux"][0] = np.nan  # all bad
        data["j"][0] = data["h"][0] = data["k"][0] = np.nan
        data["flux_error"][1, 100] = -1.0
        data["flux"][2, 28:40] = np.inf
        data["gaiaedr3_source_id"][4] = data["gaiaedr3_source_id"][3]
        data["gaiaedr3_source_id"][5] = 0
    out = tmp_path / "f.fits"
    assert run("fit", stars, "--output", out, "--quiet") == 0
    table = read_catalogue(out)
    assert len(table) == 12
    assert np.isnan(table["teff"][0]) and table["fit_flags"][0] & 4
    assert table["fit_flags"][2] & 32 and np.isfinite(table["teff"][2])
    assert (table["fit_flags"][3:5] & 128).all()
    assert table["gdr3_source_id"][5] == 0 and table["fit_flags"][5] & 64
    assert np.all(table["fit_flags"][6:] == 512)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.unlink(), "no such file"),
        (lambda p: p.write_bytes(b""), "the file is empty"),
        (lambda p: p.write_bytes(p.read_bytes()[:9000]), "truncated or damaged"),
        (lambda p: p.write_bytes(b"source_id,flux\n1,2\n"), "missing columns bp_coefficients"),
    ],
    ids=["missing", "empty", "truncated", "other kind"],
)
def test_unreadable_input_is_an_error_that_names_the_file(stars, tmp_path, capsys, change, message):
    change(stars)
    assert run("fit", stars, "--output", tmp_path / "f.fits") == 1
    said = capsys.readouterr().err
    assert said.startswith("xpfit fit: error:") and "stars.fits" in said and message in said
    assert not (tmp_path / "f.fits").exists()


def test_input_without_rows_is_an_error(stars, tmp_path, capsys):
    with fits.open(stars) as hdus:
        fits.BinTableHDU(hdus[1].data[:0]).writeto(stars, overwrite=True)
    assert run("fit", stars, "--output", tmp_path / "f.fits") == 1
    assert "no rows" in capsys.readouterr().err


def test_missing_columns_are_named(stars, tmp_path, capsys):
    table = Table.read(stars)
    table.remove_column("medflux")
    table.write(stars, overwrite=True)
    assert run("fit", stars, "--output", tmp_path / "f.fits") == 1
    assert "missing column medflux" in capsys.readouterr().err


def test_damaged_model_is_an_error(stars, tmp_path, capsys):
    (tmp_path / "m.h5").write_bytes(b"not a model")
    status = run("fit", stars, "--model", tmp_path / "m.h5", "--output", tmp_path / "f.fits")
    assert status == 1 and "m.h5: not an xpfit model file" in capsys.readouterr().err
