"""Bands that a table of photometry says not to use: flags of 2MASS, AllWISE, CatWISE and unWISE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from ..data import PhotometrySettings
from ..errors import InputError
from ..read.columns import WISE_FLAGS, plain, unnumbered
from ..read.known import Use, known_columns

TWO_MASS_BANDS, WISE_BANDS = ("J", "H", "Ks"), ("W1", "W2", "W3", "W4")

BAD_INFO = 1 << 1 | 1 << 4 | 1 << 5
"""Bits of unWISE's `flags_info` with which a band is not used: in a large galaxy, saturation,
nebulosity (catalog.unwise.me). The others are on the sky around (a bright star off the coadd's
edge, the Magellanic Clouds), or on how blends were treated."""


@dataclass(frozen=True)
class Letters:
    """A column with one letter for each band of a survey.

    Attributes
    ----------
    names : tuple of str
        Of the column, `plain`.
    bands : tuple of str
        In the order of the letters.
    good, bad : str
        Letters with which a band is used, and is not; there are no others.
    blank_is_good : bool
        Whether a band is used that has no letter.
    contaminated : bool
        Whether the bad ones mean light of another source, or an artefact of one.
    """

    names: tuple[str, ...]
    bands: tuple[str, ...]
    good: str
    bad: str
    blank_is_good: bool = True
    contaminated: bool = True


LETTERS = (
    Letters(("ph_qual", "qflg", "qfl"), TWO_MASS_BANDS, "ABCD", "EFUX", False, False),
    Letters(("cc_flg", "cflg"), TWO_MASS_BANDS, "0", "pcdsb"),
    Letters(("ph_qual", "qph"), WISE_BANDS, "ABC", "UXZn", True, False),
    Letters(("cc_flags", "ccf"), WISE_BANDS, "0", "DPHOdpho"),
    Letters(("ab_flags", "abf"), WISE_BANDS[:2], "0", "DPHOdpho"),
)
"""Of 2MASS, AllWISE (quality, artefacts of bright stars) and CatWISE. Capitals of `cc_flags` say
that a source may be nothing but an artefact, others that it is contaminated by one."""


@dataclass(frozen=True)
class Verdict:
    """What a column says of bands.

    Attributes
    ----------
    column : str
        In the table.
    unusable : dict of str to ndarray of bool, shape (n_row,)
        By band.
    contaminated : bool
        Whether because of the light of another source, or because the source is extended.
    """

    column: str
    unusable: Mapping[str, np.ndarray]
    contaminated: bool

    def __str__(self) -> str:
        counts = [f"{band} of {rows.sum()}" for band, rows in self.unusable.items()]
        return f"{self.column} -> not used: {', '.join(counts)} rows"


def unusable_bands(
    table: Table, settings: PhotometrySettings, what: str
) -> tuple[list[Verdict], list[Use]]:
    """What the flags of a table say of its bands.

    Parameters
    ----------
    table : astropy.table.Table
    settings : PhotometrySettings
        Its `min_fracflux` is used here.
    what : str
        What the table is, for messages.

    Returns
    -------
    verdicts : list of Verdict
        One for each column of flags.
    uses : list of Use
        Of columns of numbers.

    Raises
    ------
    InputError
        If a column holds letters or numbers that the survey's has not.
    """
    columns, uses = known_columns(table, [meaning.name for meaning in WISE_FLAGS], what)
    verdicts = _of_letters(table, what)
    for use in uses:
        values, name = columns[use.meaning.name], use.meaning.name
        kind, _, band = name.rpartition("_")
        with np.errstate(invalid="ignore"):
            if name == "ext_flag":
                extended = values > 0
                found = {"W1": extended, "W2": extended}
            elif kind == "fracflux":
                found = {band: values < settings.min_fracflux}
            else:
                bits = np.nan_to_num(values).astype(np.int64)
                found = {band: (bits & BAD_INFO if kind == "flags_info" else bits) != 0}
        verdicts.append(Verdict(use.column, found, True))
    return verdicts, uses


def _of_letters(table: Table, what: str) -> list[Verdict]:
    """Verdicts of all columns of letters."""
    verdicts, seen = [], {}
    for name in table.colnames:
        spelled = {plain(name), unnumbered(plain(name))}
        kinds = [kind for kind in LETTERS if spelled & set(kind.names)]
        found = _kind_and_texts(table[name], kinds, f"{what}: column {name}") if kinds else None
        if found is None:
            continue
        kind, texts = found
        if seen.setdefault(kind, texts) != texts:
            raise InputError(
                f"{what}: two columns, {name} the second, may both be {kind.names[0]}, and differ; "
                "remove or rename one"
            )
        found_bad = {
            band: np.array([_is_bad(text[k : k + 1], kind) for text in texts], dtype=bool)
            for k, band in enumerate(kind.bands)
            if band not in WISE_BANDS[2:]
        }
        verdicts.append(Verdict(name, found_bad, kind.contaminated))
    return verdicts


def _is_bad(letter: str, kind: Letters) -> bool:
    """Whether a band with this letter is not used."""
    return not kind.blank_is_good if not letter else letter not in kind.good


def _kind_and_texts(column, kinds: list[Letters], where: str) -> tuple[Letters, list[str]] | None:
    """Which survey's letters a column holds, by their number, and each row's; None if it is empty.

    Columns of digits alone, which texts such as CSV give back as numbers, get their zeros back.
    """
    texts = _texts(column, len(kinds[0].bands))
    widths = {len(text) for text in texts if text}
    if not widths:
        return None
    for kind in kinds:
        if widths == {len(kind.bands)}:
            break
    else:
        expected = " or ".join(f"{len(k.bands)} ({', '.join(k.bands)})" for k in kinds)
        usual = {len(kind.bands) for kind in kinds}
        example = next((t for t in texts if t and len(t) not in usual), texts[0])
        raise InputError(f"{where}: {example!r} is not one letter for each band: {expected}")
    known = kind.good + kind.bad
    for text in texts:
        if any(letter not in known for letter in text):
            raise InputError(
                f"{where}: {text!r} has letters other than those of {kind.names[0]} "
                f"({', '.join(known)}); remove the column, or correct it"
            )
    return kind, texts


def _texts(column, width: int) -> list[str]:
    """Cells as text, empty where missing; numbers with zeros in front."""
    cells = np.ma.asarray(column)
    mask = np.ma.getmaskarray(cells)
    if cells.dtype.kind in "iuf":
        mask = mask | ~np.isfinite(cells.filled(0))
        return ["" if m else f"{int(v):0{width}d}" for v, m in zip(cells.data, mask, strict=True)]
    decoded = (c.decode("utf-8", "replace") if isinstance(c, bytes) else str(c) for c in cells.data)
    texts = ("" if m else text.strip() for text, m in zip(decoded, mask, strict=True))
    return ["" if text.lower() in ("nan", "none", "null", "--") else text for text in texts]
