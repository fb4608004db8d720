"""Mutated files of the corpus: an error or the right table, never another one.

Only what a reader can know is asked of it: a digit that another digit has replaced is a table of
its own. So cells stay as they are, and what is around them is mutated: names, delimiters, quotes,
line ends, tags, lengths, and any byte of what is packed.
"""

import bz2
import gzip
import lzma
import warnings

import numpy as np
import pytest
from corpus import CORPUS, FILES, difference, expected_columns, read_columns

from xpfit import InputError

TEXTS = (".csv", ".tsv", ".txt", ".ecsv", ".jsonl", ".ndjson", ".json", ".tbl")
PACKED = (".gz", ".bz2", ".xz", ".zip")


def cut(content: bytes, rng) -> bytes:
    """The file ends too early."""
    return content[: rng.integers(1, len(content))]


def damaged(content: bytes, rng) -> bytes:
    """One byte of a packed file, whose unpacker notices, is another."""
    place = int(rng.integers(len(content)))
    changed = (content[place] + int(rng.integers(1, 256))) % 256
    return content[:place] + bytes([changed]) + content[place + 1 :]


def packed(content: bytes, rng) -> bytes:
    """Packed, and the name does not say so."""
    return (gzip, bz2, lzma)[rng.integers(3)].compress(content)


def packed_and_cut(content: bytes, rng) -> bytes:
    """Packed, and the file ends too early."""
    return cut(packed(content, rng), rng)


def packed_and_damaged(content: bytes, rng) -> bytes:
    """Packed, and one byte is another."""
    return damaged(packed(content, rng), rng)


def other_line_ends(content: bytes, rng) -> bytes:
    """Line ends of other systems."""
    return content.replace(b"\r\n", b"\n").replace(b"\n", (b"\r\n", b"\r")[rng.integers(2)])


def row_without_delimiter(content: bytes, rng) -> bytes:
    """A comma of one of the rows is missing."""
    lines = content.split(b"\n")
    full = [i for i, line in enumerate(lines[1:], 1) if line.count(b",") > 1 and line[:1] != b"#"]
    if not full:
        return content
    row = int(rng.choice(full))
    place = lines[row].rfind(b",")
    lines[row] = lines[row][:place] + lines[row][place + 1 :]
    return b"\n".join(lines)


def row_with_more_cells(content: bytes, rng) -> bytes:
    """A row has more cells than the table has columns."""
    lines = content.split(b"\n")
    full = [i for i, line in enumerate(lines[1:], 1) if line.count(b",") > 1 and line[:1] != b"#"]
    if not full:
        return content
    row = int(rng.choice(full))
    lines[row] = lines[row].rstrip(b"\r") + b",7" * int(rng.integers(1, 4))
    return b"\n".join(lines)


def other_name(content: bytes, rng) -> bytes:
    """A column has another name, everywhere."""
    names = [n for n in (b"flux_error", b"parallax", b"bp_coefficients", b"teff") if n in content]
    if not names:
        return content
    name = names[rng.integers(len(names))]
    return content.replace(name, name[::-1])


def repeated(content: bytes, rng) -> bytes:
    """The file is there twice, one after the other, as `cat` does it."""
    return content + content


def more_at_the_end(content: bytes, rng) -> bytes:
    """Something that is no row follows."""
    return content + rng.bytes(int(rng.integers(1, 3000)))


def filled_with_zeros(content: bytes, rng) -> bytes:
    """Zeros where a copy was not finished."""
    start = int(rng.integers(len(content)))
    return content[:start] + bytes(len(content) - start)


def byte_order_mark(content: bytes, rng) -> bytes:
    """As Windows' editors save texts."""
    return b"\xef\xbb\xbf" + content


def capital_names(content: bytes, rng) -> bytes:
    """Names of columns in capitals."""
    for name in (b"source_id", b"flux", b"parallax", b"bp_coefficients"):
        content = content.replace(name, name.upper())
    return content


FOR_ALL = (cut, packed, packed_and_cut, packed_and_damaged)
FOR_TEXTS = (
    other_line_ends, row_without_delimiter, row_with_more_cells, other_name, repeated,
    byte_order_mark, capital_names, filled_with_zeros,
)  # fmt: skip


def mutations_for(name: str) -> tuple:
    """Mutations after which the right answer for a file is known."""
    if name.endswith(PACKED):
        return (cut, damaged)
    if name.endswith(TEXTS):
        return FOR_ALL + FOR_TEXTS
    return FOR_ALL


def complaint(seed: int, folder) -> str:
    """What is wrong with how a mutated file is read; empty if nothing is."""
    rng = np.random.default_rng([20, seed])
    name = FILES[rng.integers(len(FILES))]
    kinds = mutations_for(name)
    mutate = kinds[rng.integers(len(kinds))]
    content = (CORPUS / name).read_bytes()
    path = folder / f"{seed}_{name.rpartition('/')[2]}"
    path.write_bytes(mutate(content, rng))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            columns, problems = read_columns(name.split("/")[0], path)
    except InputError as error:
        return "" if path.name in str(error) else f"{name}, {mutate.__name__}: no file in {error}"
    except Exception as error:
        return f"{name}, {mutate.__name__}, seed {seed}: {type(error).__name__}: {error}"
    finally:
        path.unlink()
    return "; ".join(
        f"{name}, {mutate.__name__}, seed {seed}: {fault}"
        for fault in faults(columns, problems, expected_columns(name), mutate, name)
    )


def faults(columns: dict, problems: list, wanted: dict, mutate, name: str) -> list[str]:
    """Columns that are others than those of the file before it was mutated."""
    n_row = len(wanted["source_id"])
    good = np.array([not problem for problem in problems], dtype=bool)
    if mutate is repeated:
        wanted = {c: np.concatenate([v, v]) for c, v in wanted.items()}
        if len(good) > 2 * n_row:  # the second lines of names are bad rows, or some of texts
            rows = np.r_[:n_row, len(good) - n_row : len(good)]
            columns, good = {c: v[rows] for c, v in columns.items()}, good[rows]
        n_row *= 2
    if mutate is cut and name.endswith(TEXTS):
        n_row = len(good)  # at the end of a line
        good[-1:] = False  # whose last cell may be cut, of which a warning tells
    if len(good) != n_row:
        return [f"{len(good)} rows, not {n_row}"]
    found: list[str] = []
    if not good.any():
        return found
    for column, values in wanted.items():
        if column in columns:
            found.append(difference(columns[column][good], values[:n_row][good], column))
    return [fault for fault in found if fault]


@pytest.mark.parametrize("start", range(0, 400, 100))
def test_a_mutated_file_is_an_error_or_the_right_table(start, tmp_path):
    complaints = [complaint(seed, tmp_path) for seed in range(start, start + 100)]
    assert [text for text in complaints if text] == []


@pytest.mark.slow
@pytest.mark.parametrize("start", range(400, 10_000, 400))
def test_ten_thousand_mutated_files(start, tmp_path):
    complaints = [complaint(seed, tmp_path) for seed in range(start, start + 400)]
    assert [text for text in complaints if text] == []
