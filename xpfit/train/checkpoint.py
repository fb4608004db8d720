"""Checkpoints: all that an unfinished training needs to go on as if it had not stopped."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from pathlib import Path

import numpy as np

from .._version import __version__
from ..data.spectra import Spectra
from ..errors import InputError
from ..files import atomic_output
from .recipe import Recipe

FACTS = "facts"
"""Name under which a checkpoint keeps what is not an array, as JSON."""


def training_fingerprint(
    spectra: Spectra, label_names, recipe: Recipe, rng: np.random.Generator
) -> str:
    """SHA-256 of everything that decides how a training goes: data, labels, recipe, seed, version.

    Parameters
    ----------
    spectra : Spectra
    label_names : sequence of str
    recipe : Recipe
    rng : numpy.random.Generator
        As the training starts with it.

    Returns
    -------
    str
    """
    digest = hashlib.sha256()
    settings = [__version__, list(label_names), recipe.to_dict(), rng.bit_generator.state]
    digest.update(json.dumps(settings, sort_keys=True, default=repr).encode())
    arrays = [spectra.source_id, spectra.flux, spectra.flux_err, spectra.wavelength]
    arrays += [spectra.parallax, spectra.parallax_err, spectra.extinction, spectra.extinction_err]
    arrays += [
        values[name] for values in (spectra.labels, spectra.label_err) for name in label_names
    ]
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def write_checkpoint(path: str | os.PathLike, arrays: dict[str, np.ndarray], facts: dict) -> None:
    """Write a checkpoint, whole or not at all, in place of an earlier one.

    Parameters
    ----------
    path : path-like
    arrays : dict of str to ndarray
    facts : dict
        JSON-able.
    """
    with atomic_output(path, overwrite=True) as part, open(part, "wb") as file:
        np.savez(file, **arrays, **{FACTS: np.array(json.dumps(facts))})


def read_checkpoint(
    path: str | os.PathLike, fingerprint: str
) -> tuple[dict[str, np.ndarray], dict]:
    """Read a checkpoint of the training that is about to go on.

    Parameters
    ----------
    path : path-like
    fingerprint : str
        From `training_fingerprint`.

    Returns
    -------
    arrays : dict of str to ndarray
    facts : dict

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If the file is damaged, or of a training with other data, recipe or seed.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no checkpoint to go on from; start without --resume")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        facts = json.loads(str(arrays.pop(FACTS)))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: not a checkpoint of a training, or a damaged one ({error}); start again"
        ) from error
    if facts["fingerprint"] != fingerprint:
        raise InputError(
            f"{path}: this checkpoint is of a training with other stars, labels, recipe, seed or "
            "version of xpfit; give the same ones, or start again"
        )
    return arrays, facts
