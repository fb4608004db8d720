"""VOTables, text or binary, gzipped or not."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from xml.parsers import expat

from astropy.io import votable
from astropy.io.votable.tree import VOTableFile

from ...errors import InputError
from .base import Format, RowType, require_integers, unpacked
from .compressed import open_binary

_FIELD = re.compile(rb'<FIELD[^>]*?\bname\s*=\s*["\']([^"\']*)["\']', re.IGNORECASE)


_WORDS = re.compile(rb"STREAM|href|<!ENTITY", re.IGNORECASE)

_ENCODING = re.compile(rb'encoding\s*=\s*["\']([^"\']*)')

_LIKE_ASCII = (b"utf-8", b"us-ascii", b"iso-8859-1")

_BLOCK = 1 << 20


class VOTable(Format):
    """XML of the Virtual Observatory; astropy reads it whole."""

    name = "votable"

    def matches(self, head: bytes) -> bool:
        """XML begins with a tag."""
        return head.lstrip().startswith(b"<")

    def column_names(self, path: Path, head: bytes) -> list[str]:
        """Names of the fields."""
        return [name.decode("utf-8", errors="replace") for name in _FIELD.findall(head)]

    def rows(self, path: Path, kind: RowType) -> Iterator[dict]:
        """Rows of the first table."""
        first = first_votable(path)
        columns = kind.columns(first.array.dtype.names or (), path)
        require_integers(first.array.dtype[columns["source_id"]], path)
        yield from unpacked({name: first.array[column] for name, column in columns.items()})


def first_votable(path: Path):
    """First table of a VOTable, as `astropy.io.votable.tree.TableElement`.

    Raises
    ------
    InputError
        As `parse_votable`, or if there is no table.
    """
    try:
        return parse_votable(path).get_first_table()
    except IndexError as error:
        raise InputError(f"{path}: no table in this VOTable") from error


def parse_votable(path: Path) -> VOTableFile:
    """Read a VOTable that is all in itself.

    Parameters
    ----------
    path : Path

    Returns
    -------
    astropy.io.votable.tree.VOTableFile

    Raises
    ------
    InputError
        If its data are elsewhere (``STREAM`` with ``href``), it defines XML entities, or it is
        truncated or damaged.
    """
    try:
        if _may_refer(path):
            with open_binary(path) as file:
                _require_self_contained(file, path)
        with open_binary(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Astropy wants to search in the file.
            source = file if file.seekable() else BytesIO(file.read())
            return votable.parse(source, verify="ignore")
    except InputError:
        raise
    except Exception as error:  # the XML parser has no base class of errors
        raise InputError(
            f"{path}: not a readable VOTable; truncated, damaged or of another kind ({error})"
        ) from error


def _may_refer(path: Path) -> bool:
    """Whether a file may have a ``STREAM`` with ``href``, or entities: the quick look."""
    found: set[bytes] = set()
    with open_binary(path) as file:
        block = file.read(_BLOCK)
        encoding = _ENCODING.search(block[:200])
        if b"\0" in block[:200] or (encoding and encoding[1].lower() not in _LIKE_ASCII):
            return True
        while block:
            found.update(word.upper() for word in _WORDS.findall(block))
            end, block = block[-10:], file.read(_BLOCK)
            block = block and end + block
    return b"<!ENTITY" in found or {b"STREAM", b"HREF"} <= found


def _require_self_contained(file, path: Path) -> None:
    """Refuse what astropy would fetch from elsewhere, and what grows when it is read."""

    def start(name: str, attributes: dict[str, str]) -> None:
        if name.rpartition(":")[2].upper() != "STREAM":
            return
        for key, place in attributes.items():
            if key.rpartition(":")[2].lower() == "href":
                raise InputError(
                    f"{path}: the data are elsewhere ({place[:100]}), which is refused; save the "
                    "table with its data in it"
                )

    def entity(name: str, *_) -> None:
        raise InputError(f"{path}: XML that defines entities ({name[:40]}) is refused")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EntityDeclHandler = start, entity
    parser.ParseFile(file)
