"""`Spectra` <-> flat columns with one row per star, as the stores keep them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...data.hdf5 import FileFormat
from ...data.space import ObservationSpace
from ...data.spectra import Spectra
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
    whitener = spectra.whitener
    if whitener.ndim == 3:
        whitener = lower_triangular(whitener)[_lower_triangle(whitener.shape[1])]
    columns["whitener"] = whitener
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
    n_obs = space.n_obs
    whitener = columns["whitener"]
    if whitener.shape[1] != n_obs:
        packed = whitener
        whitener = np.zeros((len(packed), n_obs, n_obs))
        whitener[_lower_triangle(n_obs)] = packed
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
        whitener=whitener,
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
        and first.whitener.ndim == part.whitener.ndim
    )
    if not alike:
        raise InputError(
            "these spectra were prepared differently (space, settings, labels, columns of Gaia's "
            "tables, or kind of covariance) and cannot stand in one file; prepare them into "
            "separate files"
        )


def lower_triangular(whitener: np.ndarray) -> np.ndarray:
    """Lower-triangular whiteners with the same chi2.

    Parameters
    ----------
    whitener : ndarray, shape (n_star, n_obs, n_obs)

    Returns
    -------
    ndarray, same shape
        The whitener itself where it is triangular already; else from a QR factorisation with the
        columns reversed.
    """
    triangular = whitener.copy()
    upper = np.triu_indices(whitener.shape[1], 1)
    rows = np.flatnonzero(np.any(whitener[(slice(None), *upper)] != 0, axis=1))
    if len(rows):
        factor = np.linalg.qr(whitener[rows][:, :, ::-1], mode="r")
        triangular[rows] = factor[:, ::-1, ::-1]
    return triangular


def _lower_triangle(n_obs: int) -> tuple:
    """Index of the lower triangles, row by row, of (n_star, n_obs, n_obs)."""
    return (slice(None), *np.tril_indices(n_obs))
