"""Simulated XP continuous spectra, as the Gaia archive writes them, and an archive."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import h5py
import numpy as np
from astropy.io import fits, votable
from astropy.table import MaskedColumn, Table

from xpfit.read.archive.queries import QUERIES
from xpfit.releases import DR3, Release

FORMATS = (
    "csv (a, b)", "csv [a, b]", "csv unquoted", "ecsv", "bulk csv.gz", "fits", "fits fixed",
    "fits.gz", "votable text", "votable binary", "votable binary2.gz", "hdf5", "hdf5 group",
)  # fmt: skip

N_SOURCE = 7
"""Sources of `FakeGaia`."""


def archive_sources(n_star: int, rng: np.random.Generator, n_bp: int = 55, n_rp: int = 55) -> Table:
    """Spectra with falling coefficients, small errors and proper correlation matrices."""
    table = Table()
    table["source_id"] = 2**61 + np.arange(n_star) * 3 + 1
    for band, n, level in (("bp", n_bp, 3000.0), ("rp", n_rp, 5000.0)):
        decay = np.exp(-np.arange(n) / 6.0)
        coefficients = level * decay * (1.0 + 0.3 * rng.standard_normal((n_star, n)))
        mixing = 0.3 * rng.standard_normal((n_star, n, 8))
        matrix = mixing @ np.swapaxes(mixing, 1, 2) + np.eye(n)
        scale = np.sqrt(np.diagonal(matrix, axis1=1, axis2=2))
        matrix /= scale[:, :, None] * scale[:, None, :]
        rows, columns = np.tril_indices(n, -1)
        table[f"{band}_n_parameters"] = np.full(n_star, n, dtype=np.int16)
        table[f"{band}_standard_deviation"] = rng.uniform(1.0, 1.3, n_star).astype(np.float32)
        table[f"{band}_coefficients"] = coefficients
        errors = rng.uniform(5.0, 15.0, (n_star, n)) * (0.2 + decay)
        table[f"{band}_coefficient_errors"] = errors.astype(np.float32)
        table[f"{band}_coefficient_correlations"] = matrix[:, rows, columns].astype(np.float32)
        table[f"{band}_n_relevant_bases"] = np.full(n_star, n - 2, dtype=np.int16)
    return table


def write_archive(table: Table, path: Path, style: str) -> Path:
    """Write sources in one of `FORMATS`; cells that hold None are nulls."""
    if style.startswith("fits"):
        content = _fits_bytes(table, variable="fixed" not in style)
    elif style.startswith("hdf5"):
        content = _hdf5_bytes(table, "spectra/" if "group" in style else "")
    elif style.startswith("votable"):
        kind = style.split()[1].removesuffix(".gz").replace("text", "tabledata")
        content = _votable_bytes(table, kind)
    else:
        content = _csv_text(table, style).encode()
    path.write_bytes(gzip.compress(content) if style.endswith(".gz") else content)
    return path


def _cell(value, style: str) -> str:
    if value is None:
        return "null" if style.startswith("bulk") else ""
    if np.ndim(value) == 0:
        return str(value)
    brackets = "[]" if style in ("csv [a, b]", "ecsv", "bulk csv.gz") else "()"
    text = brackets[0] + ", ".join(repr(float(v)) for v in value) + brackets[1]
    return text if style == "csv unquoted" else f'"{text}"'


def _csv_text(table: Table, style: str) -> str:
    lines = ["# %ECSV 1.0", "# ---"] if style in ("ecsv", "bulk csv.gz") else []
    lines.append(",".join(table.colnames))
    lines += [",".join(_cell(row[name], style) for name in table.colnames) for row in table]
    return "\n".join(lines) + "\n"


def _fits_bytes(table: Table, variable: bool) -> bytes:
    columns = []
    for name in table.colnames:
        values = table[name]
        if values.ndim == 1 and values.dtype != object:
            code = {"i8": "K", "i2": "I", "f4": "E", "f8": "D"}[values.dtype.str[1:]]
            columns.append(fits.Column(name, code, array=values))
            continue
        code = "D" if name.endswith("_coefficients") else "E"
        if variable:
            cells = np.empty(len(table), dtype=object)
            cells[:] = [np.empty(0) if v is None else np.asarray(v) for v in values]
            columns.append(fits.Column(name, f"P{code}()", array=cells))
        else:
            columns.append(fits.Column(name, f"{values.shape[1]}{code}", array=values))
    out = io.BytesIO()
    fits.BinTableHDU.from_columns(columns).writeto(out)
    return out.getvalue()


def _votable_bytes(table: Table, kind: str) -> bytes:
    out = io.BytesIO()
    votable.writeto(votable.from_table(table), out, tabledata_format=kind)
    return out.getvalue()


def _hdf5_bytes(table: Table, group: str) -> bytes:
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        for name in table.colnames:
            cells = list(table[name])
            size = next((np.shape(cell) for cell in cells if cell is not None), ())
            filled = [np.full(size, np.nan) if cell is None else cell for cell in cells]
            file[group + name] = np.array(filled)
    return out.getvalue()


def as_votable(table: Table) -> bytes:
    out = io.BytesIO()
    votable.writeto(votable.from_table(table), out)
    return out.getvalue()


def records(table: Table):
    """A table as astroquery's datalink hands it over."""
    return votable.parse(io.BytesIO(as_votable(table))).get_first_table()


class FakeGaia:
    """The two methods of astroquery's GaiaClass that are used, with answers from tables.

    Only the retrieval types and data structures of `understood` are: others end in what `refuse`
    raises.
    """

    def __init__(self, rng, release: Release = DR3, n_bp: int = 6, n_rp: int = 5):
        self.release = release
        self.spectra = archive_sources(N_SOURCE, rng, n_bp, n_rp)
        self.ids = np.asarray(self.spectra["source_id"])
        self.has_xp = np.arange(N_SOURCE) != 2
        self.unknown = {int(self.ids[5])}
        self.broken, self.dropped, self.requests = set(), set(), []
        self.upper_case = False
        self.understood = {(release.retrieval_types[0], release.data_structures[0])}
        self.epoch_answer = epoch_table
        self.refusal = OSError("Error 400:\nInvalid value of RETRIEVAL_TYPE")
        self.tried = []

    def launch_job_async(self, query, *, upload_resource, upload_table_name):
        assert upload_table_name == "wanted"
        queries = {adql(self.release): name for name, adql in QUERIES.items()}
        name = {"gaia_source": "gaia", "two_mass": "tmass", "allwise": "wise"}[queries[query]]
        self._request(name, upload_resource["source_id"])
        ids = [i for i in upload_resource["source_id"] if int(i) not in self.unknown]
        rows = np.searchsorted(self.ids, ids)
        table = Table({"source_id": np.array(ids, dtype=np.int64)})
        if name == "gaia":
            table["has_xp_continuous"] = self.has_xp[rows]
            table["parallax"] = MaskedColumn(1.0 + rows, mask=rows == 1)
            if self.release is DR3:
                table["norm_dg"] = -20.0 + 0.0 * rows
            if self.release.zero_point:
                table[self.release.zero_point] = -0.03 + 0.0 * rows
        else:
            table = table[rows % 2 == (name == "wise")]
            column = "j_m" if name == "tmass" else "w1mpro"
            table[column] = np.full(len(table), 12.0)
            table["ph_qual" if name == "tmass" else "cc_flags"] = np.array(
                ["AAA" if name == "tmass" else "0000"] * len(table), dtype=object
            )
        if self.upper_case:
            table.rename_column("source_id", "SOURCE_ID")
        self.answer = table
        return self

    def get_results(self):
        return self.answer

    def load_data(self, ids, **options):
        assert options["data_release"] == self.release.datalink
        names = (options["retrieval_type"], options["data_structure"])
        self.tried.append(names)
        epochs = names[0] in self.release.epoch_types
        if names not in self.understood:
            raise self.refusal
        self._request("epochs" if epochs else "spectra", ids)
        send = [i for i in ids if i not in self.dropped]
        self.dropped -= set(ids)
        if not send:
            return {}
        if epochs:
            return self.epoch_answer(send)
        table = self.spectra[np.isin(self.ids, send)]
        if self.upper_case:
            table.rename_column("source_id", "SOURCE_ID")
        return {f"{names[0]}_{names[1]}.xml": [records(table)]}

    def _request(self, name, ids):
        self.requests.append((name, [int(i) for i in ids]))
        if name in self.broken:
            raise OSError("500 Internal Server Error")


def epochs_of(ids) -> Table:
    """Two epochs of each source, with lists, missing integers, units and texts."""
    n = 2 * len(ids)
    table = Table({"SOURCE_ID": np.repeat(np.array(ids, dtype=np.int64), 2)})
    table["transit_id"] = MaskedColumn(2**60 + np.arange(n), mask=np.arange(n) == 1)
    table["obs_time"] = 1700.0 + np.arange(n)
    table["obs_time"].unit = "d"
    table["bp_coefficients"] = np.arange(4.0 * n).reshape(n, 4)
    table["note"] = np.array(["a", "bb"] * len(ids))
    return table


def epoch_table(ids) -> dict:
    """Epoch spectra as one VOTable."""
    return {"EPOCH_SPECTRUM_XP.xml": [records(epochs_of(ids))]}


def epoch_csv(ids) -> dict:
    """Epoch spectra as one CSV file for each source, whose name has the id."""
    return {f"EPOCH_SPECTRUM_XP-Gaia DR4 {i}.csv": [_without_id(i)] for i in ids}


def epoch_zip(ids) -> bytes:
    """Epoch spectra as a ZIP archive of CSV files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for n, i in enumerate(ids):
            text = _csv_text(epochs_of([i])["SOURCE_ID", "obs_time", "bp_coefficients"], "ecsv")
            archive.writestr(f"part_{n}.csv", text)
    return out.getvalue()


def _without_id(source_id) -> Table:
    return epochs_of([source_id])["obs_time", "note"]
