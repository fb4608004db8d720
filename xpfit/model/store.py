"""The model file: a trained model in one HDF5 file.

Layout (format version 1)::

    attributes   format, format_version, xpfit_version, absolute, space, ln_prior_threshold,
                 preparation (JSON), training (JSON), parallax_prior (unless flat), checksum
    wavelength                          (n_grid,) nm
    trained_channels                    (n_obs,)
    space/...                           arrays of the coefficient space (see `xpfit.data.space`)
    labels/names, labels/ranges         (n_label,), (n_label, 2)
    network/hidden, network/parameters  widths of the hidden layers; weights and biases
    network/label_mean, network/label_scale
    extinction/ln_curve                 (n_grid,)  b = ln R
    extinction/second_order             (n_grid,)  Q; in coefficient space only
    extinction/variation                (n_grid,)  a = d ln R / d xi; if the curve varies
    prior/weights, prior/means, prior/covariances
    covariance/loadings, covariance/diagonal  of the emulator's error, if it was learned
    covariance/luminosity_types, luminosity_width, luminosity_error  of its luminosity, if it was
    training/source_ids                 int64
    training/clean_flags                int16, why each was dropped (see `xpfit.train.cleaning`)
    diagnostics/...                     quantities of the training stars, for figures
"""

from __future__ import annotations

import json
import os
from importlib import resources
from typing import Any

import h5py
import numpy as np

from ..arrays import Array
from ..data import space_from_datasets
from ..data.hdf5 import FileFormat, arrays_of, digest, require_arrays
from ..nn import Dense, multilayer_perceptron
from .covariance import ModelCovariance
from .forward import ForwardModel
from .luminosity import LuminosityError
from .prior import FLAT, GaussianMixture
from .trained import XPModel

FORMAT = FileFormat(
    "xpfit-model",
    "an xpfit model file",
    missing="no such model file; train one with 'xpfit train'",
    remedy="copy or train it again",
    has_checksum=True,
)


LUMINOSITY = "covariance/luminosity_"
"""Prefix of the arrays of the luminosity's error."""


def save_model(model: XPModel, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a model to one HDF5 file.

    Parameters
    ----------
    model : XPModel
    path : path-like
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        If the file exists or cannot be written; no half-written file is left.
    """
    with FORMAT.writing(path, overwrite=overwrite) as file:
        for name, values in _datasets(model).items():
            file.create_dataset(name, data=values, compression="gzip", shuffle=True)
        file.attrs.update(_attributes(model))


def load_model(path: str | os.PathLike[str] | None = None, *, shapes_only: bool = False) -> XPModel:
    """Read a model file.

    Parameters
    ----------
    path : path-like, optional
        By default the model that comes with xpfit, trained on the APOGEE-XP library.
    shapes_only : bool
        Take luminosities out of a model that has them (see `XPModel.shapes_only`): fits take the
        amplitude of each star as free, and do not use parallaxes.

    Returns
    -------
    XPModel

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the file is damaged, of another kind, or newer than this version of xpfit.
    """
    if path is None:
        with resources.as_file(resources.files("xpfit.model") / "default.h5") as default:
            return load_model(default, shapes_only=shapes_only)
    with FORMAT.reading(path) as file:
        model = _build(file)
    return model.shapes_only() if shapes_only else model


def fingerprint(model: XPModel) -> str:
    """SHA-256 of everything that fits with a model depend on, independent of the version of xpfit.

    Parameters
    ----------
    model : XPModel

    Returns
    -------
    str
        Hexadecimal digits.
    """
    unused = ("training", "diagnostics/")
    arrays = {k: v for k, v in _datasets(model).items() if not k.startswith(unused)}
    attributes = {k: v for k, v in _attributes(model).items() if not k.startswith(unused)}
    return digest(arrays, {"format": FORMAT.name, **attributes})


def _datasets(model: XPModel) -> dict[str, np.ndarray]:
    """Arrays of the file by name."""
    forward, prior = model.forward, model.prior
    hidden = [layer.n_out for layer in forward.network.layers if isinstance(layer, Dense)][:-1]
    optional = {
        "extinction/second_order": forward.second_order if model.space.second_order else None,
        "extinction/variation": forward.variation if forward.curve_varies else None,
    }
    if model.covariance is not None:
        optional["covariance/loadings"] = model.covariance.loadings
        optional["covariance/diagonal"] = model.covariance.diagonal
        if model.covariance.luminosity is not None:
            optional |= {
                f"{LUMINOSITY}{k}": v for k, v in vars(model.covariance.luminosity).items()
            }
    return {
        **model.space.datasets(),
        **{name: values for name, values in optional.items() if values is not None},
        "trained_channels": model.trained_channels,
        "labels/names": np.array([name.encode() for name in model.label_names]),
        "labels/ranges": model.label_ranges,
        "network/hidden": np.array(hidden, dtype=np.int64),
        "network/parameters": forward.weights,
        "network/label_mean": forward.label_mean,
        "network/label_scale": forward.label_scale,
        "extinction/ln_curve": forward.ln_curve,
        "prior/weights": prior.weights,
        "prior/means": prior.means,
        "prior/covariances": prior.covariances,
        "training/source_ids": model.source_ids,
        "training/clean_flags": model.clean_flags,
        **{f"diagnostics/{name}": values for name, values in model.diagnostics.items()},
    }


def _attributes(model: XPModel) -> dict[str, Any]:
    """Attributes of the file, but for its header."""
    # Files without it are those of before there was a choice: their fingerprints stay the same.
    chosen = {"parallax_prior": model.parallax_prior} if model.parallax_prior != FLAT else {}
    return {
        **chosen,
        "absolute": model.absolute,
        "space": model.space.name,
        "ln_prior_threshold": model.ln_prior_threshold,
        "preparation": json.dumps(model.preparation.to_dict(), sort_keys=True),
        "training": json.dumps(model.training, sort_keys=True),
    }


def _build(file: h5py.File) -> XPModel:
    """Model from an open, checked file."""

    def read(name: str) -> Array:
        return file[name][()]

    space = space_from_datasets(str(file.attrs["space"]), file)
    label_names = tuple(name.decode() for name in read("labels/names"))
    hidden = read("network/hidden").tolist()
    network = multilayer_perceptron(len(label_names), hidden, space.n_grid)
    curve_varies = "extinction/variation" in file
    names = ["network/parameters", "extinction/ln_curve"]
    names += ["extinction/second_order"] * space.second_order
    names += ["extinction/variation"] * curve_varies
    parameters = np.concatenate([read(name) for name in names])
    mean, scale = read("network/label_mean"), read("network/label_scale")
    forward = ForwardModel(network, parameters, mean, scale, space, curve_varies)
    optional: dict[str, Any] = {}
    if "covariance" in file:
        loadings, diagonal = read("covariance/loadings"), read("covariance/diagonal")
        luminosity = None
        if f"{LUMINOSITY}error" in file:
            luminosity = LuminosityError(
                *(read(LUMINOSITY + x) for x in ("types", "width", "error"))
            )
        optional["covariance"] = ModelCovariance(loadings, diagonal, luminosity)
    if "training/clean_flags" in file:
        optional["clean_flags"] = read("training/clean_flags")
    model = XPModel(
        forward=forward,
        prior=GaussianMixture(*(read(f"prior/{x}") for x in ("weights", "means", "covariances"))),
        trained_channels=read("trained_channels"),
        label_names=label_names,
        label_ranges=read("labels/ranges"),
        absolute=bool(file.attrs["absolute"]),
        ln_prior_threshold=float(file.attrs["ln_prior_threshold"]),
        preparation=json.loads(file.attrs["preparation"]),
        training=json.loads(file.attrs["training"]),
        parallax_prior=str(file.attrs.get("parallax_prior", FLAT)),
        source_ids=read("training/source_ids"),
        diagnostics=arrays_of(file.get("diagnostics", {})),
        **optional,
    )
    _require_consistent(model)
    return model


def _require_consistent(model: XPModel) -> None:
    """Refuse the arrays of a file that do not fit together."""
    n_label, n_obs = len(model.label_names), model.space.n_obs
    forward, prior, covariance = model.forward, model.prior, model.covariance
    n = forward.network.n_parameters + model.space.n_grid * (
        1 + model.space.second_order + forward.curve_varies
    )
    k = len(prior.weights)
    arrays = {
        "parameters": (forward.parameters, (n,)),
        "labels/ranges": (model.label_ranges, (n_label, 2)),
        "network/label_mean": (forward.label_mean, (n_label,)),
        "network/label_scale": (forward.label_scale, (n_label,)),
        "prior/weights": (prior.weights, (k,)),
        "prior/means": (prior.means, (k, n_label)),
        "prior/covariances": (prior.covariances, (k, n_label, n_label)),
        "trained_channels": (model.trained_channels, (n_obs,)),
        "training/source_ids": (model.source_ids, (None,)),
        "training/clean_flags": (model.clean_flags, (None,)),
        "ln_prior_threshold": (model.ln_prior_threshold, ()),
    }
    if covariance is not None:
        arrays["covariance/loadings"] = (covariance.loadings, (n_obs, None))
        arrays["covariance/diagonal"] = (covariance.diagonal, (n_obs,))
        if covariance.luminosity is not None:
            types = covariance.luminosity.types
            arrays[f"{LUMINOSITY}types"] = (types, (None, n_label))
            # Infinite for labels that do not matter.
            arrays[f"{LUMINOSITY}1/width"] = (1.0 / covariance.luminosity.width, (n_label,))
            arrays[f"{LUMINOSITY}error"] = (covariance.luminosity.error, (len(types),))
    require_arrays(arrays)
    if model.trained_channels.dtype != bool or not model.trained_channels.any():
        raise ValueError("trained_channels must be truth values, some of them true")
    if np.any(forward.label_scale <= 0) or np.any(
        model.label_ranges[:, 0] >= model.label_ranges[:, 1]
    ):
        raise ValueError("scales of labels must be positive, and their ranges increase")
    if not isinstance(model.training, dict):
        raise TypeError("the record of the training is no JSON object")
