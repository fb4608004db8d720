"""Files of simulated surveys: prepared spectra, and the truth beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import h5py
import numpy as np

from ..data import Spectra
from ..data.hdf5 import arrays_of, digest, open_hdf5
from ..errors import InputError
from ..files import atomic_output, existing_file
from ..integrity import verifying
from ..model import XPModel
from ..prepare.store.hdf5 import write_hdf5
from .survey import Survey

CHECKSUM = "checksum"
"""Attribute of the group of the truth."""


def write_survey(
    parts: Iterator[Survey], model: XPModel, path: str | os.PathLike, *, overwrite: bool = False
) -> int:
    """Write a survey as prepared spectra (HDF5), the truth beside them in the group ``truth``.

    Parameters
    ----------
    parts : iterable of Survey
    model : XPModel
        That made them; its extinction curve is part of the truth.
    path : path-like
    overwrite : bool

    Returns
    -------
    int
        Number of stars.

    Raises
    ------
    OutputError
        If the file exists or cannot be written.
    """
    truth: list[dict] = []

    def spectra() -> Iterator[Spectra]:
        for part in parts:
            truth.append(part.truth)
            yield part.spectra

    def add_truth(file: h5py.File) -> None:
        group = file.create_group("truth")
        for name in truth[0]:
            group[name] = np.concatenate([part[name] for part in truth])
        group["extinction_curve"] = model.forward.extinction_curve
        group["label_names"] = np.array([n.encode() for n in model.label_names])
        group.attrs[CHECKSUM] = _checksum(file)

    with atomic_output(path, overwrite=overwrite) as whole:
        return write_hdf5(spectra(), whole, add_truth)


def read_truth(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The truth of a survey that `write_survey` wrote.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    dict of str to ndarray
        As `Survey.truth`, and `source_id`, `extinction_curve`, `label_names` (bytes).

    Raises
    ------
    FileNotFoundError, InputError
        If there is no such file, it is not of a simulated survey, or it is damaged.
    """
    existing_file(path)
    try:
        with open_hdf5(path) as file:
            stored = file["truth"].attrs.get(CHECKSUM)  # earlier versions wrote none
            if stored is not None and verifying() and stored != _checksum(file):
                raise InputError(
                    f"{path}: the checksum of the truth does not match, the file is damaged or was "
                    "changed by another program; simulate it again (--no-verify reads it as it is)"
                )
            truth = {name: values[()] for name, values in file["truth"].items()}
            return truth | {"source_id": file["source_id"][()]}
    except (OSError, KeyError) as error:
        raise InputError(f"{path}: not a simulated survey ({error})") from error


def _checksum(file: h5py.File) -> str:
    """SHA-256 of the truth and of the ids that it is of."""
    return digest(arrays_of(file["truth"]) | {"source_id": file["source_id"][()]}, {})
