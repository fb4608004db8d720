"""`Spectra` <-> flat columns with one row per star, as the stores keep them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping

import numpy as np

from ...data import InputFlag, ObservationSpace, Spectra, unpack
from ...data.hdf5 import FileFormat
from ...errors import InputError

FORMAT = FileFormat(
    "xpfit-spectra", "a file of prepared spectra", error=InputError, remedy="prepare it again"
)

_FIELDS = {
    **{name: name for name in ("source_id", "flux", "flux_err")},
    "parallax": "parallax", "parallax_error": "parallax_err",
    "extinction": "extinction", "extinction_error": "extinction_err",
    "snr": "snr", "input_flags": "input_flags",
}  # fmt: skip
"""Columns and the fields of `Spectra` that they hold."""

MAX_NAMED = 5
"""Damaged stars that a warning names."""

GROUPS = ("labels", "label_err", "gaia")
"""Fields of `Spectra` that hold several columns, called GROUP/NAME."""


def attributes(spectra: Spectra) -> dict:
    """What a file records of all its stars, besides the arrays of their space."""
    preparation = json.dumps(spectra.preparation.to_dict(), sort_keys=True)
    return {**FORMAT.header, "space": spectra.space.name, "preparation": preparation}


def to_columns(spectra: Spectra) -> dict[str, np.ndarray]:
    """Columns of spectra.

    Parameters
    ----------
    spectra : Spectra

    Returns
    -------
    dict of str to ndarray, shape (n_star,) or (n_star, n)
        Full whiteners as the lower triangle of L, row by row.
    """
    columns = {name: getattr(spectra, field) for name, field in _FIELDS.items()}
    columns["whitener"] = spectra.whitener.packed()
    for name, values in spectra.labels.items():
        columns[f"labels/{name}"] = values
        columns[f"label_err/{name}"] = spectra.label_err[name]
    columns |= {f"gaia/{name}": values for name, values in spectra.gaia.items()}
    return columns


def from_columns(
    columns: Mapping[str, np.ndarray], space: ObservationSpace, preparation: dict
) -> Spectra:
    """Spectra from the columns of `to_columns`.

    Raises
    ------
    KeyError
        If a column is missing.
    """
    groups: dict[str, dict] = {group: {} for group in GROUPS}
    for path, values in columns.items():
        group, _, name = path.partition("/")
        if group in groups:
            groups[group][name] = values
    values = {field: columns[name] for name, field in _FIELDS.items()}
    values["whitener"] = unpack(columns["whitener"], space.n_obs)
    values |= {"space": space, "preparation": preparation, **groups}
    try:
        return Spectra(**values)
    except InputError:
        return Spectra(**_without_damaged(values))


def _without_damaged(values: dict) -> dict:
    """The same fields, without the numbers of stars that have impossible ones."""
    flux, error, whitener = values["flux"], values["flux_err"], values["whitener"]
    finite = np.isfinite(whitener.array).all(axis=tuple(range(1, whitener.array.ndim)))
    used = np.isfinite(error)
    bad = ~finite | ~(error > 0).all(axis=1) | (used & ~np.isfinite(flux)).any(axis=1)
    parallax, parallax_err = values["parallax"], values["parallax_err"]
    known = np.isfinite(parallax) & (parallax_err > 0) & np.isfinite(parallax_err)
    wrong = ~known & ~np.isposinf(parallax_err)
    named = [str(i) for i in values["source_id"][bad | wrong][:MAX_NAMED]]
    if named:
        warnings.warn(
            f"{int((bad | wrong).sum())} sources have flux, errors, a whitener or a parallax that "
            f"cannot be; these are left out, and flagged: {', '.join(named)}; prepare them again",
            stacklevel=2,
        )
    rows = bad[:, None]
    weights = np.where(bad.reshape(-1, *[1] * (whitener.array.ndim - 1)), 0.0, whitener.array)
    flag = np.where(bad, int(InputFlag.BAD_COEFFICIENTS), 0)
    return values | {
        "flux": np.where(rows, 0.0, flux),
        "flux_err": np.where(rows, np.inf, error),
        "whitener": type(whitener)(weights),
        "parallax": np.where(known, parallax, np.nan),
        "parallax_err": np.where(known, parallax_err, np.inf),
        "input_flags": values["input_flags"] | flag,
    }


def require_alike(first: Spectra, part: Spectra) -> None:
    """Refuse to mix data that were prepared differently.

    Raises
    ------
    InputError
        If space, settings, labels, Gaia's columns or the kind of whitener differ.
    """
    alike = (
        first.space.matches(part.space)
        and first.preparation == part.preparation
        and first.labels.keys() == part.labels.keys()
        and first.gaia.keys() == part.gaia.keys()
        and first.whitener.kind == part.whitener.kind
    )
    if not alike:
        raise InputError(
            "these spectra were prepared differently (space, settings, labels, columns of Gaia's "
            "tables, or kind of covariance) and cannot be written to one file; prepare them into "
            "separate files"
        )
