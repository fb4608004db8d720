"""Files of epoch spectra -> `EpochSpectra`, star by star.

The form of Gaia DR4's files is not public. What is assumed: the columns of XP continuous mean
spectra (`xpfit.read.read_continuous`), one row for each transit, those of a star together, and
with them the columns `EPOCHS` names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from astropy.table import Table, vstack

from ..data import ObservationSpace, SampledSpace, XPSettings
from ..errors import InputError
from ..fit.checks import require_release
from ..model import XPModel
from ..prepare import Basis, continuous_spectra
from ..prepare.coefficient import coefficient_vectors
from ..prepare.covariance import DataVectors
from ..prepare.sampled import sample_continuous
from ..read import read_continuous
from ..read.cells import number
from ..read.formats import RowType
from ..read.rows import iterate_rows
from .data import EpochSpectra

TIMES = ("obs_time", "time")
"""Columns of which one gives the time, in days (BJD in TCB)."""

EPOCHS = RowType("epoch spectra", ("source_id",), ("transit_id", *TIMES))
"""Columns that epoch spectra have beside those of mean spectra."""


def iterate_epochs(
    path: str | os.PathLike,
    model: XPModel,
    release: str | None = None,
    basis: Basis | None = None,
) -> Iterator[EpochSpectra]:
    """Read a file of epoch spectra, star by star.

    Parameters
    ----------
    path : path-like
        In any format of XP continuous spectra, gzipped or zipped or not.
    model : XPModel
        In whose observation space, and with whose settings, the spectra are prepared.
    release : str, optional
        Data release of the spectra; by default what the file tells.
    basis : Basis, optional
        As for `xpfit.prepare.continuous_spectra`.

    Yields
    ------
    EpochSpectra
        In order of time.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        As `xpfit.read.read_continuous`; if there is no column of times, a row has no id, the rows
        of a star are not together, or the spectra are of another data release than the model's.

    Warns
    -----
    UserWarning
        Of epochs that cannot be used; they carry no weight.
    """
    settings, done = model.preparation.settings_of(XPSettings), set()
    waiting: list[Table] = []
    for table in _tables(path, release):
        require_release(model, table.meta["release"])
        for part in _split(table):
            if waiting and waiting[0]["source_id"][0] != part["source_id"][0]:
                yield _epochs(waiting, model.space, settings, basis)
                waiting = []
            if not waiting:
                _require_new(int(part["source_id"][0]), done, path)
            waiting.append(part)
    yield _epochs(waiting, model.space, settings, basis)


def read_epochs(
    path: str | os.PathLike, model: XPModel, source_id: int, basis: Basis | None = None
) -> EpochSpectra:
    """Read the epoch spectra of one star.

    Parameters
    ----------
    path, model, basis
        As for `iterate_epochs`.
    source_id : int

    Returns
    -------
    EpochSpectra

    Raises
    ------
    InputError
        As `iterate_epochs`, or if the star is not in the file.
    """
    for star in iterate_epochs(path, model, basis):
        if star.source_id == source_id:
            return star
    raise InputError(f"{path}: source {source_id} is not in this file")


def _tables(path: str | os.PathLike, release: str | None) -> Iterator[Table]:
    """Tables of coefficients with the columns `time` and `transit_id`."""
    rows = iterate_rows(path, EPOCHS)
    for table in read_continuous(path, release=release):
        cells = [next(rows) for _ in range(len(table))]
        name = next((name for name in TIMES if name in cells[0]), None)
        if name is None and "problem" not in cells[0]:
            raise InputError(
                f"{path}: no column {' or '.join(TIMES)}; epoch spectra need the time of each row "
                "(mean spectra are fitted by 'xpfit fit')"
            )
        table["time"] = [number(row.get(name, b"")) for row in cells]
        table["transit_id"] = [_integer(row.get("transit_id", b"")) for row in cells]
        if np.ma.getmaskarray(table["source_id"]).any():
            raise InputError(f"{path}: a row has no source_id; the star of an epoch is not known")
        yield table


def _integer(cell) -> int:
    """A cell as an integer of 64 bits; zero where missing or none."""
    if np.ma.is_masked(cell):
        return 0
    try:
        return int(cell)
    except ValueError:
        return 0


def _split(table: Table) -> list[Table]:
    """Parts of a table, each of one star."""
    ids = np.asarray(table["source_id"])
    edges = [0, *(np.flatnonzero(np.diff(ids)) + 1), len(ids)]
    return [table[i:j] for i, j in pairwise(edges)]


def _require_new(source_id: int, done: set[int], path: str | os.PathLike) -> None:
    """Refuse a star whose rows came before."""
    if source_id in done:
        raise InputError(
            f"{path}: the epochs of source {source_id} are not together; sort the rows by source_id"
        )
    done.add(source_id)


def _epochs(
    parts: list[Table], space: ObservationSpace, settings: XPSettings, basis: Basis | None
) -> EpochSpectra:
    """The epochs of one star from rows of its file."""
    table = vstack(parts, metadata_conflicts="silent") if len(parts) > 1 else parts[0]
    table = table[np.argsort(np.asarray(table["time"]), kind="stable")]
    spectra = continuous_spectra([table], space, settings, basis=basis)
    with np.errstate(over="ignore", invalid="ignore"):
        data = _vectors(table, space, settings, basis)
    used = np.isfinite(spectra.flux_err)
    pairs = used[:, :, None] & used[:, None, :]
    n_xp, n_obs = data.flux.shape[1], space.n_obs
    covariance = np.zeros((len(table), n_obs, n_obs))
    covariance[:, :n_xp, :n_xp] = data.gaia_covariance
    covariance = np.where(pairs, covariance, 0.0)
    calibration = np.zeros((n_obs, n_obs))
    added = np.where(pairs[:, :n_xp, :n_xp], data.covariance - data.gaia_covariance, 0.0)
    n_epoch = np.maximum(pairs[:, :n_xp, :n_xp].sum(axis=0), 1)
    calibration[:n_xp, :n_xp] = added.sum(axis=0) / n_epoch
    return EpochSpectra(
        int(table["source_id"][0]),
        np.asarray(table["time"], dtype=float),
        np.asarray(table["transit_id"], dtype=np.int64),
        spectra,
        covariance,
        calibration,
    )


def _vectors(table: Table, space: ObservationSpace, settings: XPSettings, basis) -> DataVectors:
    """Data vectors with the covariance of the measurement alone."""
    if isinstance(space, SampledSpace):
        wavelength = space.wavelength[~space.is_band]
        return sample_continuous(table, wavelength, settings, basis=basis)
    return coefficient_vectors(table, space, settings, basis)
