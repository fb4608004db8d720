"""Labels of spectroscopic surveys: APOGEE, LAMOST with the Hot Payne, and any other table.

The tables of all surveys have the same columns: `teff` in K, `feh`, `logg` (and
`alpha_m`) in dex with `*_err`, `snr`, and `source_id` or `ra` and `dec` in degrees to join by. The
number of rows left out for each reason is in ``table.meta["removed"]``. Labels that are impossible,
or whose error says that they are not measured, are NaN.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
from astropy.table import Table

from ..errors import InputError
from .columns import LABELLED, LABELS, MEANINGS, find_column
from .extra_labels import extra_labels
from .formats.base import require_columns
from .formats.fits import read_fits_table
from .joins import id_column, integer_ids
from .known import Use, known_columns, possible_values, report_uses
from .source_ids import ids_of, release_of_ids
from .tables import Lookup, float_column, read_table
from .units import say_once

LABEL_COLUMNS = (
    "teff", "teff_err", "feh", "feh_err", "logg", "logg_err", "alpha_m", "alpha_m_err",
    "c_fe", "c_fe_err", "n_fe", "n_fe_err", "extinction", "extinction_err", "snr", "ra", "dec",
)  # fmt: skip
"""Numeric columns that a table of labels may have, besides `source_id`."""

REQUIRED_LABELS = ("teff", "feh", "logg")

APOGEE_COLUMNS = {
    "source_id": "GAIAEDR3_SOURCE_ID",
    "ra": "RA",
    "dec": "DEC",
    "snr": "SNR",
    **{
        f"{name}{suffix}": f"{column}{suffix.upper()}"
        for name, column in (
            ("teff", "TEFF"), ("feh", "FE_H"), ("logg", "LOGG"), ("alpha_m", "ALPHA_M")
        )
        for suffix in ("", "_err")
    },
}  # fmt: skip
"""Columns of APOGEE's allStar file, by our names."""

ASPCAP_FLAGS = {"METALS_BAD": 19, "STAR_BAD": 23, "CHI2_BAD": 24, "SNR_BAD": 27}
"""Bits of DR17's ASPCAPFLAG that disqualify a star (DR17 also writes M_H_BAD and SN_BAD)."""

LAMOST_COLUMNS = {
    name: name
    for name in (
        "ra", "dec", "snrg", "snrr", "snri",
        "teff", "teff_err", "feh", "feh_err", "logg", "logg_err",
    )
}  # fmt: skip
"""Columns of LAMOST's catalogue of A, F, G and K stars; its Gaia ids are those of DR2."""

LAMOST_ID = "gaia_source_id"
"""LAMOST's column of ids of Gaia DR2, which are not used."""

SPECTRUM_COLUMNS = ("obsdate", "planid", "spid", "fiberid")
"""Columns of LAMOST's catalogue that name a spectrum."""

HOT_PAYNE_COLUMNS = {
    "teff": "Teff", "teff_err": "e_Teff", "feh": "[Fe/H]", "feh_err": "e_[Fe/H]",
    "logg": "logg", "logg_err": "e_logg",
}  # fmt: skip
"""Columns of the Hot Payne's catalogue (Xiang et al. 2022, A&A 662, A66)."""

HOT_PAYNE_LIMIT = 7000.0
"""Temperature (K) at which ZGR23 (section 2.2) change over to the Hot Payne's labels."""


def read_apogee(path: str | os.PathLike) -> Table:
    """Read labels from APOGEE's allStar file of DR17.

    Parameters
    ----------
    path : path-like
        FITS, such as ``allStar-dr17-synspec_rev1.fits``.

    Returns
    -------
    astropy.table.Table
        As described above, with `source_id` (Gaia EDR3, the same as DR3). Stars with one of
        `ASPCAP_FLAGS` and rows without labels are left out; of a star's several rows the one of
        highest S/N stays.

    Raises
    ------
    FileNotFoundError, InputError
        If the file cannot be read or lacks columns.
    """
    wanted = ("ASPCAPFLAG", *APOGEE_COLUMNS.values())
    raw = read_fits_table(path, columns=wanted)
    require_columns(wanted, raw.colnames, path, "this is not APOGEE's allStar file of DR17")
    good, removed = _without_flagged(raw)
    return _finish(_understood(good, APOGEE_COLUMNS, str(path)), removed, "snr")


def _without_flagged(raw: Table) -> tuple[Table, dict[str, int]]:
    """Rows without `ASPCAP_FLAGS`, where a table has these flags, and how many each removed."""
    removed: dict[str, int] = {}
    name = find_column(raw, ("aspcapflag",), "the table of labels")
    if name is None or raw[name].dtype.kind not in "iu":
        return raw, removed
    flag = np.ma.filled(np.ma.asarray(raw[name]), 0).astype(np.int64)
    keep = np.ones(len(raw), dtype=bool)
    for flag_name, bit in ASPCAP_FLAGS.items():
        bad = (flag >> bit) & 1 == 1
        removed[flag_name] = int(np.sum(keep & bad))
        keep &= ~bad
    return raw[keep], removed


def read_lamost(path: str | os.PathLike, hot_payne: str | os.PathLike | None = None) -> Table:
    """Read labels from LAMOST's DR8 catalogue of A, F, G and K stars, and the Hot Payne.

    Parameters
    ----------
    path : path-like
        FITS or CSV, such as ``dr8_v2.0_LRS_stellar.csv``.
    hot_payne : path-like, optional
        The Hot Payne's catalogue (FITS). Its labels replace LAMOST's for the same spectrum where
        they are hotter than `HOT_PAYNE_LIMIT`; what LAMOST alone calls hotter is left out, since
        its own temperatures of hot stars are inaccurate (ZGR23, section 2.2).

    Returns
    -------
    astropy.table.Table
        As described above, with `ra` and `dec` (J2000) to join by, and `snrg`, `snrr`, `snri`
        (`snr` is that in r). One row per spectrum.

    Raises
    ------
    FileNotFoundError, InputError
        If a file cannot be read or lacks columns.
    """
    raw = read_table(path)
    remedy = "this is not LAMOST's catalogue of A, F, G and K stars"
    require_columns(LAMOST_COLUMNS.values(), raw.colnames, path, remedy)
    table = _understood(raw, LAMOST_COLUMNS, str(path))
    table["snr"] = table["snrr"]
    removed: dict[str, int] = {}
    if hot_payne is not None:
        require_columns(SPECTRUM_COLUMNS, raw.colnames, path, remedy)
        replaced = _replace_hot(table, _spectrum_names(raw), hot_payne)
        hot = ~replaced & (table["teff"] >= HOT_PAYNE_LIMIT)
        removed[f"hotter than {HOT_PAYNE_LIMIT:g} K, not in the Hot Payne"] = int(hot.sum())
        table = table[~hot]
        table.meta["replaced"] = int(replaced.sum())
    return _finish(table, removed, "snr")


def read_labels(path: str | os.PathLike, columns: Mapping[str, str] | None = None) -> Table:
    """Read labels from any table.

    Parameters
    ----------
    path : path-like
        In any format of `xpfit.read.read_table`.
    columns : mapping of str to str, optional
        Our names (`LABEL_COLUMNS`, `source_id`) and the table's; further ones are labels that xpfit
        does not know (`extra_labels`). Columns that are not named are known by the names of
        `xpfit.read.columns`.

    Returns
    -------
    astropy.table.Table
        As described above.

    Raises
    ------
    FileNotFoundError, InputError
        If the file cannot be read, a column of the map is missing, one of teff, feh and logg is
        missing, or neither ids nor positions are given.
    """
    raw = read_table(path, LABELLED)
    columns = dict(columns or {})
    require_columns(columns.values(), raw.colnames, path, "this is not labels with this column map")
    good, removed = _without_flagged(raw)
    table = _understood(good, columns, str(path))
    for name, values in extra_labels(good, columns, str(path)).items():
        table[name] = values
    require_columns(REQUIRED_LABELS, table.colnames, path, "this is not labels; give a column map")
    if "source_id" not in table.colnames and not {"ra", "dec"} <= set(table.colnames):
        raise InputError(f"{path}: neither source_id nor ra and dec to join by; give a column map")
    return _finish(table, removed, "snr" if "snr" in table.colnames else None)


def reference_labels(raw: Table, what: str) -> Table:
    """Labels of any table to compare with, in its own rows.

    Parameters
    ----------
    raw : astropy.table.Table
        Such as APOGEE's allStar file, LAMOST's catalogue, or any with labels under the names of
        `xpfit.read.columns`.
    what : str
        What the table is, for messages.

    Returns
    -------
    astropy.table.Table
        As described above. Rows with APOGEE's `ASPCAP_FLAGS` are left out; labels that are not
        known are NaN; of a star's several rows that of highest S/N comes first.

    Raises
    ------
    InputError
        If one of teff, feh and logg is missing, or neither ids nor positions are given.
    """
    good, removed = _without_flagged(raw)
    table = _understood(good, {}, what)
    for name in REQUIRED_LABELS:
        if name not in table.colnames:
            names = " or ".join(MEANINGS[name].names)
            raise InputError(f"{what} has no column {names}; rename the one that holds it")
    if "source_id" not in table.colnames and not {"ra", "dec"} <= set(table.colnames):
        integer_ids(good, what)  # for its error
    if "snr" in table.colnames:
        table = table[np.argsort(-np.nan_to_num(table["snr"]), kind="stable")]
    if any(removed.values()):
        counts = ", ".join(f"{n} {name}" for name, n in removed.items() if n)
        say_once(f"{what}: {sum(removed.values())} flagged rows are left out ({counts})")
    return table


def _understood(raw: Table, columns: Mapping[str, str], what: str) -> Table:
    """Table with our names, in our units, NaN where labels are impossible or not measured."""
    table, known = Table(), ("ra", "dec", "ref_epoch", *(m.name for m in LABELS))
    ids = columns.get("source_id") or id_column(raw, what)
    of_lamost = columns is LAMOST_COLUMNS or set(SPECTRUM_COLUMNS) <= set(raw.colnames)
    if ids and of_lamost and ids.lower() == LAMOST_ID:
        ids = None
    if ids is not None:
        table["source_id"] = ids_of(raw[ids], what)
        table.meta["release"] = release_of_ids(raw, ids)
    values, uses = known_columns(raw, known, what, columns)
    for use in uses:
        _drop_unmeasured(values, use, raw)
    for name, column in values.items():
        table[name] = column
    for name in ("snrg", "snrr", "snri"):
        if columns.get(name):
            table[name] = possible_values(raw[name], MEANINGS["snr"], f"{what}: column {name}")[0]
    report_uses(raw, what, ids or "position", uses)
    return table


def _drop_unmeasured(values: dict[str, np.ndarray], use: Use, raw: Table) -> None:
    """Drop labels whose error says that they are not measured (zero is an error left out)."""
    label = use.meaning.name.removesuffix("_err")
    if label != use.meaning.name and label in values:
        given = float_column(raw[use.column])
        bad = np.isnan(values[use.meaning.name]) & np.isfinite(given) & (given != 0)
        values[label] = np.where(bad, np.nan, values[label])


def _finish(table: Table, removed: dict[str, int], best_by: str | None) -> Table:
    """Leave out rows without labels and, where there are ids, all but one row of each star."""
    complete = np.isfinite([table[name] for name in REQUIRED_LABELS]).all(axis=0)
    removed["without labels"] = int(np.sum(~complete))
    meta = {**table.meta, "removed": removed}
    table = table[complete]
    if "source_id" in table.colnames:
        quality = table[best_by] if best_by else np.zeros(len(table))
        order = np.lexsort((-np.nan_to_num(quality), table["source_id"]))
        ids = table["source_id"][order]
        first = np.r_[True, ids[1:] != ids[:-1]] | (ids == 0) if len(ids) else order.astype(bool)
        removed["repeated"] = int(np.sum(~first))
        table = table[np.sort(order[first])]
    table.meta = meta
    return table


def _spectrum_names(raw: Table) -> np.ndarray:
    """Names of LAMOST spectra as the Hot Payne writes them: date-plan-spectrograph-fibre."""
    return np.array(
        [
            f"{str(date).replace('-', '')}-{str(plan).strip()}-{int(spid):02d}-{int(fibre):03d}"
            for date, plan, spid, fibre in zip(*(raw[c] for c in SPECTRUM_COLUMNS), strict=True)
        ]
    )


def _replace_hot(table: Table, names: np.ndarray, path: str | os.PathLike) -> np.ndarray:
    """Put the Hot Payne's labels of hot stars into a table; returns which rows."""
    wanted = ("SpecID", *HOT_PAYNE_COLUMNS.values())
    hot = read_fits_table(path, columns=wanted)
    require_columns(wanted, hot.colnames, path, "this is not the Hot Payne's catalogue")
    hot = hot[float_column(hot["Teff"]) >= HOT_PAYNE_LIMIT]
    spectra = np.char.strip(np.asarray(hot["SpecID"]).astype(str))
    rows, replaced = Lookup(spectra).find(names)
    for name, column in HOT_PAYNE_COLUMNS.items():
        what = f"{path}: column {column}"
        values, _ = possible_values(hot[column], MEANINGS[name], what)
        table[name][replaced] = values[rows[replaced]]
    return replaced
