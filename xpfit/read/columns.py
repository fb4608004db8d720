"""What columns of other people's tables mean: their names, units, and values that are possible.

Names are compared without capitals, punctuation and the prefixes and suffixes that joins leave
(`plain`). Known are the spellings of the Gaia archive, IRSA, VizieR and CDS XMatch, SDSS, LAMOST,
and those of TOPCAT and pandas, which number columns of joined tables.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from ..errors import InputError
from ..releases import EXCESS_FACTOR, PARALLAX_BIAS, PARAMS_SOLVED, RELEASES

_TOLERANCE = 1e-6
"""Relative difference up to which a single-precision value is a sentinel's."""

_HUGE = 1e15
"""Beyond all quantities of stars here (1e20, 1e30 and 3.4e38 are in use for what is missing)."""

_NINES = (-1.0, -9.9, -9.99, -9.999, -99.0, -99.9, -99.99, -999.0, -999.9, -999.99, -9999.0,
          -9999.9, -9999.99, -32768.0, 99.0, 99.9, 99.99, 99.999, 99.9999, 999.0, 999.9, 999.99,
          999.999, 9999.0, 9999.9, 9999.99, 99999.0)  # fmt: skip
"""Values by which surveys say that they have not measured something."""

_SHORT_NINES = (9.9, 9.99, 9.999, 9.9999)


@dataclass(frozen=True)
class Meaning:
    """What a column means.

    Attributes
    ----------
    name : str
        In xpfit.
    what : str
        For people.
    unit : str
        In xpfit (as astropy writes it); values are converted into it. Empty for pure numbers.
    low, high : float
        Between which values are possible.
    names : tuple of str
        In tables, `plain`; the first that a table has is used.
    positive : bool
        Whether zero is impossible.
    sentinels : tuple of float
        Values that say that there is none, although they are between the limits.
    doubtful : tuple of float
        Values that say so if several rows, and more than one in a hundred, have them.
    typical : tuple of float, optional
        Between which the median is, if the unit is the right one.
    """

    name: str
    what: str
    unit: str
    low: float
    high: float
    names: tuple[str, ...]
    positive: bool = False
    sentinels: tuple[float, ...] = ()
    doubtful: tuple[float, ...] = ()
    typical: tuple[float, float] | None = None

    def is_sentinel(self, values: np.ndarray) -> np.ndarray:
        """Which values say that there is none."""
        found = _is_any(values, _NINES) & ~self.is_possible(values)
        found |= _is_any(values, self.sentinels)
        for value in self.doubtful:
            same = _is_any(values, (value,))
            found |= same & (same.sum() >= max(2, 0.01 * len(values)))
        return found | ((values == 0) & self.positive) | (np.abs(values) > _HUGE)

    def is_possible(self, values: np.ndarray) -> np.ndarray:
        """Which values are between the limits."""
        with np.errstate(invalid="ignore"):
            inside = (values >= self.low) & (values <= self.high)
            return inside & (values > 0) if self.positive else inside


def _is_any(values: np.ndarray, wanted: tuple[float, ...]) -> np.ndarray:
    """Which values are one of some, to single precision."""
    found = np.zeros(len(values), dtype=bool)
    for value in wanted:
        found |= np.abs(values - value) <= _TOLERANCE * abs(value)
    return found


_SURVEYS = re.compile(
    r"^(?:gaia_?(?:e?dr3)?|gdr3|edr3|dr3|tmass|2mass|twomass|all_?wise|cat_?wise|wise|un_?wise)_"
)
_SUFFIXES = re.compile(
    r"_(?:gaia_?(?:e?dr3)?|gdr3|2mass|tmass|twomass|all_?wise|cat_?wise|wise|un_?wise)$"
)
_NUMBERS = re.compile(r"_(?:[1-9]|x|y|left|right)$")


def plain(name: str) -> str:
    """A name without capitals, punctuation and the name of a survey.

    Parameters
    ----------
    name : str

    Returns
    -------
    str
        Words joined by underscores.
    """
    text = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return _SURVEYS.sub("", _SUFFIXES.sub("", text)) or text


def unnumbered(text: str) -> str:
    """A plain name without the suffix that joins of tables give to names that both have."""
    return plain(_NUMBERS.sub("", text))


def find_column(table: Table, names: Iterable[str], what: str) -> str | None:
    """The column of a table that has one of some names.

    Parameters
    ----------
    table : astropy.table.Table
    names : iterable of str
        In order of preference; compared as they are, then `plain`, then `unnumbered`.
    what : str
        What the table is, for messages.

    Returns
    -------
    str or None

    Raises
    ------
    InputError
        If there are several columns of one name, with different values.
    """
    spelled, numbered = defaultdict(list), defaultdict(list)
    for column in table.colnames:
        text = plain(column)
        spelled[text].append(column)
        numbered[unnumbered(text)].append(column)
    for name in names:
        if name in table.colnames:
            return name
        for found in (spelled.get(name, []), numbered.get(name, [])):
            if found:
                _require_same(table, found, what)
                return found[0]
    return None


def _require_same(table: Table, names: list[str], what: str) -> None:
    """Refuse columns of one meaning with different values."""
    first = table[names[0]]
    for other in names[1:]:
        equal = np.ma.filled(first == table[other], True)
        if first.dtype.kind == "f" and table[other].dtype.kind == "f":
            equal |= np.isnan(np.ma.filled(first, np.nan)) | np.isnan(
                np.ma.filled(table[other], np.nan)
            )
        if not np.all(equal):
            raise InputError(
                f"{what}: columns {names[0]} and {other} may both be meant, and differ; remove or "
                "rename one"
            )


def error_names(*names: str) -> tuple[str, ...]:
    """Names of the error of a quantity, in the ways that are in use."""
    ways = ("{}_err", "{}_error", "e_{}", "{}err", "err_{}", "{}_e", "sigma_{}", "{}_sigma",
            "{}_sig", "{}_unc", "{}_uncertainty", "{}_std", "{}error")  # fmt: skip
    return tuple(way.format(name) for name in names for way in ways)


def _magnitude_names(letter: str) -> tuple[str, ...]:
    """Names of a magnitude of 2MASS."""
    return (f"{letter}_m", f"{letter}_mag", f"{letter}mag", letter, f"mag_{letter}",
            f"{letter}_magnitude", f"{letter}_vega", f"{letter}mag_vega")  # fmt: skip


def _band(name: str, letters: tuple[str, ...], more=(), more_errors=()) -> tuple[Meaning, Meaning]:
    """A magnitude and its error."""
    names = (*more, *(n for letter in letters for n in _magnitude_names(letter)))
    errors = (*more_errors, *error_names(*names))
    survey = "WISE" if name.startswith("W") else "2MASS"
    return (
        Meaning(
            name, f"{survey} {name} (Vega)", "mag", -6.0, 26.0, names,
            sentinels=(0.0, -1.0), doubtful=_SHORT_NINES,
        ),
        Meaning(
            f"{name}_err", f"error of {name}", "mag", 0.0, 3.0, errors,
            positive=True,
        ),
    )  # fmt: skip


def _two_mass(name: str, *letters: str) -> tuple[Meaning, Meaning]:
    """A band of 2MASS."""
    errors = (f"{b}_{e}" for e in ("msigcom", "cmsig", "msig") for b in letters)
    return _band(name, letters, more_errors=tuple(errors))


def _wise(name: str) -> tuple[Meaning, ...]:
    """A band of WISE: magnitudes, and fluxes in nanomaggies."""
    b = name.lower()
    magnitudes = (f"{b}mpro", f"{b}_mpro", f"{b}mpro_pm")
    errors = (f"{b}mpro_error", f"{b}sigmpro", f"{b}_sigmpro", f"{b}sigmpro_pm")
    nano = (f"{b}_nanomaggies", f"f{b}", f"flux_{b}", f"{b}_flux")
    nano_errors = (*error_names(*nano), f"dflux_{b}", f"{b}_dflux")
    flux, flux_err = f"{name}_nanomaggies", f"{name}_nanomaggies_err"
    return (
        *_band(name, (b,), magnitudes, errors),
        Meaning(flux, f"WISE {name} (Vega, 22.5 mag)", "nmgy", -1e6, 1e11, nano),
        Meaning(flux_err, f"error of {flux}", "nmgy", 0.0, 1e10, nano_errors, positive=True),
    )


def _unwise_flags(name: str) -> tuple[Meaning, ...]:
    """Flags of a band of unWISE."""
    b = name.lower()
    kinds = (
        ("flags_unwise", "unWISE's flags on artefacts", 0, 2**31),
        ("flags_info", "unWISE's flags on the surroundings", 0, 2**31),
        ("fracflux", "share of the flux there that is the source's", -1.0, 2.0),
    )
    return tuple(
        Meaning(
            f"{kind}_{name}",
            f"{what}, {name}",
            "",
            low,
            high,
            (f"{kind}_{b}", f"{b}_{kind}", f"{b}_{plain(kind)}"),
        )
        for kind, what, low, high in kinds
    )


def _label(name, what, unit, low, high, err_high, names, **more) -> tuple[Meaning, Meaning]:
    """A label and its error."""
    sentinels = (*_SHORT_NINES, *_NINES)
    return (
        Meaning(name, what, unit, low, high, names, **more),
        Meaning(
            f"{name}_err", f"error of {name}", unit, 0.0, err_high, error_names(*names),
            positive=True, sentinels=sentinels,
        ),
    )  # fmt: skip


def _number(name, what, unit, low, high, *names, **more) -> Meaning:
    """A column of Gaia."""
    return Meaning(name, what, unit, low, high, (name, *names), **more)


BANDS = (
    *_two_mass("J", "j"), *_two_mass("H", "h"), *_two_mass("Ks", "ks", "k"),
    *_wise("W1"), *_wise("W2"),
)  # fmt: skip
"""Magnitudes, or fluxes, and their errors."""

WISE_FLAGS = (
    _number("ext_flag", "AllWISE's flag on extended sources", "", 0, 5, "ext_flg", "ex"),
    *_unwise_flags("W1"), *_unwise_flags("W2"),
)  # fmt: skip
"""What says that W1 or W2 is not that of a single point source."""

LABELS = (
    *_label("teff", "effective temperature", "K", 500.0, 250_000.0, 50_000.0,
            ("teff", "t_eff", "teff_k"),
            sentinels=(99_999.0,), doubtful=(9999.0,)),
    *_label("feh", "[Fe/H]", "dex", -8.0, 2.0, 5.0, ("feh", "fe_h")),
    *_label("logg", "log g", "dex(cm / s2)", -2.0, 9.5, 5.0, ("logg", "log_g")),
    *_label("alpha_m", "[alpha/M]", "dex", -2.0, 2.5, 5.0, ("alpha_m",)),
    *_label("c_fe", "[C/Fe]", "dex", -4.0, 5.0, 5.0, ("c_fe",)),
    *_label("n_fe", "[N/Fe]", "dex", -4.0, 5.0, 5.0, ("n_fe",)),
    *_label("extinction", "E(B-V)", "mag", -5.0, 50.0, 30.0,
            ("extinction", "ebv", "e_b_v"), sentinels=(-1.0,)),
    Meaning("snr", "S/N", "", 0.0, 1e6, ("snr", "snrr", "snr_r"), sentinels=(9999.0, 99999.0)),
    Meaning("ln_luminosity", "ln L", "", -20.0, 20.0, ("ln_luminosity",)),
    Meaning("ln_luminosity_err", "error of ln L", "", 0.0, 9.0,
            error_names("ln_luminosity"), positive=True),
)  # fmt: skip

POSITIONS = (
    _number("ra", "right ascension", "deg", 0.0, 360.0, "ra_icrs", "raj2000", "ra_j2000", "radeg"),
    _number("dec", "declination", "deg", -90.0, 90.0, "de_icrs", "dej2000", "dec_j2000", "dedeg",
            "decj2000", "dec_icrs"),
    _number("pmra", "proper motion in ra", "mas / yr", -2e4, 2e4),
    _number("pmdec", "proper motion in dec", "mas / yr", -2e4, 2e4, "pmde"),
    _number("ref_epoch", "epoch of positions", "yr", 1900.0, 2100.0),
)  # fmt: skip

PARALLAXES = (
    _number("parallax", "parallax", "mas", -500.0, 800.0, "plx",
            sentinels=(-99.0, -99.9, -99.99, 99.0, 99.99, 99.999)),
    Meaning("parallax_error", "error of parallax", "mas", 0.0, 1e6,
            error_names("parallax", "plx"), positive=True,
            sentinels=(*_SHORT_NINES, *_NINES), typical=(0.0008, 30.0)),
    _number("parallax_over_error", "parallax over its error", "", -1e5, 1e5, "rplx"),
    _number("zero_point", "zero point of the parallax", "mas", -5.0, 5.0),
    _number(PARALLAX_BIAS, "zero point of the parallax", "mas", -5.0, 5.0),
)  # fmt: skip

GAIA = (
    _number("phot_g_mean_mag", "G", "mag", -3.0, 30.0, "gmag", "g_mag", sentinels=(0.0, -1.0)),
    _number("phot_bp_mean_mag", "BP", "mag", -3.0, 30.0, "bpmag", "bp_mag", sentinels=(0.0, -1.0)),
    _number("phot_rp_mean_mag", "RP", "mag", -3.0, 30.0, "rpmag", "rp_mag", sentinels=(0.0, -1.0)),
    *(
        _number(f"phot_{b}_mean_flux{end}", f"{what} of {b.upper()}", "", low, 1e15, *names)
        for b in ("g", "bp", "rp")
        for end, what, low, names in (
            ("_over_error", "flux over its error", -1e3, (f"rf{b}",)),
            ("", "flux", -1e9, (f"f{b}",)),
            ("_error", "error of flux", 0.0, (f"e_f{b}",)),
        )
    ),
    _number(EXCESS_FACTOR, "BP/RP excess factor", "", 0.0, 1000.0, "e_bp_rp"),
    _number("ruwe", "RUWE", "", 0.0, 1e4),
    _number("fidelity_v2", "astrometric fidelity", "", 0.0, 1.0),
    _number("norm_dg", "brightness of neighbours", "mag", -1000.0, 1000.0),
    _number("bp_chi_squared", "chi2 of BP", "", 0.0, 1e12),
    _number("rp_chi_squared", "chi2 of RP", "", 0.0, 1e12),
    _number("nu_eff_used_in_astrometry", "effective wave number", "um-1", 0.1, 10.0, "nueff"),
    _number("pseudocolour", "pseudocolour", "um-1", -50.0, 50.0, "pscol"),
    _number("ecl_lat", "ecliptic latitude", "deg", -90.0, 90.0, "elat"),
    _number(PARAMS_SOLVED, "parameters solved for", "", 0, 1000, "solved",
            *(release.column(PARAMS_SOLVED) for release in RELEASES.values())),
)  # fmt: skip

MEANINGS = {m.name: m for m in (*BANDS, *WISE_FLAGS, *LABELS, *POSITIONS, *PARALLAXES, *GAIA)}
"""By xpfit's name."""

PHOTOMETRY, ASTROMETRY, LABELLED = (
    tuple(m.name for m in meanings)
    for meanings in ((*BANDS, *WISE_FLAGS), (*PARALLAXES, *GAIA), LABELS)
)
"""Names of what tables of photometry, of astrometry and of labels have."""


def count_known(columns: Iterable[str], wanted: Iterable[str]) -> int:
    """Number of meanings that a table with these columns has.

    Parameters
    ----------
    columns : iterable of str
    wanted : iterable of str
        Names in `MEANINGS`.

    Returns
    -------
    int
    """
    spelled = {plain(column) for column in columns}
    spelled |= {unnumbered(name) for name in spelled}
    return sum(not spelled.isdisjoint(MEANINGS[name].names) for name in wanted)
