"""What is done to a file so that it is not what it should be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from astropy.table import MaskedColumn, Table

CELLS = (
    "", "null", "NULL", "nan", "--", "-", "inf", "-inf", "1e999", "-1", "0", "99.999", "9" * 25,
    str(2**63), str(2**64), "-9999", "1e-320", "abc", "ä", "\ufeff1", "1;2", '"', "'", "(1, 2",
    "[]",
    "(nan, nan)", "[1e400]", "1 2", "0x10", "1_000", "True", "<b>", "x" * 3000, "\x1b[31m", "١٢",
    "Gaia DR3 5853222117302202752",
)  # fmt: skip
"""Cells of tables, and values of options."""

VALUES = (
    None, True, False, 0, -1, 2**63, 10**400, 1.5, float("nan"), float("inf"), -1e308, "", "x",
    "../x", "\ud800", [], {}, [[]], [1, "a"], {"a": None}, [None] * 300,
)  # fmt: skip
"""What JSON can hold."""

NUMBERS = (np.nan, np.inf, -np.inf, 1e308, -1e308, 1e-308, 0.0, -1.0, 1e30, 2.0**63)

TOKENS = (
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n", b'"', b",", b"<", b">", b"&x;", b"]]>", b"#",
    b"=", b"(", b"9" * 40, b"-", b"NaN", b"1e999", b"\xe9", b"'", b"[" * 3000, b"<a>" * 2000,
)  # fmt: skip


def mutate_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """Flip, cut out, repeat, insert or overwrite a few bytes, or cut off the rest."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        start = int(rng.integers(0, max(len(content), 1)))
        if rng.random() < 0.5:
            start = min(start, int(rng.integers(0, 4000)))  # headers
        stop = start + int(rng.integers(1, 20))
        kind = rng.integers(0, 8)
        if kind == 0 and content:
            content[start % len(content)] ^= int(rng.integers(1, 256))
        elif kind == 1:
            del content[start:stop]
        elif kind == 2:
            content[start:start] = content[start:stop]
        elif kind == 3:
            content[start:start] = rng.bytes(5)
        elif kind == 4:
            content[start:start] = TOKENS[rng.integers(len(TOKENS))]
        elif kind == 5:
            content[start:stop] = bytes([int(rng.choice([0, 32, 48, 57, 255]))]) * (stop - start)
        elif kind == 6:
            content[start : start + 3000] = b""
        elif rng.random() < 0.3:
            del content[start:]
    return bytes(content)


def mutate_text(content: bytes, rng: np.random.Generator) -> bytes:
    """Exchange cells, lines, separators, or the encoding of a text."""
    text = content.decode("utf-8", "replace")
    separator = next((s for s in (",", "|", " ") if s in text), ",")
    for _ in range(rng.integers(1, 3)):
        lines = text.split("\n")
        row = int(rng.integers(len(lines)))
        cells = lines[row].split(separator)
        kind = rng.integers(0, 8)
        if kind < 4:
            cells[rng.integers(len(cells))] = str(rng.choice(CELLS))
        elif kind == 4:
            cells += ["1"] * int(rng.integers(1, 3)) if rng.random() < 0.5 else []
            cells = cells[: int(rng.integers(0, len(cells) + 1))]
        elif kind == 5:
            cells = cells * int(rng.integers(2, 50))
        lines[row] = separator.join(cells)
        if kind == 6:
            lines = lines[: int(rng.integers(0, len(lines) + 1))]
        elif kind == 7:
            lines[row:row] = lines[: int(rng.integers(1, 4))]
        text = "\n".join(lines)
    kind = rng.integers(0, 12)
    if kind == 0:
        text = text.replace("\n", str(rng.choice(["\r", "\r\n", "\n\n", "\x85", "\u2028"])))
    elif kind == 1:
        text = text.replace(separator, str(rng.choice([";", "\t", "  ", "|"])))
    elif kind == 2:
        text = "\ufeff" + text
    elif kind == 3:
        return text.encode(str(rng.choice(["utf-16", "utf-32", "utf-7"])), "replace")
    elif kind == 4:
        return text.replace("a", "é").encode("latin-1", "replace")
    return text.encode("utf-8", "surrogatepass")


def mutate_table(table: Table, rng: np.random.Generator) -> Table:
    """Exchange, remove, rename or repeat columns and rows of a table."""
    table = table.copy()
    for _ in range(rng.integers(1, 3)):
        if not table.colnames:
            break
        name = str(rng.choice(table.colnames))
        kind = rng.integers(0, 9)
        if kind == 0:
            table.remove_column(name)
        elif kind == 1:
            table.rename_column(name, str(rng.choice(["x", "", "é", name.upper(), name + "_1"])))
        elif kind == 2:
            table = table[: int(rng.integers(0, 2))]
        elif kind == 3:
            table = table[rng.integers(0, max(len(table), 1), 2 * len(table))]
        elif kind == 4 and table[name].dtype.kind == "f" and len(table):
            table[name][rng.integers(len(table))] = rng.choice(NUMBERS)
        else:
            table[name] = _other_column(table[name], rng)
    return table


def _other_column(column, rng: np.random.Generator):
    """A column of the same length, of another type or shape."""
    n = len(column)
    makers: tuple[Callable, ...] = (
        lambda: np.full(n, str(rng.choice(CELLS[:-8]))),
        lambda: np.full(n, rng.choice(NUMBERS)),
        lambda: np.full(n, 2**64 - 1, dtype=np.uint64),
        lambda: np.full(n, -1, dtype=np.int64),
        lambda: np.zeros(n, dtype=bool),
        lambda: np.zeros((n, 2)),
        lambda: np.zeros((n, 0)),
        lambda: np.zeros((n, 2, 3), dtype=np.int16),
        lambda: np.full(n, 1j),
        lambda: np.asarray(column).astype(">f4") if column.dtype.kind in "iuf" else column,
        lambda: np.asarray(column).astype(str),
        lambda: MaskedColumn(np.asarray(column), mask=True),
        lambda: np.full(n, b"\xff\xfe"),
    )
    return makers[rng.integers(len(makers))]()


def mutate_json(text: str, rng: np.random.Generator) -> str:
    """Exchange one value in JSON, or nest it too deeply."""
    if rng.random() < 0.08:
        return str(rng.choice(["[" * 100_000, '{"a":' * 50_000, "9" * 6000, "", "\0", "nul"]))
    try:
        tree = json.loads(text)
    except ValueError:
        return text[: int(rng.integers(len(text) + 1))]
    holder, key = {"": tree}, ""
    while isinstance(holder[key], (dict, list)) and holder[key] and rng.random() < 0.8:
        holder = holder[key]
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = keys[rng.integers(len(keys))]
    if rng.random() < 0.2 and not (holder == {"": tree} and key == ""):
        del holder[key]
    else:
        holder[key] = VALUES[rng.integers(len(VALUES))]
    return json.dumps(holder[""] if set(holder) == {""} else tree)


def mutate_hdf5(path: Path, rng: np.random.Generator) -> None:
    """Exchange datasets and attributes of a file, in place."""
    with h5py.File(path, "r+") as file:
        for _ in range(rng.integers(1, 3)):
            nodes: list[str] = []
            file.visit(nodes.append)
            if rng.random() < 0.3 or not nodes:
                _mutate_attribute(file[str(rng.choice(["/", *nodes]))], rng)
                continue
            name = str(rng.choice(nodes))
            node = file[name]
            whole = isinstance(node, h5py.Dataset) and (node.size or 0) < 1 << 22
            values = node[()] if whole else None
            attributes = dict(node.attrs)
            del file[name]
            if rng.random() < 0.85:
                _other_node(file, name, values, rng)
                if isinstance(file.get(name, getlink=True), h5py.HardLink):
                    file[name].attrs.update(attributes)


def _other_node(file: h5py.File, name: str, values, rng: np.random.Generator) -> None:
    """Something else under the name of a dataset or group."""
    kind = int(rng.integers(0, 14))
    if isinstance(values, np.ndarray) and values.ndim and kind < 7:
        if kind == 0:
            values = values[: int(rng.integers(0, 2))]
        elif kind == 1:
            values = values[..., None]
        elif kind == 2:
            values = np.concatenate([values, values])
        elif kind == 3 and values.dtype.kind == "f" and values.size:
            values.flat[rng.integers(values.size)] = rng.choice(NUMBERS)
        elif kind == 4 and values.dtype.kind in "iu" and values.size:
            limits = np.iinfo(values.dtype)
            values.flat[rng.integers(values.size)] = rng.choice([limits.min, limits.max, 0, 1])
        elif kind == 5:
            values = np.full(values.shape, rng.choice(NUMBERS))
        else:
            values = values.T if values.ndim > 1 else values[::-1]
        file[name] = values
        return
    makers: tuple[Callable, ...] = (
        lambda: file.create_group(name),
        lambda: file.__setitem__(name, h5py.Empty("f8")),
        lambda: file.__setitem__(name, "text"),
        lambda: file.__setitem__(name, 3),
        lambda: file.__setitem__(name, np.array([b"\xff", b"a"])),
        lambda: file.create_dataset(name, (10**12,), "f8", chunks=(1000,)),
        lambda: file.create_dataset(name, (3, 10**7), "f8", chunks=(1, 1000)),
        lambda: file.__setitem__(name, h5py.SoftLink(f"/{name}")),
        lambda: file.__setitem__(name, h5py.ExternalLink("stars.h5", "/flux")),
        lambda: file.__setitem__(name, np.zeros(3, dtype=[("a", "f8"), ("b", "i4")])),
        lambda: file.__setitem__(name, np.zeros((2, 3), dtype=bool)),
        lambda: file.create_dataset(name, data=["é", "b"], dtype=h5py.string_dtype()),
        lambda: file.create_dataset(name, (3,), dtype=h5py.vlen_dtype("f8")),
    )
    makers[rng.integers(len(makers))]()


def _mutate_attribute(node, rng: np.random.Generator) -> None:
    """Remove an attribute, or give it another value."""
    if not len(node.attrs):
        node.attrs["x"] = 1
        return
    name = str(rng.choice(list(node.attrs)))
    old = node.attrs[name]
    kind = rng.integers(0, 10)
    if isinstance(old, str) and old[:1] in ("{", "[") and rng.random() < 0.7:
        node.attrs[name] = mutate_json(old, rng).replace("\0", "")[:60_000]
    elif kind == 0:
        del node.attrs[name]
    elif kind == 1:
        node.attrs[name] = h5py.Empty("f8")
    elif kind == 2:
        node.attrs[name] = np.bytes_(b"\xff\xfe")
    elif kind == 3:
        node.attrs[name] = np.zeros((2, 2))
    else:
        choice = ("", "x", -1, 0, 10**9, np.nan, np.inf, True, "ä" * 100, "{}", "[]", "null")
        node.attrs[name] = choice[rng.integers(len(choice))]


def mutate_directory(path: Path, rng: np.random.Generator) -> None:
    """Damage one file of a directory, or exchange it for something else."""
    files = sorted(p for p in path.rglob("*") if p.is_file())
    file = files[rng.integers(len(files))]
    if rng.random() < 0.5:
        file = path / str(rng.choice(["run.json", "manifest.jsonl"]))
    kind = rng.integers(0, 10)
    if kind == 0:
        file.unlink()
    elif kind == 1:
        file.unlink()
        file.mkdir()
    elif kind == 2:
        file.unlink()
        file.symlink_to(file.name)
    elif kind == 3:
        shutil.copyfile(files[rng.integers(len(files))], file.with_name("copy" + file.suffix))
    elif file.suffix in (".json", ".jsonl") and kind < 9:
        lines = file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]
        if lines:
            row = int(rng.integers(len(lines)))
            lines[row] = mutate_json(lines[row], rng)
            if rng.random() < 0.2:
                lines.insert(row, lines[int(rng.integers(len(lines)))])
        file.write_text("\n".join(lines) + "\n", "utf-8", "surrogatepass")
    else:
        file.write_bytes(mutate_bytes(file.read_bytes(), rng))
