"""Files of companions: one HDF5 file each, with the card of how it came to be."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from .._version import __version__
from ..data.space import space_from_datasets
from ..errors import ModelFileError
from ..files import atomic_output
from .base import Companion
from .features import Features
from .gaianet import GaiaNet
from .svae import ScatterAutoencoder
from .uncertain import UncertainNetwork

FORMAT = "xpfit-companion"
FORMAT_VERSION = 1

KINDS: Mapping[str, type[Companion]] = {
    kind.kind: kind for kind in (UncertainNetwork, ScatterAutoencoder, GaiaNet)
}
"""Companions by name."""


def save_companion(
    companion: Companion, path: str | os.PathLike, *, overwrite: bool = False
) -> None:
    """Write a trained companion to one HDF5 file.

    Parameters
    ----------
    companion : Companion
    path : path-like
    overwrite : bool

    Raises
    ------
    OutputError
        If the file exists or cannot be written.
    """
    features = companion.features_
    with atomic_output(path, overwrite=overwrite) as part, h5py.File(part, "w") as file:
        file.attrs.update(
            format=FORMAT,
            format_version=FORMAT_VERSION,
            xpfit_version=__version__,
            kind=companion.kind,
            space=features.space.name,
            with_parallax=features.with_parallax,
            labels=json.dumps(companion.label_names),
            settings=json.dumps(companion.settings.to_dict()),
            card=json.dumps(companion.card_, sort_keys=True),
        )
        for name, values in features.space.datasets().items():
            file[name] = values
        for name in ("channels", "reference", "mean", "scale"):
            file[f"features/{name}"] = getattr(features, name)
        for name, values in companion.arrays.items():
            compression = "gzip" if values.ndim else None
            file.create_dataset(f"learned/{name}", data=values, compression=compression)


def load_companion(path: str | os.PathLike) -> Companion:
    """Read a companion from its file.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    Companion

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the file is damaged, of another kind, or newer than this version of xpfit.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; train one with 'xpfit companion train'")
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise ModelFileError(f"{path}: an HDF5 file, but not one of a companion")
            if int(file.attrs["format_version"]) > FORMAT_VERSION:
                raise ModelFileError(f"{path}: newer than this xpfit; upgrade xpfit")
            return _build(file)
    except ModelFileError:
        raise
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise ModelFileError(
            f"{path}: not a file of a companion, or a damaged one ({error}); copy it again"
        ) from error


def _build(file: h5py.File) -> Companion:
    """Companion from an open, checked file."""
    kind = KINDS[str(file.attrs["kind"])]
    settings = kind.settings_kind(**json.loads(file.attrs["settings"]))
    companion = kind(json.loads(file.attrs["labels"]), settings)
    companion.features_ = Features(
        space_from_datasets(str(file.attrs["space"]), file),
        *(file[f"features/{name}"][()] for name in ("channels", "reference")),
        bool(file.attrs["with_parallax"]),
        *(file[f"features/{name}"][()] for name in ("mean", "scale")),
    )
    arrays: dict[str, np.ndarray] = {}
    file["learned"].visititems(
        lambda name, item: arrays.update({name: item[()]} if isinstance(item, h5py.Dataset) else {})
    )
    companion.restore(arrays)
    companion.card_ = json.loads(file.attrs["card"])
    expected = companion.network.n_parameters
    if np.shape(companion.parameters_) != (expected,):
        raise ValueError(f"{len(companion.parameters_)} parameters, not {expected}")
    return companion
