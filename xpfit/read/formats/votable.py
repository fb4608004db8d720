"""VOTables in all serialisations, packed or not."""

from __future__ import annotations

import base64
import html
import re
import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from xml.parsers import expat

import numpy as np
from astropy.io import fits, votable
from astropy.io.votable.tree import TableElement, VOTableFile
from astropy.table import Table

from ...errors import InputError
from .base import (
    Format,
    RowType,
    TableFacts,
    chosen,
    common_facts,
    of_kind,
    require_integers,
    unpacked,
    warn_of_unused,
)
from .compressed import UNPACKING_ERRORS, open_binary, read_head, table_in

_FIELD = re.compile(rb'<FIELD[^>]*?\bname\s*=\s*["\']([^"\']*)["\']', re.IGNORECASE)


_TAG = re.compile(r"<(?:FIELD|PARAM)\b[^>]*>", re.IGNORECASE)

_DATA = re.compile(rb"<DATA\b", re.IGNORECASE)

_ATTRIBUTE = re.compile(r"""([\w:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")

_FITS = re.compile(
    rb"<FITS[^>]*>\s*<STREAM[^>]*encoding=[\"']base64[\"'][^>]*>([^<]*)", re.IGNORECASE
)

_WORDS = re.compile(rb"STREAM|href|<!ENTITY", re.IGNORECASE)

_ENCODING = re.compile(rb'encoding\s*=\s*["\']([^"\']*)')

_LIKE_ASCII = (b"utf-8", b"us-ascii", b"iso-8859-1")

_BLOCK = 1 << 20


class VOTable(Format):
    """XML of the Virtual Observatory; astropy reads it whole."""

    name, title = "votable", "VOTable"

    def matches(self, head: bytes) -> bool:
        """XML begins with a tag, but so do the pages by which servers tell of errors."""
        start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        return start.startswith(b"<") or b"\0<\0" in start[:8] or b"<\0" in start[:8]

    def column_names(self, path: Path, head: bytes) -> list[str]:
        """Names of the fields in the head, or in the table that the path names."""
        if table_in(path):
            return super().column_names(path, head)
        return [name.decode("utf-8", errors="replace") for name in _FIELD.findall(head)]

    def tables(self, path: Path) -> dict[str, list[str]]:
        """By number and name."""
        return {label: list(_by_name(element)) for label, element in tables_of(path).items()}

    def table(self, path: Path, name: str) -> Table:
        """As astropy reads it; parameters are metadata."""
        element = tables_of(path)[name]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = element.to_table(use_names_over_ids=True)
        table.meta.update({param.name: param.value for param in element.params})
        return table

    def facts(self, path: Path, kind: RowType) -> TableFacts:
        """Units are attributes of the fields; GaiaXPy writes wavelengths into a parameter.

        These stand between the beginning of a table and its data, in which no tags of them occur.
        """
        tables, names, before = [], [], b""
        try:
            with open_binary(path) as file:
                while block := file.read(_BLOCK):
                    *whole, before = _DATA.split(before + block)
                    tables += [_facts(part) for part in whole]
                    names += [_table_name(part) for part in whole]
                    before = before[-_BLOCK:]
        except UNPACKING_ERRORS as error:
            raise InputError(f"{path}: the file is truncated or damaged ({error})") from error
        numbers = dict(enumerate(names, start=1))
        meant = [tables[n - 1] for n in chosen(path, numbers)] if tables else [TableFacts()]
        used = of_kind({n: list(facts.names) for n, facts in enumerate(meant)}, kind)
        return common_facts(path, [meant[n] for n in used])

    def rows(self, path: Path, kind: RowType) -> Iterator[dict]:
        """Rows of all tables that have the columns."""
        tables = tables_of(path)
        used = of_kind({label: list(_by_name(table)) for label, table in tables.items()}, kind)
        warn_of_unused(path, [label for label in tables if label not in used], kind)
        for label in used:
            table = tables[label]
            names = _by_name(table)
            columns = kind.columns(list(names), path)
            data = {name: table.array[names[column]] for name, column in columns.items()}
            require_integers(data["source_id"].dtype, path)
            yield from unpacked(data)


def _table_name(header: bytes) -> str:
    """Name, or ID, in the tag that begins a table."""
    tag = header.rpartition(b"<TABLE")[2].partition(b">")[0].decode("utf-8", errors="replace")
    given = {name.lower(): html.unescape(a or b) for name, a, b in _ATTRIBUTE.findall(tag)}
    return given.get("name") or given.get("id", "")


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


def tables_of(path: Path) -> dict[str, TableElement]:
    """Tables of a VOTable by number and name; the one that the path names, if it does.

    Raises
    ------
    InputError
        As `parse_votable`, or if there is no table, or not that one.
    """
    tables = dict(enumerate(parse_votable(path).iter_tables(), start=1))
    names = {n: str(table.name or table.ID or "") for n, table in tables.items()}
    return {f"table {n} {names[n]}".strip(): tables[n] for n in chosen(path, names)}


def first_votable(path: Path) -> TableElement:
    """First of `tables_of`."""
    return next(iter(tables_of(path).values()))


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
            if _is_fits_inside(path):
                return _with_fits(file.read())
            # Astropy wants to search in the file.
            source = file if file.seekable() else BytesIO(file.read())
            return votable.parse(source, verify="ignore")
    except InputError:
        raise
    except Exception as error:  # the XML parser has no base class of errors
        raise InputError(
            f"{path}: not a readable VOTable; truncated, damaged or of another kind ({error})"
        ) from error


def _is_fits_inside(path: Path) -> bool:
    """Whether the head of a file has data in FITS (TOPCAT's votable-fits-inline)."""
    return _FITS.search(read_head(path)) is not None


def _with_fits(content: bytes) -> VOTableFile:
    """A VOTable whose data are FITS files in base64, which astropy does not read."""
    whole: VOTableFile | None = None
    for text in _FITS.findall(content):
        with fits.open(BytesIO(base64.b64decode(text))) as hdus:
            for hdu in hdus[1:]:
                part = votable.from_table(Table.read(hdu, format="fits"))
                if whole is None:
                    whole = part
                else:
                    whole.resources[0].tables.append(part.get_first_table())
    if whole is None:
        raise ValueError("no table in its FITS data")
    return whole


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
