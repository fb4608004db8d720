"""`Spectra` <-> flat columns with one row per star, as the stores keep them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...data.hdf5 import FileFormat
from ...data.space import ObservationSpace
from ...data.spectra import Spectra
from ...data.whitener import unpack
from ...errors import InputError

FORMAT = FileFormat(
    "xpfit-spectra", "a file of prepared spectra", error=InputError, remedy="prepare it again"
)

_FIELDS = {
    "source_id": "source_id",
    "flux": "flux",
    "flux_err": "flux_err",
    "parallax": "parallax",
    "parallax_error": "parallax_err",
    "extinction": "extinction",
    "extinction_error": "extinction_err",
    "snr": "snr",
    "input_flags": "input_flags",
}
"""Columns and the fields of `Spectra` that they hold."""

GROUPS = ("labels", "label_err", "gaia")
"""Fields of `Spectra` that hold several columns, called GROUP/NAME."""


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
    by_kind = {
        kind: {
            name.removeprefix(f"{kind}/"): values
            for name, values in columns.items()
            if name.startswith(f"{kind}/")
        }
        for kind in GROUPS
    }
    return Spectra(
        space=space,
        whitener=unpack(columns["whitener"], space.n_obs),
        preparation=preparation,
        **by_kind,
        **{field: columns[name] for name, field in _FIELDS.items()},
    )


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
