"""Files that were made to do harm: no reader leaves the file that it was given, or fills memory."""

import gzip
import http.server
import struct
import threading

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import xpfit
from xpfit import InputError, read_catalogue
from xpfit.errors import ModelFileError
from xpfit.model.store import load_model
from xpfit.prepare import iterate_spectra
from xpfit.read import read_table
from xpfit.read.formats import compressed
from xpfit.simulate import read_truth

VOTABLE = """<?xml version="1.0"{encoding}?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>
<FIELD name="source_id" datatype="long"/><FIELD name="j_m" datatype="double"/>
<DATA><BINARY2>{stream}</BINARY2></DATA></TABLE></RESOURCE></VOTABLE>"""

READERS = {"table": read_table, "catalogue": read_catalogue, "spectra": xpfit.read_spectra}


@pytest.fixture
def server():
    """A server that records what is asked of it."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/secret", asked
        running.shutdown()


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("how", ["plain", "zipped", "utf-16", "other case", "single quotes"])
@pytest.mark.parametrize("where", ["file", "http"])
def test_votables_fetch_no_data_from_elsewhere(tmp_path, server, read, how, where):
    (tmp_path / "secret").write_bytes(struct.pack(">xqd", 1, 2.0))
    place, asked = server if where == "http" else (f"file://{tmp_path}/secret", [])
    stream = f'<STREAM href="{place}"/>'
    if how == "other case":
        stream = stream.replace("STREAM", "Stream").replace("href", "HREF")
    if how == "single quotes":
        stream = f"<STREAM\nactuate='>' href = '{place}'></STREAM>"
    encoding = ' encoding="utf-16"' if how == "utf-16" else ""
    text = VOTABLE.format(stream=stream, encoding=encoding)
    content = text.encode("utf-16" if encoding else "utf-8")
    path = tmp_path / ("t.vot.gz" if how == "zipped" else "t.vot")
    path.write_bytes(gzip.compress(content) if how == "zipped" else content)
    with pytest.raises(InputError, match=r"t\.vot"):
        read(path)
    assert asked == []


def test_xml_that_grows_is_refused(tmp_path):
    path = tmp_path / "t.vot"
    path.write_text('<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><VOTABLE>&b;</VOTABLE>')
    with pytest.raises(InputError, match="entities"):
        read_table(path)


def external_link(file, folder):
    file["flux"] = h5py.ExternalLink("secret.h5", "/x")


def link_through_external_group(file, folder):
    file["elsewhere"] = h5py.ExternalLink("secret.h5", "/")
    file["flux"] = h5py.SoftLink("/elsewhere/x")


def external_storage(file, folder):
    (folder / "raw").write_bytes(b"12345678" * 4)
    file.create_dataset("flux", (4,), "f8", external=[("raw", 0, 32)])


def virtual_dataset(file, folder):
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource("secret.h5", "x", (3,))
    file.create_virtual_dataset("flux", layout)


def group_in_itself(file, folder):
    file.create_group("flux")["up"] = file["/"]


def link_to_its_own_group(file, folder):
    file["flux"] = h5py.SoftLink("/")


def eight_terabytes(file, folder):
    file.create_dataset("flux", (10**12,), "f8", chunks=(1000,))


HOSTILE_HDF5 = (
    external_link, link_through_external_group, external_storage, virtual_dataset,
    group_in_itself, link_to_its_own_group, eight_terabytes,
)  # fmt: skip
HDF5_READERS = {
    **READERS, "truth": read_truth, "store": lambda path: list(iterate_spectra(path)),
    "model": load_model, "companion": xpfit.companion.load_companion,
}  # fmt: skip


@pytest.mark.parametrize("make", HOSTILE_HDF5, ids=lambda make: make.__name__)
@pytest.mark.parametrize("read", [r for n, r in HDF5_READERS.items() if n != "table"])
def test_hdf5_files_are_all_in_themselves(tmp_path, make, read):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = np.arange(3.0)
    path = tmp_path / "hostile.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update(format="xpfit-catalogue", columns=["flux"], meta="{}")
        make(file, tmp_path)
    with pytest.raises((InputError, ModelFileError), match=r"hostile\.h5.*(refused|damaged)"):
        read(path)


def test_a_link_to_a_dataset_of_the_same_file_is_read(tmp_path):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file.attrs.update(format="xpfit-catalogue", columns=["b"], meta="{}")
        file["a"] = np.arange(3.0)
        file["b"] = h5py.SoftLink("/a")
    np.testing.assert_array_equal(read_catalogue(tmp_path / "t.h5")["b"], [0.0, 1.0, 2.0])


COLUMNS = [f"{b}_{c}" for b in ("bp", "rp")
           for c in ("coefficients", "coefficient_errors", "coefficient_correlations")]  # fmt: skip
HEADER = ",".join(["source_id", *COLUMNS]).encode() + b"\n"


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize(
    ("name", "start", "filling"),
    [
        ("lines.csv.gz", HEADER, b"\n"),
        ("line.csv.gz", HEADER, b"1"),
        ("t.fits.gz", b"SIMPLE  =                    T".ljust(2880), b" "),
        ("t.vot.gz", b"<VOTABLE><RESOURCE><TABLE><DATA>", b" "),
    ],
)
def test_a_bomb_is_refused_before_it_fills_the_memory(
    tmp_path, read, name, start, filling, monkeypatch
):
    monkeypatch.setattr(compressed, "UNSUSPICIOUS", 1 << 17)
    path = tmp_path / name
    path.write_bytes(gzip.compress(start + filling * ((1 << 22) // len(filling)), 6))
    with pytest.raises(InputError, match="damaged, or made to fill the memory"):
        read(path)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_line_longer_than_any_row_is_refused(tmp_path, read, monkeypatch):
    monkeypatch.setattr(compressed, "MAX_LINE", 1 << 12)
    path = tmp_path / "t.csv"
    path.write_bytes(HEADER + b"1" * (1 << 13))
    with pytest.raises(InputError, match="a line of more than"):
        read(path)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_other_ways_to_pack_a_file_are_refused_by_name(tmp_path, read):
    path = tmp_path / "t.csv"
    path.write_bytes(b"\x28\xb5\x2f\xfd" + HEADER)
    with pytest.raises(InputError, match="packed with zstd"):
        read(path)


def test_parquet_that_unpacks_to_more_than_it_can_hold_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": pa.array(np.zeros(10_000_000))}), path)
    for read in (read_catalogue, xpfit.read_spectra):
        with pytest.raises(InputError, match=r"fill the memory|not a file of prepared spectra"):
            read(path)


def test_what_compresses_well_and_is_small_is_read(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"source_id,x\n" + b"1,1\n" * 100_000))
    assert len(read_table(path)) == 100_000
