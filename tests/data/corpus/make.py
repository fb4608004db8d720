"""Make the corpus: three tables, written by every library and program that writes such tables.

    python tests/data/corpus/make.py            with the libraries that are installed
    python tests/data/corpus/make.py --oldest   the same with old ones, under other names

The tables are always the same: `continuous` and `sampled` spectra of three sources and a `table` of
photometry, parallaxes and labels of five. What the files must be read as is in `expected.py`'s
functions of the same names; ``stilts`` (Debian's package) writes TOPCAT's formats.
"""

from __future__ import annotations

import argparse
import gzip
import json
import lzma
import shutil
import subprocess
import tempfile
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
from astropy.io import fits, votable
from astropy.table import MaskedColumn, Table
from expected import CONTINUOUS, OMITTED, SAMPLED, TABLE, UNITS

HERE = Path(__file__).parent

NAMES = {"continuous": CONTINUOUS, "sampled": SAMPLED, "table": TABLE}


def astropy_table(columns: dict) -> Table:
    """Masked where floats are NaN or integers negative."""
    table = Table()
    for name, values in columns.items():
        if values.ndim == 1 and values.dtype.kind == "f":
            table[name] = MaskedColumn(values, mask=np.isnan(values), unit=UNITS.get(name))
        elif values.ndim == 1 and values.dtype.kind == "i" and (values < 0).any():
            table[name] = MaskedColumn(np.where(values < 0, 0, values), mask=values < 0)
        else:
            table[name] = values
            table[name].unit = UNITS.get(name)
    return table


def lists(columns: dict) -> dict:
    """Columns as lists of Python objects, None where masked or where all of an array is NaN."""
    out = {}
    for name, values in columns.items():
        cells = values.tolist()
        if values.ndim == 2:
            cells = [None if np.isnan(row).all() else row.tolist() for row in values]
        elif values.dtype.kind == "f":
            cells = [None if np.isnan(x) else x for x in cells]
        elif values.dtype.kind == "i":
            cells = [None if x < 0 else x for x in cells]
        out[name] = cells
    return out


def write_astropy(kind: str, folder: Path) -> None:
    """FITS, VOTable, texts, HDF5 and Parquet by astropy."""
    table = astropy_table(NAMES[kind])
    table.write(folder / "plain.fits")
    table.write(folder / "gz.fits.gz")
    hdu = fits.table_to_hdu(table)
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((2, 2))), hdu]).writeto(
        folder / "after_image.fits"
    )
    for form in ("tabledata", "binary", "binary2"):
        name = f"{folder.relative_to(HERE)}/{form}.vot"
        written = without(table, omitted(name))
        votable.writeto(
            votable.from_table(written), str(folder / f"{form}.vot"), tabledata_format=form
        )
    table.write(folder / "comma.ecsv", delimiter=",")
    table.write(folder / "space.ecsv")
    table.write(folder / "serialized.h5", path="data", serialize_meta=True)
    if kind == "table":
        without(table, ("n_obs",)).filled(np.nan).write(folder / "filled.h5", path="group/data")
        table.write(folder / "plain.csv", format="ascii.csv")
        table.write(folder / "tab.tsv", format="ascii.tab")
        table.write(folder / "commented.txt", format="ascii.commented_header")
        table.write(folder / "bar.csv", format="ascii.basic", delimiter="|")
        table.write(folder / "semicolon.csv", format="ascii.basic", delimiter=";")
        table.write(folder / "ipac.tbl", format="ascii.ipac")
        table.write(folder / "plain.parquet", format="parquet")
    else:
        write_variable(table, folder / "variable.fits")


def omitted(name: str) -> tuple[str, ...]:
    """Columns that a file lacks."""
    return OMITTED.get(name) or OMITTED.get(name.replace("_old/", "/"), ())


def without(table: Table, names) -> Table:
    """Without some columns."""
    return table[[name for name in table.colnames if name not in names]]


def write_variable(table: Table, path: Path) -> None:
    """FITS with arrays of variable length, as the archive writes it."""
    columns = []
    for name in table.colnames:
        values = table[name]
        code = {"i": "K", "f": "D"}[values.dtype.kind]
        if values.ndim == 1:
            columns.append(fits.Column(name, code, array=np.asarray(values), unit=UNITS.get(name)))
            continue
        cells = np.empty(len(table), dtype=object)
        cells[:] = [np.empty(0) if np.isnan(row).all() else np.asarray(row) for row in values]
        columns.append(fits.Column(name, f"P{code}()", array=cells, unit=UNITS.get(name)))
    fits.BinTableHDU.from_columns(columns).writeto(path)


def write_pandas(kind: str, folder: Path) -> None:
    """CSV, JSON lines, Parquet, Feather and HDF5 by pandas."""
    frame = pd.DataFrame(lists(NAMES[kind]))
    for name in ("n_obs",):
        if name in frame:
            frame[name] = frame[name].astype("Int16")
    if kind != "sampled":  # whose fluxes pandas rounds to zero: it writes 15 decimals at most
        frame.to_json(folder / "lines.jsonl", orient="records", lines=True, double_precision=15)
    frame.to_parquet(folder / "plain.parquet")
    frame.set_index("source_id").to_parquet(folder / "index.parquet")
    frame.to_feather(folder / "plain.feather")
    frame.to_csv(folder / "plain.csv", index=False)
    frame.to_csv(folder / "index.csv")
    frame.to_csv(folder / "bz2.csv.bz2", index=False)
    if kind == "table":
        frame.to_csv(folder / "tab.tsv", index=False, sep="\t", na_rep="NA")
        frame = frame.drop(columns=["n_obs"])
        frame.to_hdf(folder / "fixed.h5", key="frame")
        frame.to_hdf(folder / "table.h5", key="frame", format="table")
        frame.set_index("source_id").to_hdf(
            folder / "columns.h5", key="group/frame", format="table", data_columns=True
        )


def write_pyarrow(kind: str, folder: Path) -> None:
    """Parquet and Feather with lists of fixed, small and large sizes, compressed or not."""
    columns = lists(NAMES[kind])
    arrays, sized = {}, {}
    for name, values in NAMES[kind].items():
        if values.ndim == 2:
            arrays[name] = pa.array(columns[name], pa.large_list(pa.float64()))
            sized[name] = pa.array(columns[name], pa.list_(pa.float64(), values.shape[1]))
        else:
            kinds = {"i": {2: pa.int16(), 8: pa.int64()}, "f": {4: pa.float32(), 8: pa.float64()}}
            known = kinds.get(values.dtype.kind, {}).get(values.dtype.itemsize)
            arrays[name] = sized[name] = pa.array(columns[name], known)
    pyarrow.parquet.write_table(pa.table(arrays), folder / "large_list.parquet", compression="zstd")
    pyarrow.parquet.write_table(pa.table(sized), folder / "fixed_list.parquet", row_group_size=2)
    for packing in ("uncompressed", "lz4", "zstd"):
        pyarrow.feather.write_feather(
            pa.table(arrays), str(folder / f"{packing}.feather"), compression=packing, chunksize=2
        )
    if kind == "table":
        texts = {**columns, "name": pa.array(columns["name"]).dictionary_encode()}
        pyarrow.parquet.write_table(pa.table(texts), folder / "dictionary.parquet")


def write_h5py(kind: str, folder: Path) -> None:
    """HDF5 with one dataset per column, at the top and in a group."""
    for name, place in (("top", ""), ("group", "spectra/")):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            for column, values in NAMES[kind].items():
                if column == "n_obs":
                    continue
                data = values.astype("S") if values.dtype.kind == "U" else values
                file.create_dataset(place + column, data=data, compression="gzip")
                if column in UNITS:
                    file[place + column].attrs["unit"] = UNITS[column]


def write_polars(kind: str, folder: Path) -> None:
    """CSV (without arrays), JSON lines, Parquet and Feather by polars."""
    import polars

    frame = polars.DataFrame(lists(NAMES[kind]), strict=False)
    frame.write_ndjson(folder / "lines.ndjson")
    frame.write_parquet(folder / "plain.parquet")
    frame.write_ipc(folder / "plain.arrow", compression="lz4")
    if kind == "table":
        frame.write_csv(folder / "plain.csv")


def write_avro(kind: str, folder: Path) -> None:
    """Avro, as GaiaXPy writes it."""
    import fastavro

    columns, fields = lists(NAMES[kind]), []
    for name, values in NAMES[kind].items():
        base = {"i": "long", "f": "double", "b": "boolean"}.get(values.dtype.kind, "string")
        item = {"type": "array", "items": "double"} if values.ndim == 2 else base
        fields.append({"name": name, "type": ["null", item]})
    schema = fastavro.parse_schema({"type": "record", "name": "row", "fields": fields})
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    with (folder / "deflate.avro").open("wb") as file:
        fastavro.writer(file, schema, rows, codec="deflate")


def write_stilts(kind: str, folder: Path) -> None:
    """What TOPCAT writes."""
    with tempfile.TemporaryDirectory() as work:
        source = Path(work) / "in.fits"
        astropy_table(NAMES[kind]).write(source)
        forms = {
            "fits-basic.fits": "fits-basic", "fits-plus.fits": "fits-plus",
            "fits-var.fits": "fits-var",
            "colfits-basic.fits": "colfits-basic", "colfits-plus.fits": "colfits-plus",
            "tabledata.vot": "votable-tabledata", "binary.vot": "votable-binary-inline",
            "binary2.vot": "votable-binary2-inline", "fits.vot": "votable-fits-inline",
            "comma.ecsv": "ecsv-comma", "space.ecsv": "ecsv-space", "plain.csv": "csv",
        }  # fmt: skip
        if kind == "table":
            forms |= {"plain.txt": "ascii", "plain.tbl": "ipac"}
        for name, form in forms.items():
            subprocess.run(
                ["stilts", "tcopy", f"in={source}", f"out={folder / name}", f"ofmt={form}"],
                check=True,
            )


def write_dialects(kind: str, folder: Path) -> None:
    """By hand: what servers and people make of these tables."""
    columns = lists(NAMES[kind])
    names = list(columns)
    rows = list(zip(*columns.values(), strict=True))

    def cell(value, brackets="()", null="", quote='"') -> str:
        if value is None:
            return null
        if isinstance(value, list):
            inner = ", ".join(repr(x) for x in value)
            return quote + brackets[0] + inner + brackets[1] + quote
        text = str(value)
        if quote and any(c in text for c in ',;|\t"'):
            return quote + text.replace(quote, 2 * quote) + quote
        return text

    def text(separator=",", **how) -> str:
        lines = [separator.join(cell(x, **how) for x in row) for row in rows]
        return "\n".join([separator.join(names), *lines]) + "\n"

    archive = "# %ECSV 1.0\n# ---\n# delimiter: ','\n# datatype:\n"
    for name, values in NAMES[kind].items():
        datatype = {"U": "string", "b": "bool"}.get(values.dtype.kind, values.dtype.name)
        sub = f"\n#   subtype: {datatype}[null]" if values.ndim == 2 else ""
        archive += f"# -\n#   name: {name}\n#   datatype: {'string' if sub else datatype}{sub}\n"
        archive += f"#   unit: {UNITS[name]}\n" if name in UNITS else ""
    bulk = archive + text(brackets="[]", null="null")
    (folder / "bulk.csv.gz").write_bytes(gzip.compress(bulk.encode(), mtime=0))
    if kind != "table":
        (folder / "unquoted.csv").write_text(text(quote=""))
    (folder / "windows.csv").write_bytes(("\ufeff" + text()).replace("\n", "\r\n").encode())
    (folder / "old_mac.csv").write_bytes(text().replace("\n", "\r").encode())
    (folder / "no_last_end.csv").write_text(text().rstrip("\n"))
    (folder / "capitals.csv").write_text(text().replace(",".join(names), ",".join(names).upper()))
    (folder / "comments.csv").write_text("# made by hand\n#\n" + text() + "# the end\n")
    (folder / "nulls.csv").write_text(text(null="NULL"))
    (folder / "xz.csv.xz").write_bytes(lzma.compress(text().encode()))
    with zipfile.ZipFile(folder / "one.zip", "w", zipfile.ZIP_DEFLATED) as archive_file:
        archive_file.writestr(zipfile.ZipInfo("table.csv"), text())
    (folder / "tab.tsv").write_text(text("\t"))
    (folder / "list.json").write_text(
        json.dumps([dict(zip(names, row, strict=True)) for row in rows])
    )
    if kind == "table":
        units = [UNITS.get(name, "") for name in names]
        dashes = ["-" * len(name) for name in names]
        lines = [";".join(cell(x) for x in row) for row in rows]
        head = ["#", "#  VizieR Astronomical Server", "#", ";".join(names), ";".join(units)]
        (folder / "vizier.tsv").write_text("\n".join([*head, ";".join(dashes), *lines, ""]))


WRITERS = {
    "astropy": write_astropy, "pandas": write_pandas, "pyarrow": write_pyarrow, "h5py": write_h5py,
    "polars": write_polars, "avro": write_avro, "stilts": write_stilts, "dialects": write_dialects,
}  # fmt: skip

OLDEST = ("astropy", "pandas", "pyarrow", "h5py", "avro")


def main() -> None:
    """Write all files anew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--oldest", action="store_true", help="write the files of old libraries")
    oldest = parser.parse_args().oldest
    warnings.simplefilter("ignore")
    for writer in OLDEST if oldest else WRITERS:
        for kind in NAMES:
            folder = HERE / kind / (f"{writer}_old" if oldest else writer)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            WRITERS[writer](kind, folder)
            print(f"{folder.relative_to(HERE)}: {len(list(folder.iterdir()))} files")


if __name__ == "__main__":
    main()
