import warnings

import h5py
import numpy as np
import pytest
from astropy.table import Table
from helpers import run_command as run

from xpfit import InputError, read_catalogue, write_catalogue
from xpfit.catalogue import parquet
from xpfit.catalogue.checksum import KEY, Checksums
from xpfit.catalogue.cuts import iterate_catalogue

ENDINGS = [".fits", ".vot", ".ecsv", ".parquet", ".h5"]


@pytest.fixture
def table(rng):
    """Columns of all types, with values that formats write in several ways."""
    teff = rng.normal(5000.0, 100.0, 30)
    teff[:3] = np.nan, -0.0, 1e-300
    return Table(
        {
            "gdr3_source_id": np.arange(30) + 2**60,
            "teff": teff,
            "single": teff.astype(np.float32),
            "flags": np.arange(30, dtype=np.int32),
            "name": [f"star {i}  " if i % 2 else "" for i in range(30)],
            "covariance": rng.normal(size=(30, 3)),
        },
        meta={"MODEL": "a", "SETTINGS": "{}"},
    )


@pytest.mark.parametrize("ending", ENDINGS)
def test_checksums_are_the_same_in_every_format_and_not_seen(table, tmp_path, ending):
    path = tmp_path / f"a{ending}"
    write_catalogue(table, path)
    read = read_catalogue(path)
    assert KEY not in read.meta and KEY not in table.meta
    assert Checksums([read]).columns == Checksums([table]).columns
    assert len(list(iterate_catalogue(path))) == 1


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_number_that_was_changed_is_refused_by_its_column(
    table, tmp_path, ending, capsys, monkeypatch
):
    path = tmp_path / f"a{ending}"
    sums = Checksums([table]).text()
    changed = table.copy()
    changed["teff"][7] += 1.0
    monkeypatch.setattr(Checksums, "text", lambda self: sums)
    write_catalogue(changed, path)
    monkeypatch.undo()
    with pytest.raises(InputError, match="the checksum of teff does not match"):
        read_catalogue(path)
    with pytest.raises(InputError, match="teff"):
        list(iterate_catalogue(path))
    assert run("convert", path, tmp_path / "b.ecsv") == 1
    assert "--no-verify" in capsys.readouterr().err
    assert run("convert", path, tmp_path / "b.ecsv", "--no-verify", "--quiet") == 0
    assert read_catalogue(tmp_path / "b.ecsv")["teff"][7] == changed["teff"][7]


def test_hdf5_that_was_changed_in_place_is_refused(table, tmp_path):
    write_catalogue(table, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["flags"][3] = 77
    with pytest.raises(InputError, match="flags"):
        read_catalogue(tmp_path / "a.h5")


def test_rows_and_columns_that_others_chose_are_read(table, tmp_path):
    write_catalogue(table, tmp_path / "a.fits")
    other = Table.read(tmp_path / "a.fits")
    other["mine"] = 1.0
    other.write(tmp_path / "b.fits")
    assert len(read_catalogue(tmp_path / "b.fits")) == 30
    other[:5].write(tmp_path / "c.fits")
    with pytest.warns(UserWarning, match="5 rows; xpfit wrote 30"):
        assert len(read_catalogue(tmp_path / "c.fits")) == 5


def test_parts_of_parquet_are_verified_as_a_whole(table, tmp_path):
    path = tmp_path / "a.parquet"
    assert parquet.write_parts((table[i : i + 10] for i in (0, 10, 20)), path) == 30
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_catalogue(path)) == 30
        assert sum(map(len, iterate_catalogue(path, ["teff", "flags"]))) == 30
