"""Data frames that pandas has written to HDF5 (``DataFrame.to_hdf``), in both of its layouts.

Pandas itself would unpickle what is in such files, which can run any program; here, cells of Python
objects are refused, and of pickles only lists of names are read.
"""

from __future__ import annotations

import io
import pickle
import warnings
from collections.abc import Callable

import h5py
import numpy as np

from ...errors import InputError


def is_frame(group: h5py.Group) -> bool:
    """Whether pandas has written a group."""
    return _attribute(group, "pandas_type") in ("frame", "frame_table")


def frame_columns(group: h5py.Group) -> tuple[dict[str, Callable[[slice], np.ndarray]], int]:
    """Columns of a data frame, as functions of a slice of rows, and the number of rows.

    Raises
    ------
    InputError
        If there is no column of numbers or texts.

    Warns
    -----
    UserWarning
        If some columns hold Python objects, which are not read.
    """
    is_table = _attribute(group, "pandas_type") == "frame_table"
    columns, objects, n_row = (_of_table if is_table else _of_blocks)(group)
    where = f"{group.file.filename}: {group.name.strip('/')}"
    if objects:
        warnings.warn(
            f"{where}: not read, since they hold Python objects: {', '.join(objects)}; write texts "
            'and lists as Parquet, or texts with to_hdf(format="table")',
            stacklevel=2,
        )
    if not columns:
        raise InputError(f"{where}: no column of numbers; write the table as Parquet")
    return columns, n_row


def _of_blocks(group: h5py.Group):
    """Layout "fixed": columns of one type are rows or columns of one dataset."""
    columns, objects = {}, []
    index = group["axis1"]
    names = [_text(name) for name in group["axis0"][()]]
    by_name = {}
    for i in range(int(group.attrs["nblocks"])):
        block = group[f"block{i}_values"]
        items = [_text(name) for name in group[f"block{i}_items"][()]]
        if block.dtype == object:
            objects += items
            continue
        turned = bool(block.attrs.get("transposed", 0))
        by_name |= {name: _member(block, place, turned) for place, name in enumerate(items)}
    columns = {name: by_name[name] for name in names if name in by_name}
    return _with_index(columns, index, index.__getitem__), objects, len(index)


def _of_table(group: h5py.Group):
    """Layout "table": a compound dataset, whose fields hold one column or several of one type."""
    node = group["table"]
    columns, objects = {}, []
    for name in node.dtype.names:
        if name == "index":
            continue
        items = _names_in(node.attrs.get(f"{name}_kind"))
        if items is None or not node.dtype[name].shape:
            columns[name] = _field(node, name, None)
        else:
            columns |= {item: _field(node, name, place) for place, item in enumerate(items)}
    return _with_index(columns, group, _field(node, "index", None)), objects, len(node)


def _with_index(columns: dict, described, index: Callable) -> dict:
    """Columns, and the index, if it has a name: that it is source_id is usual."""
    info = _names_in(described.attrs.get("name")) if "name" in described.attrs else None
    name = info[0] if info else _index_name(described)
    return {name: index, **columns} if name and name not in columns else columns


def _index_name(group) -> str:
    """Name of the index in the description of a table; empty if it has none."""
    info = _loaded(group.attrs.get("info"))
    index = info.get("index", {}) if isinstance(info, dict) else {}
    name = index.get("index_name") if isinstance(index, dict) else None
    return name if isinstance(name, str) else ""


def _member(block: h5py.Dataset, place: int, turned: bool) -> Callable[[slice], np.ndarray]:
    """One column of a block."""
    return lambda rows: block[rows, place] if turned else block[place, rows]


def _field(node: h5py.Dataset, name: str, place: int | None) -> Callable[[slice], np.ndarray]:
    """One column of a field."""
    return lambda rows: (
        node.fields(name)[rows] if place is None else node.fields(name)[rows][:, place]
    )


def _names_in(pickled) -> list[str] | None:
    """Names in a pickle; None if it is none of names."""
    names = _loaded(pickled)
    if isinstance(names, str):
        return [names]
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return names
    return None


class _PlainUnpickler(pickle.Unpickler):
    """Of lists, dictionaries and texts alone."""

    def find_class(self, module_name: str, global_name: str):
        raise pickle.UnpicklingError(f"{module_name}.{global_name}")


def _loaded(pickled):
    """What is in a pickle of plain lists, dictionaries and texts; None if it is none."""
    if pickled is None:
        return None
    content = pickled if isinstance(pickled, bytes) else str(pickled).encode("latin-1", "replace")
    try:
        return _PlainUnpickler(io.BytesIO(bytes(content))).load()
    except Exception:  # pickles that are damaged, or none, raise anything
        return None


def _attribute(group: h5py.Group, name: str) -> str:
    """A text among the attributes; empty if there is none."""
    return _text(group.attrs.get(name, ""))


def _text(value) -> str:
    """Bytes or text as text."""
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
