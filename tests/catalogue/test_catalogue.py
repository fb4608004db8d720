import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table

import xpfit
from xpfit import InputError, OutputError, read_table, result_table, write_catalogue


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
    np.testing.assert_array_equal(table["source_id"].filled(0), spectra.source_id)
    assert table["source_id"].dtype == np.int64


def test_temperatures_are_in_kelvin_and_errors_follow(fitted):
    _, result, table = fitted
    good = ~table["teff"].mask
    np.testing.assert_allclose(table["teff"][good], 1000.0 * result["teff"][good])
    np.testing.assert_allclose(table["teff_err"][good], 1000.0 * result.error("teff")[good])
    np.testing.assert_allclose(table["logg"][good], result["logg"][good])
    assert (table["teff"].unit, table["extinction"].unit) == (u.K, u.mag)
    assert (table["parallax"].unit, table["feh"].unit) == (u.mas, None)


def test_parallax_of_a_model_without_luminosities_is_masked(fitted, absolute_model):
    spectra, result, table = fitted
    assert table["parallax"].mask.all() and table["parallax_err"].mask.all()
    assert not table.meta["ABSOLUTE"]
    absolute = result_table(absolute_model, spectra, result)
    assert (~absolute["parallax"].mask).sum() == 7
    assert "amplitude" not in absolute.colnames


def test_amplitude_is_the_dust_free_flux_level(fitted, model):
    _, result, table = fitted
    window = (model.wavelength >= 592) & (model.wavelength <= 782)
    flux = model.predict(result.parameters[:1, :3], 0.0, result.parameters[:1, 4], extrapolate=True)
    level = np.exp(np.mean(np.log(flux[0, window])))
    assert table["amplitude"][0] == pytest.approx(level * 1e-18, rel=1e-6)


def test_star_that_was_not_fitted_is_masked_and_flagged(fitted):
    _, _, table = fitted
    for name in ("teff", "feh_err", "extinction", "chi2", "ln_prior", "amplitude"):
        np.testing.assert_array_equal(np.flatnonzero(table[name].mask), [3], err_msg=name)
    assert table["stellar_params_cov_triu"].mask[3].all()
    assert table["status"][3] == 2 and table["fit_flags"][3] & 4


def test_missing_id_is_masked(fitted):
    np.testing.assert_array_equal(np.flatnonzero(fitted[2]["source_id"].mask), [5])


def test_covariance_triangles_rebuild_the_matrices(fitted):
    _, result, table = fitted
    rows, columns = np.triu_indices(5)
    for name, matrix in (("cov", result.covariance), ("icov", result.inverse_covariance)):
        rebuilt = np.zeros((5, 5))
        rebuilt[rows, columns] = table[f"stellar_params_{name}_triu"][0]
        rebuilt[columns, rows] = table[f"stellar_params_{name}_triu"][0]
        np.testing.assert_array_equal(rebuilt, matrix[0])


def test_reference_labels_travel_along(fitted):
    spectra, _, table = fitted
    teff = 1000.0 * spectra.labels["teff"]
    np.testing.assert_allclose(table["ref_teff"].filled(np.nan), teff)
    np.testing.assert_allclose(table["ref_snr"].filled(np.nan), spectra.snr)


def test_every_column_has_a_description(fitted):
    assert all(column.description for column in fitted[2].columns.values())


@pytest.mark.parametrize("name", ["out.fits", "out.ecsv"])
def test_round_trip_loses_nothing(fitted, tmp_path, name):
    table = fitted[2]
    write_catalogue(table, tmp_path / name)
    read = read_table(tmp_path / name)
    assert read.colnames == table.colnames
    for column in table.colnames:
        before, after = np.ma.asarray(table[column]), np.ma.asarray(read[column])
        np.testing.assert_array_equal(
            np.ma.getmaskarray(before), np.ma.getmaskarray(after), err_msg=column
        )
        np.testing.assert_array_equal(before.compressed(), after.compressed(), err_msg=column)
        assert read[column].unit == table[column].unit
        assert read[column].description == table[column].description
    assert read.meta["LABELS"] == "teff,feh,logg" and read.meta["ABSOLUTE"] is False


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
    with pytest.raises(OutputError, match=r"use one of \.fits, \.ecsv"):
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
