"""Units that the columns of a file state, and values in xpfit's units."""

from __future__ import annotations

import logging
import re
import warnings
from functools import lru_cache

import astropy.units as u
import numpy as np

from ..errors import InputError

NO_UNIT = ("", "-", "--", "---", "none", "null", "n/a", "1", "unitless", "dimensionless")
"""Texts (in lower case) that stand for no unit."""

SPELLINGS = {
    "vega mag": "mag", "mag(vega)": "mag", "vegamag": "mag", "mag (vega)": "mag",
    "magnitude": "mag", "magnitudes": "mag", "mags": "mag", "millimag": "mmag",
    "milliarcsec": "mas", "milliarcsecond": "mas", "milliarcseconds": "mas",
    "microarcsec": "uas", "arcseconds": "arcsec",
    "kelvin": "K", "degk": "K", "degrees": "deg", "[sun]": "dex", "dex(sun)": "dex",
    "nanomaggies": "nmgy", "nanomaggy": "nmgy", "vega nmgy": "nmgy",
    "angstroms": "Angstrom", "nanometers": "nm", "nanometres": "nm", "microns": "um",
    "(log(cm.s**-2))": "dex(cm / s2)",
}  # fmt: skip
"""Spellings (in lower case) that astropy does not know."""

_FORMATS = ("generic", "vounit", "cds", "fits", "ogip")

_LOGARITHM = re.compile(r"^(?:log10|log|dex)?\s*(?:\((?P<round>.+)\)|\[(?P<square>.+)\])$", re.I)

_AMPERE = re.compile(r"\bA\b")

REMEDY = (
    "write the unit that its values have into the file (TUNIT of FITS, unit of VOTable or ECSV), "
    "or convert them"
)

log = logging.getLogger("xpfit")


@lru_cache(maxsize=256)
def _parse(text: str) -> u.UnitBase | None:
    """Unit by a text; None for texts that state none."""
    text = text.strip()
    if text.lower() in NO_UNIT:
        return None
    text = SPELLINGS.get(text.lower(), text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for form in _FORMATS:
            try:
                return u.Unit(text, format=form)
            except (ValueError, TypeError):
                continue
    logarithm = _LOGARITHM.match(text)
    if logarithm:
        return u.dex(_parse(logarithm["round"] or logarithm["square"]))
    raise ValueError(f"the unit {text!r} is not known")


def stated_unit(column) -> str:
    """Unit that a column states, as text.

    Parameters
    ----------
    column : astropy.table.Column, astropy.units.Quantity or array_like

    Returns
    -------
    str
        Empty if it states none.
    """
    unit = getattr(column, "unit", None)
    if unit is None:
        return ""
    text = unit.strip() if isinstance(unit, str) else unit.to_string().strip()
    return "" if text.lower() in NO_UNIT else text


def converted(
    values: np.ndarray, stated, wanted: u.UnitBase | str, where: str, equivalencies=()
) -> np.ndarray:
    """Values in the unit that is wanted.

    Parameters
    ----------
    values : ndarray
    stated : str, astropy.units.UnitBase or None
        Unit that the file states, in the spelling of any standard; none of them for no unit, which
        is taken to be the wanted one.
    wanted : astropy.units.UnitBase or str
    where : str
        File and column, for messages.
    equivalencies : list, optional
        Of astropy, such as `astropy.units.spectral_density`.

    Returns
    -------
    ndarray
        The same array where there is nothing to convert.

    Raises
    ------
    InputError
        If the stated unit is not known, or measures something else.
    """
    wanted = u.Unit(wanted)
    text = stated if isinstance(stated, str) else "" if stated is None else stated.to_string()
    try:
        unit = _parse(text)
        if unit is None or unit == wanted:
            return values
        return _converted(values, text, unit, wanted, list(equivalencies))
    except (ValueError, TypeError, u.UnitsError) as error:
        known = "" if "is not known" not in str(error) else ", which is not known"
        raise InputError(
            f"{where}: the unit {text!r}{known} cannot be converted into {wanted.to_string()!r}; "
            f"{REMEDY}"
        ) from None


def _converted(values, text: str, unit, wanted, equivalencies) -> np.ndarray:
    """Values of a unit in another."""
    if isinstance(wanted, u.DexUnit) or wanted == u.dex:
        if _is_dex(unit) and (unit == wanted or _is_dex(unit, plain=True) or wanted == u.dex):
            return values
        raise ValueError
    if not unit.is_equivalent(wanted, equivalencies) and _AMPERE.search(text):
        unit = _parse(_AMPERE.sub("Angstrom", text))  # who writes A for them
    if equivalencies:
        return u.Quantity(values, unit).to_value(wanted, equivalencies)
    if isinstance(unit, u.function.FunctionUnitBase) or unit.to(wanted) <= 0:
        raise ValueError  # logarithms of other things; dex is -2.5 mag, which nobody means
    return values * unit.to(wanted)


def _is_dex(unit, plain: bool = False) -> bool:
    """Whether a unit is dex, of whatever or (plain) of no other unit."""
    if isinstance(unit, u.DexUnit):
        return not plain or unit.physical_unit == u.dimensionless_unscaled
    return unit == u.dex


def require_median(
    values: np.ndarray, unit: str, limits: tuple[float, float], where: str, stated: str = ""
) -> None:
    """Refuse values that cannot be in the unit that they are said or assumed to be in.

    Parameters
    ----------
    values : ndarray
        Possible ones; others NaN.
    unit : str
        What they are in by now, for the message.
    limits : tuple of float
        Between which the median of their absolute values must be.
    where : str
        File and column, for messages.
    stated : str
        Unit that the file states; empty if it states none.

    Raises
    ------
    InputError
        If the median is outside.
    """
    sizes = np.abs(values[np.isfinite(values)])
    if not len(sizes):
        return
    median = float(np.median(sizes))
    if not limits[0] <= median <= limits[1]:
        how = f"the unit {stated!r} that the file states" if stated else f"the assumed unit {unit}"
        raise InputError(
            f"{where}: the median is {median:.3g} {unit}, expected {limits[0]:g} to "
            f"{limits[1]:g}; the values contradict {how}: {REMEDY}"
        )


def say_once(message: str) -> None:
    """Tell users what they may want to know, such as that a unit was assumed, once a process.

    Parameters
    ----------
    message : str
        Logged by the logger ``xpfit`` at level INFO, which commands show without ``--quiet``.
    """
    if message not in _said:
        _said.add(message)
        log.info(message)


_said: set[str] = set()
