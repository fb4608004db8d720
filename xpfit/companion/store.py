"""Files of companions: one HDF5 file each, with the record of its training."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

import h5py
import numpy as np

from ..data import Spectra, space_from_datasets
from ..data.hdf5 import FileFormat, arrays_of, require_arrays
from ..errors import InputError
from .base import Companion
from .colours import COLOURS
from .features import Features
from .gaianet import GaiaNet
from .svae import ScatterAutoencoder
from .uncertain import UncertainNetwork

FORMAT = FileFormat(
    "xpfit-companion",
    "a file of a companion",
    missing="no such file; train one with 'xpfit companion train'",
)

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
    with FORMAT.writing(path, overwrite=overwrite) as file:
        file.attrs.update(
            kind=companion.kind,
            space=features.space.name,
            with_parallax=features.with_parallax,
            colours=json.dumps(features.colours),
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
    with FORMAT.reading(path) as file:
        return _build(file)


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
        tuple(json.loads(file.attrs.get("colours", "[]"))),  # older files have none
    )
    arrays = arrays_of(file["learned"])
    # Older files have the outlier detector under another name.
    companion.restore({name.replace("oddity/", "outliers/"): x for name, x in arrays.items()})
    companion.card_ = json.loads(file.attrs["card"])
    companion.preparation  # noqa: B018  raises if the card has none, or an impossible one
    _require_consistent(companion)
    return companion


def _require_consistent(companion: Companion) -> None:
    """Refuse arrays of a file that do not fit together; what was learned has to predict."""
    features, n_obs = companion.features_, companion.space.n_obs
    require_arrays(
        {
            "features/channels": (features.channels, (n_obs,)),
            "features/reference": (features.reference, (n_obs,)),
        }
    )
    if features.channels.dtype != bool:
        raise TypeError("features/channels must be truth values")
    unknown = set(features.colours) - set(COLOURS)
    if unknown:
        raise ValueError(f"the colours {', '.join(sorted(unknown))} are not known")
    n = int(features.channels.sum()) + len(features.colours) + features.with_parallax
    require_arrays(
        {
            "features/mean": (features.mean, (n,)),
            "features/scale": (features.scale, (n,)),
            "learned/parameters": (companion.parameters_, (companion.n_parameters,)),
        }
    )
    if "axes" in companion.learned:
        n_label = len(companion.label_names)
        require_arrays({"learned/axes": (companion.axes_, (n_label, n_label))})
    stars = Spectra(np.array([1, 2]), companion.space, np.ones((2, n_obs)), np.ones((2, n_obs)))
    try:
        with np.errstate(all="ignore"):
            companion.predict(stars, n_draws=2 if companion.n_draws else None)
    except InputError as error:
        raise ValueError(str(error)) from error
