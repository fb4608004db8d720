"""VOTables, text or binary, gzipped or not."""

from __future__ import annotations

import html
import re
import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from xml.parsers import expat

import numpy as np
from astropy.io import votable
from astropy.io.votable.tree import VOTableFile

from ...errors import InputError
from .base import (
    Format,
    RowType,
    TableFacts,
    common_facts,
    require_integers,
    unpacked,
    warn_of_unused,
)
from .compressed import open_binary

_FIELD = re.compile(rb'<FIELD[^>]*?\bname\s*=\s*["\']([^"\']*)["\']', re.IGNORECASE)


_TAG = re.compile(r"<(?:FIELD|PARAM)\b[^>]*>", re.IGNORECASE)

_DATA = re.compile(rb"<DATA\b", re.IGNORECASE)

_ATTRIBUTE = re.compile(r"""([\w:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")

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

    def facts(self, path: Path, kind: RowType) -> TableFacts:
        """Units are attributes of the fields; GaiaXPy writes wavelengths into a parameter.

        These stand between the beginning of a table and its data, in which no tags of them occur.
        """
        tables, before = [], b""
        with open_binary(path) as file:
            while block := file.read(_BLOCK):
                *whole, before = _DATA.split(before + block)
                tables += [_facts(part) for part in whole]
                before = before[-_BLOCK:]
        fitting = [facts for facts in tables if kind.fits(list(facts.names))]
        return common_facts(path, fitting or tables[:1] or [TableFacts()])

    def rows(self, path: Path, kind: RowType) -> Iterator[dict]:
        """Rows of all tables that have the columns."""
        tables = [(_by_name(table), table) for table in tables_of(path)]
        used = [pair for pair in tables if kind.fits(list(pair[0]))] or tables[:1]
        unused = [f"table {n}" for n, pair in enumerate(tables, 1) if pair not in used]
        warn_of_unused(path, unused, kind)
        for names, table in used:
            columns = kind.columns(list(names), path)
            data = {name: table.array[names[column]] for name, column in columns.items()}
            require_integers(data["source_id"].dtype, path)
            yield from unpacked(data)


def _facts(header: bytes) -> TableFacts:
    """What stands before the data of a table."""
    facts = TableFacts()
    for tag in _TAG.findall(header.rpartition(b"<TABLE")[2].decode("utf-8", errors="replace")):
        given = {name.lower(): html.unescape(a or b) for name, a, b in _ATTRIBUTE.findall(tag)}
        name = given.get("name", "").lower()
        if tag.upper().startswith("<FIELD"):
            facts.names.add(name)
            facts.units |= {name: given["unit"]} if given.get("unit") else {}
        elif name == "sampling":
            facts.sampling = np.array(given.get("value", "").split(), dtype=float)
    return facts


def _by_name(table) -> dict[str, str]:
    """Columns of astropy's array, which are called by their IDs, by the names of the fields."""
    return {f.name: name for f, name in zip(table.fields, table.array.dtype.names, strict=True)}


def tables_of(path: Path) -> list:
    """Tables of a VOTable, as `astropy.io.votable.tree.TableElement`.

    Raises
    ------
    InputError
        As `parse_votable`, or if there is no table.
    """
    tables = list(parse_votable(path).iter_tables())
    if not tables:
        raise InputError(f"{path}: no table in this VOTable")
    return tables


def first_votable(path: Path):
    """First table of a VOTable, as `astropy.io.votable.tree.TableElement`.

    Raises
    ------
    InputError
        As `parse_votable`, or if there is no table.
    """
    return tables_of(path)[0]


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
