import lsdb
import numpy as np
import pytest
from astropy.table import Column, Table

from xpfit import InputError
from xpfit.catalogue import hats, parquet
from xpfit.catalogue.hats import (
    COUNTED_ORDER,
    MAX_ROWS,
    _cells,
    most_rows,
    plan_partitions,
    write_hats_metadata,
    write_partition,
)
from xpfit.catalogue.run.work import Part, sorted_rows
from xpfit.healpix import first_source_id, healpix_29, position_of_id


def rows_on_the_sky(rng, n, first=0):
    """Rows all over the sky, half of them crowded in one place."""
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    ra[::2], dec[::2] = rng.normal(45.0, 0.5, len(ra[::2])), rng.normal(20.0, 0.5, len(ra[::2]))
    table = Table({"gdr3_source_id": first_source_id(ra, dec) + first + np.arange(n)})
    table["ra"], table["dec"] = ra, dec
    table["fit_flags"] = Column(np.zeros(n, dtype=np.int16))
    table["_healpix_29"] = healpix_29(ra, dec)
    return table


@pytest.fixture
def parts(rng, tmp_path, monkeypatch):
    """Files of sorted rows, in groups so small that several are read."""
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 16)
    tables = [rows_on_the_sky(rng, 150, 1000 * k) for k in range(3)]
    tables[2][7] = tables[0][3]  # a source that stands in two files
    paths = [tmp_path / f"{k}.parquet" for k in range(3)]
    for table, path in zip(tables, paths, strict=True):
        parquet.write(sorted_rows(table), path)
    return tables, paths


def test_cells_cover_all_rows_once_and_are_as_large_as_may_be(rng):
    counts = rng.poisson(0.02, 12 * 4**COUNTED_ORDER)
    counts[1234] = 500
    cells = _cells(counts, 100)
    covered = np.zeros(len(counts), dtype=int)
    for order, pixel in cells:
        size = 4 ** (COUNTED_ORDER - order)
        covered[pixel * size : (pixel + 1) * size] += 1
        n = counts[pixel * size : (pixel + 1) * size].sum()
        assert 0 < n <= 100 or order == COUNTED_ORDER
        if order:  # the parent would have been too full
            parent = pixel // 4 * 4 * size
            assert counts[parent : parent + 4 * size].sum() > 100
    assert covered.max() == 1 and np.all(covered[counts > 0] == 1)


@pytest.mark.parametrize("max_rows", [5, 40, 10_000])
def test_every_row_is_in_its_partition_once_and_in_order(parts, tmp_path, max_rows):
    tables, paths = parts
    partitions = plan_partitions(paths, max_rows)
    ids = []
    for partition in partitions:
        part = write_partition(None, partition, str(tmp_path / "catalogue"))
        table = parquet.read(tmp_path / "catalogue" / partition.name)
        assert part.rows == len(table) == partition.n_rows
        cells = np.asarray(table["_healpix_29"])
        assert np.all(np.diff(cells) >= 0)
        assert np.all(cells >> 2 * (29 - partition.order) == partition.pixel)
        ids += table["gdr3_source_id"].tolist()
    everything = np.concatenate([table["gdr3_source_id"] for table in tables])
    np.testing.assert_array_equal(np.sort(ids), np.sort(everything))
    assert max(partition.n_rows for partition in partitions) <= max_rows
    assert len(partitions) > 15 if max_rows <= 40 else len(partitions) <= 12
    # A crowded place is divided beyond the grid on which rows are counted.
    assert max(partition.order for partition in partitions) > COUNTED_ORDER or max_rows > 5


def test_rows_in_one_place_stay_together(rng, tmp_path):
    table = rows_on_the_sky(rng, 12)
    for name in table.colnames:
        table[name] = table[name][0]
    parquet.write(table, tmp_path / "0.parquet")
    (partition,) = plan_partitions([tmp_path / "0.parquet"], 5)
    assert (partition.order, partition.pixel) == (29, table["_healpix_29"][0])
    assert write_partition(None, partition, str(tmp_path)).rows == 12


def test_long_rows_make_smaller_partitions():
    assert most_rows([Part("a", 10_000, 6_000_000, "")]) == MAX_ROWS
    long = [Part("a", 10_000, 50_000_000, ""), Part("b", 10_000, 150_000_000, "")]
    assert most_rows(long) == 50_000  # of 10 kB each: half a gigabyte


def test_a_source_that_stands_in_two_inputs_is_flagged_in_both_rows(parts, tmp_path):
    tables, paths = parts
    flagged = []
    for partition in plan_partitions(paths):
        write_partition(None, partition, str(tmp_path))
        table = parquet.read(tmp_path / partition.name)
        flagged += table["gdr3_source_id"][table["fit_flags"] == 128].tolist()
    assert flagged == [tables[0]["gdr3_source_id"][3]] * 2


def test_damaged_rows_are_named(parts, tmp_path):
    partitions = plan_partitions(parts[1])
    content = bytearray(parts[1][1].read_bytes())
    content[4:400] = bytes(396)
    parts[1][1].write_bytes(content)
    with pytest.raises(InputError, match=r"1\.parquet: damaged"):
        for partition in partitions:
            write_partition(None, partition, str(tmp_path))


def test_positions_of_ids_are_within_an_arcminute(rng):
    ra, dec = rng.uniform(0, 360, 500), np.degrees(np.arcsin(rng.uniform(-1, 1, 500)))
    ids = first_source_id(ra, dec) + 17
    there = position_of_id(ids)
    offset = np.hypot((there[0] - ra + 180) % 360 - 180, 0) * np.cos(np.radians(dec))
    assert np.hypot(offset, there[1] - dec).max() < 1 / 60
    np.testing.assert_array_equal(healpix_29(ra, dec) >> 34, ids >> 35)
    assert np.isnan(position_of_id(np.array([0, -5, 2**62 + 2**61]))).all()
    np.testing.assert_array_equal(healpix_29(np.array([np.nan]), np.array([1.0])), 0)


def test_metadata_count_the_rows_with_and_without_those_of_all_files(parts, tmp_path, monkeypatch):
    partitions = plan_partitions(parts[1], 40)
    for partition in partitions:
        write_partition(None, partition, str(tmp_path))
    write_hats_metadata(tmp_path, partitions, "test")
    properties = dict(
        line.split("=") for line in (tmp_path / "hats.properties").read_text().splitlines()
    )
    assert properties["hats_nrows"] == "450" and properties["hats_col_healpix"] == "_healpix_29"
    import pyarrow.parquet as pq

    assert pq.read_metadata(tmp_path / "dataset" / "_metadata").num_rows == 450
    monkeypatch.setattr(hats, "MAX_COLLECTED", len(partitions) - 1)
    write_hats_metadata(tmp_path, partitions, "test")
    assert not (tmp_path / "dataset" / "_metadata").exists()
    assert (tmp_path / "dataset" / "_common_metadata").exists()
    assert len(lsdb.open_catalog(tmp_path)) == 450
