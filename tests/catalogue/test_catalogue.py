import shutil
import subprocess
from dataclasses import replace

import astropy.units as u
import h5py
import numpy as np
import pandas
import polars
import pytest
from astropy.io import fits, votable
from astropy.io.votable.ucd import check_ucd
from astropy.table import Table

import xpfit
from xpfit import InputError, OutputError, read_catalogue, result_table, write_catalogue
from xpfit.catalogue import join_tables
from xpfit.cli import main
from xpfit.read import read_table


@pytest.fixture(scope="module")
def fitted(model, sample):
    spectra = sample[:8]
    error = spectra.flux_err.copy()
    error[3] = np.inf
    ids = spectra.source_id.copy()
    ids[5] = 0
    spectra = xpfit.Spectra(
        ids, spectra.space, spectra.flux, error, labels=spectra.labels,
        label_err=spectra.label_err, snr=spectra.snr, extinction=spectra.extinction,
    )  # fmt: skip
    result = model.fit(spectra, progress=False, n_starts=1)
    return spectra, result, result_table(model, spectra, result)


def test_every_star_has_a_row_in_order(fitted):
    spectra, _, table = fitted
    np.testing.assert_array_equal(table["gdr3_source_id"], spectra.source_id)
    assert table["gdr3_source_id"].dtype == np.int64


def test_columns_of_zgr23_s_table_2_come_first_with_its_types(fitted):
    table = fitted[2]
    expected = {
        "gdr3_source_id": ("i8", ()), "ra": ("f8", ()), "dec": ("f8", ()),
        "stellar_params_est": ("f8", (5,)), "stellar_params_err": ("f8", (5,)),
        "chi2_opt": ("f8", ()), "ln_prior": ("f8", ()),
        "teff_confidence": ("f8", ()), "feh_confidence": ("f8", ()),
        "logg_confidence": ("f8", ()), "quality_flags": ("u1", ()),
        "stellar_params_icov_triu": ("f8", (15,)), "stellar_params_cov_triu": ("f8", (15,)),
    }  # fmt: skip
    assert table.colnames[: len(expected)] == list(expected)
    for name, (dtype, shape) in expected.items():
        assert table[name].dtype == np.dtype(dtype), name
        assert table[name].shape[1:] == shape, name


def test_stellar_params_are_in_kilokelvin_in_the_order_of_table_2(absolute_model, fitted):
    spectra, result, _ = fitted
    table = result_table(absolute_model, spectra, result)
    names = ("teff", "feh", "logg", "extinction", "parallax")
    for i, name in enumerate(names):
        np.testing.assert_array_equal(table["stellar_params_est"][:, i], result[name])
        np.testing.assert_array_equal(table["stellar_params_err"][:, i], result.error(name))
    np.testing.assert_allclose(table["teff"], 1000.0 * table["stellar_params_est"][:, 0])


def test_models_of_other_parameters_give_the_marginal_of_the_five(varying_model, rng):
    truth = np.column_stack([[5.0], [0.0], [4.0], [0.3], [2.0], [0.5]])
    flux = np.nan_to_num(varying_model.predict(truth[:, :3], 0.3, 2.0, xi=0.5))
    spectra = xpfit.Spectra([7], varying_model.space, flux, 0.01 * flux + 1e-3)
    result = varying_model.fit(spectra, progress=False)
    table = result_table(varying_model, spectra, result)
    rows, columns = np.triu_indices(5)
    marginal = result.covariance[0, :5, :5]
    np.testing.assert_array_equal(table["stellar_params_cov_triu"][0], marginal[rows, columns])
    inverse = np.zeros((5, 5))
    inverse[rows, columns] = inverse[columns, rows] = table["stellar_params_icov_triu"][0]
    np.testing.assert_allclose(inverse @ marginal, np.eye(5), atol=1e-6)
    assert table["all_params_cov_triu"].shape == (1, 21)
    assert "R(V)" in table["r_v"].description


def test_positions_are_gaia_s_or_flagged_as_those_of_the_id(fitted, model):
    spectra, result, table = fitted
    approximate = (table["fit_flags"] & 512) != 0
    assert approximate.all()
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(table["ra"])), [5])  # the one without id
    gaia = {"ra": np.full(8, 10.0), "dec": np.where(np.arange(8) < 4, -30.0, np.nan)}
    known = replace(spectra, gaia=gaia)
    table = result_table(model, known, result)
    np.testing.assert_array_equal((table["fit_flags"] & 512) == 0, np.arange(8) < 4)
    np.testing.assert_array_equal(table["dec"][:4], -30.0)
    assert abs(table["dec"][4] + 30.0) > 1e-3


def test_parts_are_joined_and_repeated_sources_flagged(fitted):
    table = fitted[2]
    joined = join_tables([table, table[:2]])
    repeated = (joined["fit_flags"] & 128) != 0
    np.testing.assert_array_equal(np.flatnonzero(repeated), [0, 1, 8, 9])


def test_temperatures_are_in_kelvin_and_errors_follow(fitted):
    _, result, table = fitted
    good = np.isfinite(table["teff"])
    np.testing.assert_allclose(table["teff"][good], 1000.0 * result["teff"][good])
    np.testing.assert_allclose(table["teff_err"][good], 1000.0 * result.error("teff")[good])
    np.testing.assert_allclose(table["logg"][good], result["logg"][good])
    assert (table["teff"].unit, table["extinction"].unit) == (u.K, u.mag)
    assert (table["parallax"].unit, table["feh"].unit) == (u.mas, None)


def test_parallax_of_a_model_without_luminosities_is_unknown(fitted, absolute_model):
    spectra, result, table = fitted
    assert np.isnan(table["parallax"]).all() and np.isnan(table["parallax_err"]).all()
    assert np.isnan(table["stellar_params_est"][:, 4]).all()
    assert not table.meta["ABSOLUTE"]
    absolute = result_table(absolute_model, spectra, result)
    assert np.isfinite(absolute["parallax"]).sum() == 7
    np.testing.assert_allclose(absolute["amplitude"], table["amplitude"], rtol=1e-9)


def test_amplitude_is_the_dust_free_flux_level(fitted, model):
    _, result, table = fitted
    window = (model.wavelength >= 592) & (model.wavelength <= 782)
    flux = model.predict(result.parameters[:1, :3], 0.0, result.parameters[:1, 4], extrapolate=True)
    level = np.exp(np.mean(np.log(flux[0, window])))
    assert table["amplitude"][0] == pytest.approx(level * 1e-18, rel=1e-6)


def test_star_that_was_not_fitted_has_no_numbers_and_is_flagged(fitted):
    _, _, table = fitted
    for name in ("teff", "feh_err", "extinction", "chi2_opt", "ln_prior", "amplitude"):
        np.testing.assert_array_equal(np.flatnonzero(np.isnan(table[name])), [3], err_msg=name)
    assert np.isnan(table["stellar_params_cov_triu"][3]).all()
    assert table["status"][3] == 2 and table["fit_flags"][3] & 4
    assert table["quality_flags"][3] >= 8


def test_missing_id_is_zero(fitted):
    np.testing.assert_array_equal(np.flatnonzero(fitted[2]["gdr3_source_id"] == 0), [5])


def test_covariance_triangles_rebuild_the_matrices(absolute_model, fitted):
    spectra, result, _ = fitted
    table = result_table(absolute_model, spectra, result)
    rows, columns = np.triu_indices(5)
    for name, matrix in (("cov", result.covariance), ("icov", result.inverse_covariance)):
        rebuilt = np.zeros((5, 5))
        rebuilt[rows, columns] = table[f"stellar_params_{name}_triu"][0]
        rebuilt[columns, rows] = table[f"stellar_params_{name}_triu"][0]
        np.testing.assert_array_equal(rebuilt, matrix[0])


def test_reference_labels_travel_along(fitted):
    spectra, _, table = fitted
    teff = 1000.0 * spectra.labels["teff"]
    np.testing.assert_allclose(table["ref_teff"], teff)
    np.testing.assert_allclose(table["ref_snr"], spectra.snr)


def test_every_column_has_a_description_and_a_ucd_of_the_vocabulary(fitted):
    for column in fitted[2].columns.values():
        assert column.description
        assert check_ucd(column.meta["ucd"], check_controlled_vocabulary=True), column.name


def assert_same_catalogue(read, table):
    assert read.colnames == table.colnames
    for column in table.colnames:
        before, after = np.asarray(table[column]), np.asarray(read[column])
        assert after.dtype == before.dtype, column
        np.testing.assert_array_equal(after, before, err_msg=column)
        assert read[column].unit == table[column].unit
        assert read[column].description == table[column].description
        assert read[column].meta["ucd"] == table[column].meta["ucd"]
    assert dict(read.meta) == dict(table.meta)


ENDINGS = ("fits", "vot", "ecsv", "parquet", "h5")


@pytest.mark.parametrize("ending", ENDINGS)
def test_round_trip_loses_nothing(fitted, tmp_path, ending):
    path = tmp_path / f"out.{ending}"
    write_catalogue(fitted[2], path)
    assert_same_catalogue(read_catalogue(path), fitted[2])


@pytest.mark.parametrize("ending", ENDINGS)
def test_conversion_to_any_format_and_back_loses_nothing(fitted, tmp_path, ending):
    first, other, last = (tmp_path / name for name in ("a.parquet", f"b.{ending}", "c.ecsv"))
    write_catalogue(fitted[2], first)
    for source, target in ((first, other), (other, last)):
        assert main(["convert", str(source), str(target), "--quiet"]) == 0
    assert_same_catalogue(read_catalogue(last), fitted[2])


def test_model_and_settings_are_recorded(fitted, model):
    meta = fitted[2].meta
    assert meta["MODELID"] == model.fingerprint and meta["LABELS"] == "teff,feh,logg"
    assert meta["LNPMIN"] == model.ln_prior_threshold and not meta["ABSOLUTE"]


def test_positions_in_a_votable_are_of_a_system_and_an_epoch(fitted, tmp_path):
    write_catalogue(fitted[2], tmp_path / "c.vot")
    file = votable.parse(tmp_path / "c.vot")
    (system,) = file.resources[0].coordinate_systems
    assert (system.system, system.epoch) == ("ICRS", "J2016.0")
    fields = {field.name: field for field in file.get_first_table().fields}
    assert [fields[name].ref for name in ("ra", "dec", "teff")] == [system.ID, system.ID, None]
    assert fields["teff"].unit == "K" and fields["ra"].unit == "deg"


@pytest.mark.skipif(shutil.which("stilts") is None, reason="needs stilts")
def test_votlint_of_stilts_finds_nothing(fitted, tmp_path):
    write_catalogue(fitted[2], tmp_path / "c.vot")
    done = subprocess.run(
        ["stilts", "votlint", tmp_path / "c.vot"], capture_output=True, text=True, check=True
    )
    assert "ERROR" not in done.stdout + done.stderr and "WARNING" not in done.stdout


def test_votable_has_binary2_data_and_is_valid(fitted, tmp_path):
    path = tmp_path / "out.vot"
    write_catalogue(fitted[2], path)
    assert "<BINARY2>" in path.read_text()
    with open(tmp_path / "report.txt", "w") as report:
        assert votable.validate(path, report), (tmp_path / "report.txt").read_text()


def test_fits_says_ucds_and_descriptions_in_its_header(fitted, tmp_path):
    write_catalogue(fitted[2], tmp_path / "out.fits")
    header = fits.getheader(tmp_path / "out.fits", 1)
    place = fitted[2].colnames.index("teff") + 1
    assert header[f"TUNIT{place}"] == "K"
    assert header[f"TUCD{place}"] == "phys.temperature.effective"
    assert header[f"TCOMM{place}"] == "effective temperature"


def test_pandas_polars_and_h5py_read_the_columns(fitted, tmp_path):
    table = fitted[2]
    for ending in ("parquet", "h5"):
        write_catalogue(table, tmp_path / f"out.{ending}")
    for read in (pandas.read_parquet, polars.read_parquet):
        frame = read(tmp_path / "out.parquet")
        np.testing.assert_array_equal(frame["gdr3_source_id"], table["gdr3_source_id"])
        est = np.stack(frame["stellar_params_est"].to_numpy())
        np.testing.assert_array_equal(est, table["stellar_params_est"])
    with h5py.File(tmp_path / "out.h5") as file:
        np.testing.assert_array_equal(file["stellar_params_err"], table["stellar_params_err"])


def test_existing_file_is_kept_unless_asked(fitted, tmp_path):
    path = tmp_path / "out.fits"
    path.write_text("precious")
    with pytest.raises(OutputError, match=r"out\.fits exists already; use --overwrite"):
        write_catalogue(fitted[2], path)
    assert path.read_text() == "precious"
    write_catalogue(fitted[2], path, overwrite=True)
    assert len(read_table(path)) == 8


@pytest.mark.parametrize("name", ["out.csv", "out", "out.fits.gz"])
def test_unknown_ending_is_refused(fitted, tmp_path, name):
    with pytest.raises(OutputError, match=r"use one of \.fits, \.vot"):
        write_catalogue(fitted[2], tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_missing_directory_and_directory_as_file_are_refused(fitted, tmp_path):
    with pytest.raises(OutputError, match="no such directory"):
        write_catalogue(fitted[2], tmp_path / "absent" / "out.fits")
    (tmp_path / "dir.fits").mkdir()
    with pytest.raises(OutputError, match="is a directory"):
        write_catalogue(fitted[2], tmp_path / "dir.fits", overwrite=True)


def test_disk_that_fills_up_leaves_the_old_file_and_nothing_else(fitted, tmp_path, monkeypatch):
    path = tmp_path / "out.fits"
    path.write_text("precious")

    def full(self, part, **kwargs):
        with open(part, "w") as file:
            file.write("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Table, "write", full)
    with pytest.raises(OutputError, match="No space left"):
        write_catalogue(fitted[2], path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["out.fits"]
    assert path.read_text() == "precious"


def test_interrupted_write_leaves_nothing(fitted, tmp_path, monkeypatch):
    def interrupted(self, part, **kwargs):
        with open(part, "w") as file:
            file.write("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Table, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_catalogue(fitted[2], tmp_path / "out.fits")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content"),
    [("t.fits", b"garbage"), ("t.ecsv", b"a,b\n1\n2,3,4\n"), ("t.ecsv", b"\xff\xfe\x00")],
)
def test_unreadable_tables_are_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}"):
        read_table(tmp_path / name)


@pytest.mark.parametrize("name", ["t.fits", "t.ecsv"])
def test_missing_tables_are_named(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=name):
        read_table(tmp_path / name)


def test_hdf5_columns_of_other_objects_than_numbers_and_texts_are_refused(tmp_path):
    path = tmp_path / "c.h5"
    write_catalogue(Table({"a": [1.0, 2.0, 3.0]}), path)
    with h5py.File(path, "r+") as file:
        del file["a"]
        file.create_dataset("a", (3,), dtype=h5py.vlen_dtype("f8"))
    with pytest.raises(InputError, match=r"c\.h5.*column a has type object"):
        read_catalogue(path)


def test_what_a_format_cannot_hold_is_said_and_nothing_is_left(tmp_path):
    with pytest.raises(OutputError, match=r"c\.fits: FITS cannot hold this catalogue.*scale"):
        write_catalogue(Table({"a": [1.0] * u.Unit("3 km")}), tmp_path / "c.fits")
    assert list(tmp_path.iterdir()) == []
