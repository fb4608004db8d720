"""Files of simulated surveys: prepared spectra, and the truth beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from ..data import Spectra
from ..data.hdf5 import open_hdf5
from ..errors import InputError
from ..files import atomic_output
from ..model import XPModel
from ..prepare.store.hdf5 import write_hdf5
from .survey import Survey


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

    def all_truth() -> dict[str, object]:
        arrays = {f"truth/{k}": np.concatenate([part[k] for part in truth]) for k in truth[0]}
        arrays["truth/extinction_curve"] = model.forward.extinction_curve
        arrays["truth/label_names"] = [name.encode() for name in model.label_names]
        return arrays

    with atomic_output(path, overwrite=overwrite) as whole:
        return write_hdf5(spectra(), whole, all_truth)


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
    InputError
        If the file is not of a simulated survey.
    """
    try:
        with open_hdf5(path) as file:
            truth = {name: values[()] for name, values in file["truth"].items()}
            return truth | {"source_id": file["source_id"][()]}
    except (OSError, KeyError) as error:
        raise InputError(f"{path}: not a simulated survey ({error})") from error
