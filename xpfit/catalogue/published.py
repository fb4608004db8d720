"""Published catalogues of XP spectra's stellar parameters, as xpfit's own.

Known are the catalogue of Zhang, Green & Rix (2023; "ZGR23") and its successor with a varying
extinction curve (Zhang & Green 2025): as their authors' files (arrays ``stellar_params_est``), as
GAVO's tables (``xpparams.main``, ``xpparams2.main``), and as SDSS keeps it (one column for each
element). They are recognised by their columns.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from astropy.table import Table

from .._version import __version__
from ..data import FitFlag, QualityFlag, id_flags
from ..data.flags import InputFlag
from ..data.hdf5 import FileFormat, open_hdf5
from ..errors import InputError
from ..quantities import BASIC_LABELS, STELLAR_PARAMETERS, quantity
from ..read.joins import id_column, integer_ids
from ..read.tables import float_column
from ..read.units import converted, require_median, say_once, stated_unit
from ..releases import DR3
from .columns import add_column, triangle
from .describe import Description, describe

ESTIMATES, ERRORS = "stellar_params_est", "stellar_params_err"

WITH_XI = ("teff", "feh", "logg", "xi", "extinction", "parallax")
"""Order of Zhang & Green's (2025) parameters; that of ZGR23 is `STELLAR_PARAMETERS`."""

DEGREES_OF_FREEDOM = 61
"""By which both divide chi2 (ZGR23, eq. 24)."""

LN_PRIOR_THRESHOLD = -7.43
"""Below, a stellar type is flagged (ZGR23, eq. 25)."""

NAMES = {
    "teff": ("teff",), "feh": ("feh",), "logg": ("logg",), "xi": ("xi",),
    "extinction": ("ext", "e"), "parallax": ("mod_parallax", "parallax"),
}  # fmt: skip
"""Of GAVO's columns; in SDSS's after ``stellar_params_est_``, where [Fe/H] is ``fe_h``."""

UNITS = {"teff": "kK", "extinction": "mag", "parallax": "mas"}

TYPICAL_TEFF = (1.0, 100.0)
"""kK, between which the median Teff is."""

MAX_BITS = 64
"""`quality_flags` are below: ZGR23 use six bits."""

ROWS_AT_A_TIME = 250_000

HDF5_FORMAT = FileFormat("published", "a published catalogue", error=InputError)


def is_published(names: Sequence[str]) -> bool:
    """Whether a table with these columns is a published catalogue, and not one of xpfit's.

    Parameters
    ----------
    names : sequence of str

    Returns
    -------
    bool
    """
    given = set(names)
    if "fit_flags" in given or "quality_flags" not in given:
        return False
    gavo = "mod_parallax" in given or {"ext", "err_ext"} <= given
    return ESTIMATES in given or f"{ESTIMATES}_teff" in given or gavo


def as_catalogue(table: Table, what: str) -> Table:
    """A published catalogue with the columns, units and flags of xpfit's.

    Parameters
    ----------
    table : astropy.table.Table
        Any of the forms above, or a part of one, such as some columns of GAVO's.
    what : str
        File, for messages.

    Returns
    -------
    astropy.table.Table
        Columns of `xpfit.result_table` as far as they follow from the published ones; numbers that
        the table does not have are NaN.

    Raises
    ------
    InputError
        If ids or flags are missing, arrays have another shape, or values another unit.

    Notes
    -----
    `quality_flags` have the same bits. `fit_flags` are those that follow from the columns: no
    parameters (4), missing and repeated ids (64, 128), a type or spectrum unlike the training set
    (1024, where bits 8 or 16 of `quality_flags` are set) and a parallax that contradicts Gaia's
    (32768, where bit 32 is). `n_obs` is the authors' 61 degrees of freedom plus the number of
    parameters.
    """
    names, estimates, errors = _parameters(table, what)
    if id_column(table, what) is None:
        raise InputError(f"{what}: a published catalogue without source ids; add the column")
    flags = _quality_flags(table, what)
    ids = integer_ids(table, what)
    out = Table(meta=_metadata("xi" in names))
    add_column(out, DR3.id_column, ids)
    for name in ("ra", "dec"):
        add_column(out, name, _scalar(table, name, what, unit="deg"))
    index = [names.index(name) for name in STELLAR_PARAMETERS]
    add_column(out, ESTIMATES, estimates[:, index])
    add_column(out, ERRORS, errors[:, index])
    for name in ("chi2_opt", "ln_prior", *(f"{label}_confidence" for label in BASIC_LABELS)):
        add_column(out, name, _scalar(table, name, what))
    add_column(out, "quality_flags", flags)
    _add_covariances(out, table, names, what)
    for name in (*STELLAR_PARAMETERS, *(("xi",) if "xi" in names else ())):
        place, factor = names.index(name), quantity(name).factor
        add_column(out, name, factor * estimates[:, place])
        add_column(out, f"{name}_err", factor * errors[:, place])
    add_column(out, "fit_flags", _fit_flags(ids, flags, estimates))
    n_obs = np.full(len(out), DEGREES_OF_FREEDOM + len(names), dtype=np.int16)
    add_column(out, "n_obs", n_obs)
    for name in ("gaia_parallax", "gaia_parallax_error"):
        add_column(out, name, np.full(len(out), np.nan))
    for name in ("phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag", "absolute_magnitude_g"):
        add_column(out, name, np.full(len(out), np.nan))
    return out


def iterate_published(path: Path, rows: int = ROWS_AT_A_TIME) -> Iterator[Table]:
    """A published file of arrays (HDF5, a dataset for each column), part by part.

    Parameters
    ----------
    path : Path
    rows : int
        Of a part.

    Yields
    ------
    astropy.table.Table
        As `as_catalogue`.

    Raises
    ------
    InputError
        As `as_catalogue`, or if the file is damaged.
    """
    with HDF5_FORMAT.explained(path), open_hdf5(path) as file:
        lengths = {name: len(data) for name, data in file.items() if getattr(data, "shape", ())}
        if len(set(lengths.values())) != 1:
            raise InputError(f"{path}: the datasets have different lengths: {lengths}")
        for start in range(0, max(lengths.values()), rows):
            part = Table({name: file[name][start : start + rows] for name in lengths})
            yield as_catalogue(part, str(path))


def published_hdf5(path: Path) -> bool:
    """Whether a file is a published catalogue in HDF5, with a dataset for each column."""
    with HDF5_FORMAT.explained(path), open_hdf5(path) as file:
        return is_published([name for name, data in file.items() if getattr(data, "shape", ())])


def _metadata(with_xi: bool) -> dict[str, str | float]:
    """Facts about the catalogue."""
    return {
        "CREATOR": f"xpfit {__version__}, from a published catalogue",
        "MODEL": "Zhang & Green 2025" if with_xi else "Zhang, Green & Rix 2023",
        "RELEASE": DR3.name,
        "LNPMIN": LN_PRIOR_THRESHOLD,
        "LABELS": ",".join(BASIC_LABELS),
    }


def _parameters(table: Table, what: str) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Names of the parameters, estimates and errors (n_star, n_parameter), Teff in kK."""
    if ESTIMATES in table.colnames:
        names = _order(table, what)
        estimates, errors = (
            _array(table, name, (len(names),), what) for name in (ESTIMATES, ERRORS)
        )
    else:
        given = [name for name in WITH_XI if _column(table, name)]
        if not given:
            raise InputError(f"{what}: a published catalogue without any stellar parameter")
        names = WITH_XI if "xi" in given else STELLAR_PARAMETERS
        missing = [name for name in names if name not in given]
        if missing:
            say_once(f"{what}: no columns of {', '.join(missing)}, which so are unknown")
        estimates, errors = (
            np.column_stack([_value(table, _column(table, n, error), n, what) for n in names])
            for error in (False, True)
        )
    where = f"{what}: Teff"
    require_median(estimates[:, names.index("teff")], "kK", TYPICAL_TEFF, where)
    return names, estimates, errors


def _order(table: Table, what: str) -> tuple[str, ...]:
    """Names of the parameters in the arrays."""
    shape = _stacked(table, ESTIMATES).shape[1:]
    for names in (STELLAR_PARAMETERS, WITH_XI):
        if shape == (len(names),):
            return names
    raise InputError(
        f"{what}: column {ESTIMATES} has {shape or 'no'} values a row; the published catalogues "
        f"have {len(STELLAR_PARAMETERS)} or, with xi, {len(WITH_XI)}"
    )


def _array(table: Table, name: str, shape: tuple[int, ...], what: str) -> np.ndarray:
    """An array column as float64."""
    values = _stacked(table, name) if name in table.colnames else np.ma.empty(0)
    if name not in table.colnames or values.shape[1:] != shape:
        found = values.shape[1:] if name in table.colnames else "nothing"
        raise InputError(f"{what}: column {name} should have {shape} values a row, found {found}")
    return np.asarray(np.ma.filled(values.astype(float), np.nan))


def _stacked(table: Table, name: str) -> np.ma.MaskedArray:
    """Cells of an array column; lists of one length, as Parquet may have them, are arrays."""
    values = np.ma.asarray(table[name])
    if values.dtype == object and len({np.size(cell) for cell in values}) == 1:
        return np.ma.asarray(np.stack([np.asarray(cell) for cell in values]))
    return values


def _column(table: Table, name: str, error: bool = False) -> str | None:
    """Column of a parameter, or of its error, in GAVO's or SDSS's form."""
    sdss = {"feh": "fe_h", "extinction": "e"}.get(name, name)
    flat = f"{ERRORS if error else ESTIMATES}_{sdss}"
    candidates = [flat, *(f"err_{n}" if error else n for n in NAMES[name])]
    return next((n for n in candidates if n in table.colnames), None)


def _value(table: Table, column: str | None, name: str, what: str) -> np.ndarray:
    """Values of a parameter or its error, in kK, dex, mag, mas."""
    if column is None:
        return np.full(len(table), np.nan)
    values = float_column(table[column])
    if name not in UNITS:
        return values
    unit = stated_unit(table[column])
    if not unit and name == "teff":
        estimate = float_column(table[_column(table, "teff")])
        known = np.abs(estimate[np.isfinite(estimate)])
        unit = "K" if len(known) and np.median(known) > TYPICAL_TEFF[1] else "kK"
        say_once(f"{what}: column {column} states no unit; its values are in {unit}")
    return converted(values, unit, UNITS[name], f"{what}: column {column}")


def _scalar(table: Table, name: str, what: str, unit: str = "") -> np.ndarray:
    """A column of numbers; NaN if the table lacks it."""
    if name not in table.colnames:
        return np.full(len(table), np.nan)
    values = float_column(table[name])
    if values.shape != (len(table),):
        raise InputError(f"{what}: column {name} has arrays in its cells")
    where = f"{what}: column {name}"
    return converted(values, stated_unit(table[name]), unit, where) if unit else values


def _quality_flags(table: Table, what: str) -> np.ndarray:
    """Flags; where masked, the criteria count as not fulfilled."""
    unknown = int(QualityFlag.HIGH_CHI2 | QualityFlag.LOW_PRIOR)
    values = np.ma.filled(np.ma.asarray(table["quality_flags"]).astype(float), unknown)
    values = np.where(np.isfinite(values), values, unknown)
    if ((values < 0) | (values > 255) | (values % 1 != 0)).any():
        raise InputError(f"{what}: column quality_flags holds no 8-bit integers")
    if (values >= MAX_BITS).any():
        warnings.warn(f"{what}: quality_flags has bits of no known meaning", stacklevel=3)
    return values.astype(np.uint8)


def _fit_flags(ids: np.ndarray, quality: np.ndarray, estimates: np.ndarray) -> np.ndarray:
    """Flags that follow from the published columns."""
    repeated = id_flags(ids)
    unlike = quality & int(QualityFlag.HIGH_CHI2 | QualityFlag.LOW_PRIOR) != 0
    raised = {
        FitFlag.BAD_INPUT: ~np.isfinite(estimates[:, :3]).any(axis=1),
        FitFlag.MISSING_ID: repeated & int(InputFlag.MISSING_ID) != 0,
        FitFlag.DUPLICATE_ID: repeated & int(InputFlag.DUPLICATE_ID) != 0,
        FitFlag.UNLIKE_TRAINING: unlike,
        FitFlag.PARALLAX_TENSION: quality & int(QualityFlag.PARALLAX) != 0,
    }
    return sum(np.where(rows, int(flag), 0) for flag, rows in raised.items()).astype(np.int32)


def _add_covariances(out: Table, table: Table, names: tuple[str, ...], what: str) -> None:
    """Add the covariances of the five parameters and their inverses, and those of all."""
    n = len(names)
    n_triangle = n * (n + 1) // 2
    triangles = {}
    for kind in ("icov", "cov"):
        found = next(
            (c for c in (f"stellar_params_{kind}_triu", f"{kind}_triu") if c in table.colnames),
            None,
        )
        if found:
            matrix = _matrix(_array(table, found, (n_triangle,), what), n)
            triangles[kind] = matrix
    order = [names.index(name) for name in (*STELLAR_PARAMETERS, *(("xi",) if n == 6 else ()))]
    for kind in ("icov", "cov"):
        five = np.full((len(out), 5, 5), np.nan)
        if kind in triangles and n == 5:
            five = triangles[kind]
        elif n == 6 and "cov" in triangles:
            five = triangles["cov"][:, order][:, :, order][:, :5, :5]
            five = _inverse(five) if kind == "icov" else five
        add_column(out, f"stellar_params_{kind}_triu", triangle(five))
    if n == 6:
        for kind, matrix in triangles.items():
            name = f"all_params_{kind}_triu"
            known = describe(name)
            text = (
                f"{known.text} of ({', '.join((*STELLAR_PARAMETERS, 'xi'))}) in kK, dex, mag, mas"
            )
            ordered = matrix[:, order][:, :, order]
            add_column(out, name, triangle(ordered), Description(text, known.ucd))


def _matrix(triangle: np.ndarray, n: int) -> np.ndarray:
    """Symmetric matrices of upper triangles."""
    matrix = np.empty((len(triangle), n, n))
    rows, columns = np.triu_indices(n)
    matrix[:, rows, columns] = matrix[:, columns, rows] = triangle
    return matrix


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverses, NaN of matrices that are not finite."""
    inverse, finite = np.full_like(matrix, np.nan), np.isfinite(matrix).all(axis=(1, 2))
    inverse[finite] = np.linalg.pinv(matrix[finite], rcond=1e-300, hermitian=True)
    return inverse
