"""Checkpoints: everything that an interrupted training needs to resume with identical results."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping

import numpy as np

from ..errors import InputError
from ..files import atomic_output, existing_file
from ..integrity import require_plausible_size

FACTS = "facts"
"""Name under which a checkpoint keeps what is not an array, as JSON."""


def write_checkpoint(
    path: str | os.PathLike, arrays: Mapping[str, np.ndarray], facts: Mapping
) -> None:
    """Write a checkpoint, whole or not at all, in place of an earlier one.

    Parameters
    ----------
    path : path-like
    arrays : mapping of str to ndarray
    facts : mapping
        JSON-able; ``fingerprint`` identifies the training.
    """
    with atomic_output(path, overwrite=True) as part, open(part, "wb") as file:
        np.savez(file, **arrays, **{FACTS: np.array(json.dumps(facts))})


def read_checkpoint(
    path: str | os.PathLike, fingerprint: str
) -> tuple[dict[str, np.ndarray], dict]:
    """Read the checkpoint of a training that is to be resumed.

    Parameters
    ----------
    path : path-like
    fingerprint : str
        Of the training.

    Returns
    -------
    arrays : dict of str to ndarray
    facts : dict

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If the file is damaged, in the format of an older version, or of another training.
    """
    path = existing_file(path, "no checkpoint to resume from; start without --resume")
    try:
        with np.load(path, allow_pickle=False) as file:
            require_plausible_size(path, sum(part.file_size for part in file.zip.infolist()))
            arrays = {name: file[name] for name in file.files}
        facts = json.loads(str(arrays.pop(FACTS)))
    except InputError:
        raise
    except (OSError, ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: not a checkpoint of this version of xpfit, or a damaged one ({error}); "
            "remove it to start again"
        ) from error
    if facts["fingerprint"] != fingerprint:
        raise InputError(
            f"{path}: this checkpoint is of a training with other stars, labels, settings, seed or "
            "version of xpfit; give the same ones, or remove it to start again"
        )
    return arrays, facts


def arrays_below(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    """The arrays ``name/...`` of a checkpoint, by the rest of their names."""
    prefix = f"{name}/"
    return {k.removeprefix(prefix): x for k, x in arrays.items() if k.startswith(prefix)}
