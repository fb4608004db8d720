import numpy as np
import pytest
from astropy.table import Table
from helpers import run_command as run
from published_files import gaia_rows, gavo_table, published_arrays, sdss_table, write_hdf5

from xpfit import InputError, read_catalogue
from xpfit.catalogue.cuts import iterate_catalogue, passes
from xpfit.catalogue.published import as_catalogue, is_published, iterate_published


@pytest.fixture
def arrays(rng):
    return published_arrays(rng)


def as_table(arrays):
    return Table({name: values.astype(values.dtype.newbyteorder(">")) if name == "ra" else values
                  for name, values in arrays.items()})  # fmt: skip


def assert_is(table, arrays, tolerance=1e-6):
    """The table has what the arrays have, in our units and order."""
    estimates, errors = arrays["stellar_params_est"], arrays["stellar_params_err"]
    np.testing.assert_array_equal(table["gdr3_source_id"], arrays["gdr3_source_id"])
    np.testing.assert_allclose(table["teff"], 1000.0 * estimates[:, 0], rtol=tolerance)
    np.testing.assert_allclose(table["teff_err"], 1000.0 * errors[:, 0], rtol=tolerance)
    for name, place in (("feh", 1), ("logg", 2), ("extinction", -2), ("parallax", -1)):
        np.testing.assert_allclose(table[name], estimates[:, place], rtol=tolerance)
        np.testing.assert_allclose(table[f"{name}_err"], errors[:, place], rtol=tolerance)
    np.testing.assert_array_equal(table["quality_flags"], arrays["quality_flags"])
    assert table["quality_flags"].dtype == np.uint8 and str(table["teff"].unit) == "K"
    np.testing.assert_allclose(table["ln_prior"], -3.0)


@pytest.mark.parametrize("ending", ["h5", "fits", "parquet"])
def test_the_authors_files_in_every_format(arrays, tmp_path, ending):
    path = tmp_path / f"stellar_params_catalog_00.{ending}"
    if ending == "h5":
        write_hdf5(path, arrays)
    elif ending == "fits":
        as_table(arrays).write(path)
    else:
        pq = pytest.importorskip("pyarrow.parquet")
        import pyarrow as pa

        columns = {k: v if v.ndim == 1 else list(v) for k, v in arrays.items()}
        pq.write_table(pa.table(columns), path)
    assert_is(read_catalogue(path), arrays)
    parts = list(iterate_catalogue(path, ["teff", "quality_flags"]))
    assert len(parts) == 1
    assert_is(parts[0], arrays)


def test_files_of_arrays_are_read_part_by_part(arrays, tmp_path):
    write_hdf5(tmp_path / "a.h5", arrays)
    parts = list(iterate_published(tmp_path / "a.h5", rows=15))
    assert [len(part) for part in parts] == [15, 15, 10]
    ids = np.concatenate([part["gdr3_source_id"] for part in parts])
    np.testing.assert_array_equal(ids, arrays["gdr3_source_id"])


@pytest.mark.parametrize("unit", ["K", "kK", None])
def test_gavo_s_table(arrays, tmp_path, unit):
    table = gavo_table(arrays, unit)
    table.write(tmp_path / "gavo.vot", format="votable")
    assert_is(read_catalogue(tmp_path / "gavo.vot"), arrays)
    table.write(tmp_path / "gavo.csv", format="ascii.csv")
    if unit != "kK":
        assert_is(read_catalogue(tmp_path / "gavo.csv"), arrays)


def test_sdss_s_table(arrays):
    assert_is(as_catalogue(sdss_table(arrays), "t"), arrays)


def test_with_xi_the_order_is_ours_and_covariances_follow(rng):
    arrays = published_arrays(rng, xi=True)
    table = as_catalogue(as_table(arrays), "t")
    assert_is(table, arrays)
    np.testing.assert_allclose(table["xi"], arrays["stellar_params_est"][:, 3])
    assert table.meta["MODEL"] == "Zhang & Green 2025"
    rows, columns = np.triu_indices(6)
    matrix = np.empty((len(table), 6, 6))
    matrix[:, rows, columns] = matrix[:, columns, rows] = arrays["stellar_params_cov_triu"]
    without = np.delete(np.delete(matrix, 3, 1), 3, 2)
    rows, columns = np.triu_indices(5)
    np.testing.assert_allclose(table["stellar_params_cov_triu"], without[:, rows, columns])
    inverse = np.linalg.inv(without)[:, rows, columns]
    np.testing.assert_allclose(table["stellar_params_icov_triu"], inverse, rtol=1e-4, atol=1e-2)
    last = table["all_params_cov_triu"][:, -1]  # xi is last
    np.testing.assert_allclose(last, matrix[:, 3, 3])


def test_gavo_s_table_with_xi(rng):
    arrays = published_arrays(rng, xi=True)
    table = as_catalogue(gavo_table(arrays), "t")
    assert_is(table, arrays)
    np.testing.assert_allclose(table["xi"], arrays["stellar_params_est"][:, 3])


def test_some_columns_of_gavo_s_are_enough(arrays):
    part = gavo_table(arrays)["source_id", "ext", "err_ext", "quality_flags", "mod_parallax",
                              "err_mod_parallax"]  # fmt: skip
    table = as_catalogue(part, "t")
    np.testing.assert_allclose(table["extinction"], arrays["stellar_params_est"][:, 3], rtol=1e-6)
    assert np.isnan(table["teff"]).all() and np.all(table["fit_flags"] & 4)


def test_fit_flags_follow_from_the_published_columns(arrays):
    arrays["gdr3_source_id"][5] = arrays["gdr3_source_id"][6]
    arrays["stellar_params_est"][7] = np.nan
    table = as_catalogue(as_table(arrays), "t")
    np.testing.assert_array_equal(table["fit_flags"][:8], [0, 1024, 1024, 32768, 0, 128, 128, 4])
    np.testing.assert_array_equal(np.flatnonzero(~passes(table, ["reliable"])), [1, 2, 3, 7])


def test_our_own_catalogues_are_none(arrays):
    table = as_catalogue(as_table(arrays), "t")
    assert not is_published(table.colnames) and is_published(list(arrays))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace_column("stellar_params_est", t["stellar_params_est"][:, :4]),
         r"stellar_params_est has \(4,\) values a row"),
        (lambda t: t.replace_column("stellar_params_est", t["stellar_params_est"] * 1000),
         "Teff: the median is .* kK"),
        (lambda t: t.remove_column("stellar_params_err"), "stellar_params_err should have"),
        (lambda t: t.remove_column("gdr3_source_id"), "without source ids"),
        (lambda t: t.replace_column("quality_flags", np.full(len(t), -1)), "no 8-bit integers"),
    ],
)  # fmt: skip
def test_wrong_files_are_refused_by_the_column_s_name(arrays, change, message):
    table = as_table(arrays)
    change(table)
    with pytest.raises(InputError, match=message):
        as_catalogue(table, "file.fits")


def test_a_wrong_unit_is_refused(arrays):
    table = gavo_table(arrays)
    table["mod_parallax"].unit = "kpc"
    with pytest.raises(InputError, match="column mod_parallax: the unit 'kpc'"):
        as_catalogue(table, "file.vot")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_commands_run_on_a_published_catalogue(tmp_path, rng, capsys):
    arrays = published_arrays(rng, 400)
    published, ours = tmp_path / "zgr.h5", tmp_path / "ours.fits"
    write_hdf5(published, arrays)
    gaia_rows(arrays, rng).write(tmp_path / "gaia.fits")
    assert run("convert", published, ours, "--astrometry", tmp_path / "gaia.fits") == 0
    assert "wrote 400 rows" in capsys.readouterr().out
    table = read_catalogue(ours)
    assert_is(table, arrays)
    pull = (table["gaia_parallax"] - table["parallax"]) / table["gaia_parallax_error"]
    assert abs(np.mean(pull)) < 0.5 and np.isfinite(table["absolute_magnitude_g"]).all()
    labels = Table({"source_id": arrays["gdr3_source_id"]})
    for name, place, factor in (("teff", 0, 1000), ("feh", 1, 1), ("logg", 2, 1)):
        labels[name] = factor * arrays["stellar_params_est"][:, place].astype(float)
        labels[f"{name}_err"] = factor * arrays["stellar_params_err"][:, place].astype(float)
    labels.write(tmp_path / "labels.fits")
    for path in (published, ours):
        assert run("select", path, "--output", tmp_path / "s.fits", "--overwrite") == 0
        out = ("--output", tmp_path / "v", "--overwrite", "--quiet")
        assert run("validate", path, "--reference", tmp_path / "labels.fits", *out) == 0
        out = ("--output", tmp_path / "r.html", "--overwrite", "--quiet")
        assert run("report", path, *out) == 0
    for what in ("reliability", "cmd", "sky", "birdseye", "correlations"):
        assert run("plot", what, ours, "--output-dir", tmp_path / what, "--quiet") == 0, what
