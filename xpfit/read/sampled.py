"""XP sampled spectra (XP_SAMPLED of the Gaia archive) as astropy Tables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from astropy.table import Table

from ..errors import InputError
from .cells import array_column, number
from .continuous import SOURCES_PER_TABLE
from .formats import Format, RowType, recognise
from .formats.compressed import read_head
from .grid import flux_factor, sampling_of, stated_facts
from .release import SOLUTION, release_of_rows
from .rows import chunked, iterate_rows, source_table
from .samples import in_chunks, is_by_sample, read_samples

SAMPLED = RowType(
    "XP sampled spectra (XP_SAMPLED, retrieval type of Gaia's datalink, data structure RAW)",
    required=("source_id", "flux", "flux_error"),
    optional=(SOLUTION,),
)


def read_sampled(
    path: str | os.PathLike,
    chunk_size: int = SOURCES_PER_TABLE,
    form: Format | None = None,
    sampling: np.ndarray | None = None,
    release: str | None = None,
) -> Iterator[Table]:
    """Read XP sampled spectra, in any format of `xpfit.read.formats`.

    Parameters
    ----------
    path : path-like
        An archive file with one row per source (data structure RAW), the archive's bulk files
        (``XpSampledMeanSpectrum_*.csv.gz``) included, or with one row per sample (INDIVIDUAL).
    chunk_size : int
        Sources per table.
    form : Format, optional
        Format of the file, if it is recognised already.
    sampling : ndarray, optional
        Wavelengths (nm), for files that do not state them.
    release : str, optional
        Data release of the spectra; by default what the file tells, or else DR3, which is said.

    Yields
    ------
    astropy.table.Table
        `source_id` (int64, masked where missing); `flux` and `flux_error` in W m-2 nm-1, shape
        (n_source, n_sample), NaN where missing; and `problem`, as in `xpfit.read.read_continuous`.
        ``meta["wavelength"]`` are the wavelengths, in nm, ``meta["release"]`` the data release.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        As `xpfit.read.read_continuous`, or if the wavelengths are not known, or a unit is none of
        flux.
    """
    path = Path(path)
    form = form or recognise(path)[0]
    names = {name.lower() for name in form.column_names(path, read_head(path))}
    told = release or form.release(path) or None
    if "source_id" not in names and is_by_sample(names):
        yield from in_chunks(read_samples(path, form, told), chunk_size)
        return
    facts = stated_facts(path, form, SAMPLED)
    factors = {name: flux_factor(path, facts, name) for name in ("flux", "flux_error")}
    sizes: dict[str, int] = {}
    grid = None
    for rows in chunked(iterate_rows(path, SAMPLED, form), chunk_size, path):
        if all(_is_number(row["flux"]) for row in rows[:2]):
            if not is_by_sample(names):
                raise InputError(
                    f"{path}: one flux per row, without a column of wavelengths; ask the archive "
                    "for data structure RAW, which has one source per row"
                )
            yield from in_chunks(read_samples(path, form, told), chunk_size)
            return
        problems = [row.get("problem", "") for row in rows]
        table = source_table(rows, path)
        for name, factor in factors.items():
            table[name] = factor * array_column(rows, name, sizes, problems)
            sizes.setdefault("flux_error", sizes.get("flux", 0))
        if grid is None:
            grid = sampling_of(path, facts, table["flux"].shape[1], sampling)
        table.meta["wavelength"] = grid
        table.meta["release"] = _release(rows, path, told)
        table["problem"] = problems
        yield table


def _release(rows: list[dict], path: Path, told: str | None) -> str:
    """Data release of rows."""
    evidence = {SOLUTION: [row[SOLUTION] for row in rows]} if SOLUTION in rows[0] else {}
    return release_of_rows(path, evidence, told=told)


def _is_number(cell) -> bool:
    """Whether a cell holds one number, not an array."""
    if isinstance(cell, bytes):
        return np.isfinite(number(cell))
    return np.ndim(cell) == 0 and not np.ma.is_masked(cell)
