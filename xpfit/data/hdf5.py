"""HDF5 files that xpfit writes: header, version, checksum and errors."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from .._version import __version__
from ..errors import InputError, ModelFileError, XpfitError
from ..files import atomic_output, existing_file
from ..integrity import require_plausible_size, verifying
from .sink import Sink


@dataclass(frozen=True)
class FileFormat:
    """A format of files: its header, and how its files are opened.

    Parameters
    ----------
    name : str
        Attribute ``format`` of the files.
    content : str
        What such a file is, with its article, for messages.
    version : int
        Newest version of the layout that is read and written: attribute ``format_version``.
    error : type of Exception
        Raised for files that cannot be read.
    missing, remedy : str
        Text of the error for a file that does not exist, and advice for a damaged one.
    has_checksum : bool
        Whether attribute ``checksum`` holds the SHA-256 of all else in the file.
    """

    name: str
    content: str
    version: int = 1
    error: type[XpfitError] = ModelFileError
    missing: str = "no such file; check the path"
    remedy: str = "copy it again"
    has_checksum: bool = False

    @property
    def header(self) -> dict[str, Any]:
        """Attributes that every file of the format has."""
        return {"format": self.name, "format_version": self.version, "xpfit_version": __version__}

    @contextmanager
    def writing(
        self, path: str | os.PathLike[str], *, overwrite: bool = False
    ) -> Iterator[h5py.File]:
        """Open a new file, which is written completely or not at all.

        Raises
        ------
        OutputError
            If the file exists or cannot be written.
        """
        with atomic_output(path, overwrite=overwrite) as part, new_hdf5(part) as file:
            file.attrs.update(self.header)
            yield file
            if self.has_checksum:
                file.attrs["checksum"] = _checksum(file)

    @contextmanager
    def reading(self, path: str | os.PathLike[str]) -> Iterator[h5py.File]:
        """Open a file and check its header.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        error
            If the file is damaged (errors of the reader in the block included), of another kind,
            or newer than this version of xpfit.
        """
        path = existing_file(path, self.missing)
        with self.explained(path), open_hdf5(path) as file:
            self.check(file.attrs, path)
            if self.has_checksum and verifying() and _checksum(file) != file.attrs["checksum"]:
                raise self.error(
                    f"{path}: checksum does not match, the file is damaged; {self.remedy}"
                )
            yield file

    @contextmanager
    def explained(self, path: str | os.PathLike[str]) -> Iterator[None]:
        """Raise `error` in place of what reading a damaged file raises."""
        try:
            yield
        except XpfitError:
            raise
        except (OSError, LookupError, ValueError, TypeError, RuntimeError, AttributeError) as error:
            raise self.error(
                f"{path}: not {self.content}, or a damaged one ({error}); {self.remedy}"
            ) from error

    def check(
        self,
        header: Mapping[str, Any],
        path: str | os.PathLike[str],
        container: str = "an HDF5 file",
    ) -> None:
        """Raise `error` for the header of another format or of a newer version.

        Raises
        ------
        error
        """
        if header.get("format") != self.name:
            raise self.error(f"{path}: {container}, but not {self.content}")
        version = int(header.get("format_version", 1))
        if version > self.version:
            raise self.error(
                f"{path}: format version {version} is newer than this xpfit reads "
                f"({self.version}); upgrade xpfit"
            )


@contextmanager
def open_hdf5(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """Open an HDF5 file that is all in itself, and is not larger than it can be.

    Parameters
    ----------
    path : path-like

    Yields
    ------
    h5py.File

    Raises
    ------
    InputError
        If it links to other files or keeps its data in them, if a group contains itself, or if its
        arrays cannot be in a file of its size.
    OSError
        If it is not a readable HDF5 file.
    """
    with h5py.File(path, "r") as file:
        try:
            _require_self_contained(file, path)
        except InputError:
            raise
        except (LookupError, RuntimeError, TypeError, ValueError) as error:
            raise OSError(f"damaged: {error}") from error
        yield file


def _require_self_contained(file: h5py.File, path: str | os.PathLike[str]) -> None:
    """The checks of `open_hdf5`."""
    waiting, seen, n_bytes = [file["/"]], {file["/"].id}, 0
    while waiting:
        group = waiting.pop()
        for name in group:
            place = f"{path}: {group.name.rstrip('/')}/{name}"
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise InputError(f"{place} is a link to another file ({link.filename}); refused")
            node = group.get(name)
            if isinstance(node, h5py.Dataset):
                if node.external or node.is_virtual:
                    raise InputError(f"{place} keeps its data in another file; refused")
                n_bytes += (node.size or 0) * node.dtype.itemsize
            elif isinstance(link, h5py.SoftLink):
                raise InputError(f"{place} is a link to {link.path}, which is no dataset; refused")
            elif isinstance(node, h5py.Group):
                if node.id in seen:
                    raise InputError(f"{place} is a group that is linked twice; refused")
                seen.add(node.id)
                waiting.append(node)
    require_plausible_size(path, n_bytes)


class NewFile(h5py.File):  # type: ignore[misc]
    """A new HDF5 file, as `new_hdf5` opens it."""

    def __init__(self, sink: Sink):
        super().__init__(sink, "w")
        self._sink = sink

    def require_written(self) -> None:
        """Raise the error of an earlier write, if there was one, or have a signal take effect."""
        self._sink.require_written()


@contextmanager
def new_hdf5(path: str | os.PathLike[str]) -> Iterator[NewFile]:
    """Open a new HDF5 file for writing, so that a full disk is an error and nothing worse.

    Parameters
    ----------
    path : path-like

    Yields
    ------
    NewFile

    Raises
    ------
    OSError
        If a write failed, at the end of the block at the latest.
    """
    with open(path, "x+b", buffering=0) as raw:
        sink = Sink(raw)
        with sink.postponing_signals():
            try:
                with NewFile(sink) as file:
                    yield file
            finally:
                sink.require_written()


def arrays_of(group: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """All arrays below a group, by their paths in it."""
    found = {}
    for name, node in group.items():
        if isinstance(node, h5py.Dataset):
            found[name] = node[()]
        else:
            found |= {f"{name}/{inner}": values for inner, values in arrays_of(node).items()}
    return found


def require_arrays(found: Mapping[str, tuple[Any, tuple[int | None, ...]]]) -> None:
    """Refuse arrays that are not numbers, are not finite, or do not fit together.

    Parameters
    ----------
    found : mapping of str to (ndarray, shape)
        By name; lengths that are None may be any.

    Raises
    ------
    ValueError
        Within `FileFormat.reading` the error of a damaged file.
    """
    for name, (values, shape) in found.items():
        array = np.asarray(values)
        if array.ndim != len(shape) or any(
            n not in (None, m) for n, m in zip(shape, array.shape, strict=True)
        ):
            expected = ", ".join("any" if n is None else str(n) for n in shape)
            raise ValueError(f"{name} has shape {array.shape}, expected ({expected})")
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{name} has type {array.dtype}, expected numbers")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} has values that are not finite")


def digest(arrays: Mapping[str, np.ndarray], attributes: Mapping[str, Any]) -> str:
    """SHA-256 over arrays and attributes with their names, in hexadecimal digits."""
    sha = hashlib.sha256()
    for name in sorted(arrays):
        sha.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    for name in sorted(attributes):
        sha.update(f"{name}={attributes[name]}".encode())
    return sha.hexdigest()


def _checksum(file: h5py.File) -> str:
    """SHA-256 over all names, values and attributes of the file."""
    return digest(arrays_of(file), {k: v for k, v in file.attrs.items() if k != "checksum"})
