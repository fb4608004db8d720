"""The corpus of tests/data/corpus: its files, what they hold, and how the package reads them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from xpfit.read import read_continuous, read_sampled, read_table
from xpfit.read.source_ids import ids_of
from xpfit.read.tables import float_column

CORPUS = Path(__file__).parent / "data" / "corpus"
sys.path.insert(0, str(CORPUS))
import expected  # noqa: E402

KINDS = {
    "continuous": expected.CONTINUOUS, "sampled": expected.SAMPLED, "table": expected.TABLE,
}  # fmt: skip

FILES = sorted(
    str(path.relative_to(CORPUS)) for kind in KINDS for path in (CORPUS / kind).rglob("*.*")
)

OWN = {"problem", "bp_chi_squared", "rp_chi_squared"}
"""Columns that the readers of spectra add."""

ROW_NUMBERS = {"unnamed: 0", "", "col0"}
"""How pandas' row numbers are called in CSV."""


def expected_columns(name: str) -> dict[str, np.ndarray]:
    """Columns of a file of the corpus."""
    omitted = expected.OMITTED.get(name) or expected.OMITTED.get(name.replace("_old/", "/"), ())
    columns = KINDS[name.split("/")[0]]
    return {column: values for column, values in columns.items() if column not in omitted}


def read_columns(kind: str, path: Path) -> tuple[dict, list[str]]:
    """Columns as the package reads them, by names in lower case, and problems of the rows."""
    if kind == "table":
        table = read_table(path)
        return {column.lower(): table[column] for column in table.colnames}, [""] * len(table)
    read = read_continuous if kind == "continuous" else read_sampled
    options = {} if kind == "continuous" else {"sampling": expected.WAVELENGTH}
    tables = list(read(path, **options))
    assert len(tables) == 1
    return {c.lower(): tables[0][c] for c in tables[0].colnames}, list(tables[0]["problem"])


def difference(values, wanted: np.ndarray, column: str) -> str:
    """How cells differ from those that a file was made from; empty if they do not."""
    if len(values) != len(wanted):
        return f"{column}: {len(values)} rows, not {len(wanted)}"
    if wanted.dtype.kind == "U":
        same = [str(x) for x in np.asarray(values)] == list(wanted)
    elif wanted.dtype.kind == "b":
        same = [str(x).lower() in ("true", "1", "t") for x in values] == list(wanted)
    elif column == "source_id":
        same = not len(wanted) or np.array_equal(ids_of(values, "the file"), wanted)
    else:
        wanted = np.where(wanted == -1, np.nan, wanted) if wanted.dtype.kind == "i" else wanted
        rtol = 1e-12 if wanted.dtype.itemsize == 8 else 1e-6
        read = float_column(values)
        same = read.shape == wanted.shape and np.allclose(
            read, wanted, rtol=rtol, atol=2e-15, equal_nan=True
        )
        same = same and (column.find("flux") < 0 or np.allclose(read, wanted, rtol=rtol, atol=0))
    return "" if same else f"{column}: {values!r}, not {wanted!r}"
