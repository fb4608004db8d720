"""What each quantity is called and measured in, and where parameters stand in theta.

Inside xpfit temperatures are in kK, so that all labels are of order one; in everything that a
person reads they are in K. The factor between the two is written here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import astropy.units as u
import numpy as np
from array_api_compat import array_namespace


@dataclass(frozen=True)
class Quantity:
    """A label or parameter of a star.

    Attributes
    ----------
    name : str
        In code, files and columns.
    title : str
        In text.
    symbol : str
        In figures (mathtext).
    description : str
        A phrase for the description of a column.
    unit, unit_inside : str
        For people, and inside xpfit; empty for pure numbers.
    factor : float
        Value for people = factor x value inside.
    digits : int
        Decimals that are worth printing, for people.
    ucd : str
        What kind of quantity it is, in the IVOA's vocabulary (UCD1+).
    """

    name: str
    title: str
    symbol: str
    description: str
    unit: str = ""
    unit_inside: str = ""
    factor: float = 1.0
    digits: int = 3
    ucd: str = ""

    @property
    def axis_label(self) -> str:
        """Symbol and unit, for an axis."""
        return f"{self.symbol} [{self.unit}]" if self.unit else self.symbol

    @cached_property
    def table_unit(self) -> u.UnitBase | None:
        """Unit of a column; None for pure numbers and for dex, which FITS does not know."""
        return u.Unit(self.unit) if self.unit not in ("", "dex") else None

    def text(self, value: float, error: float | None = None) -> str:
        """A value from inside xpfit, and its error, as people read them, without the unit."""
        parts = [x for x in (value, error) if x is not None]
        return " +- ".join(f"{self.factor * x:.{self.digits}f}" for x in parts)


QUANTITIES = {
    q.name: q
    for q in (
        Quantity(
            "teff", "Teff", r"$T_{\rm eff}$", "effective temperature",
            "K", "kK", 1000.0, 0, "phys.temperature.effective",
        ),
        Quantity(
            "feh", "[Fe/H]", "[Fe/H]", "metallicity [Fe/H] in dex",
            "dex", "dex", ucd="phys.abund.Fe",
        ),
        Quantity(
            "logg", "log g", r"$\log g$", "surface gravity log g in dex (cm s-2)",
            "dex", "dex", ucd="phys.gravity",
        ),
        Quantity(
            "alpha_m", "[alpha/M]", r"[$\alpha$/M]", "alpha enhancement [alpha/M] in dex",
            "dex", "dex", ucd="phys.abund",
        ),
        Quantity(
            "c_fe", "[C/Fe]", "[C/Fe]", "carbon abundance [C/Fe] in dex",
            "dex", "dex", ucd="phys.abund",
        ),
        Quantity(
            "n_fe", "[N/Fe]", "[N/Fe]", "nitrogen abundance [N/Fe] in dex",
            "dex", "dex", ucd="phys.abund",
        ),
        Quantity(
            "ln_luminosity", "ln L", r"$\ln L$",
            "natural logarithm of the bolometric luminosity in solar luminosities",
            ucd="phys.luminosity",
        ),
        Quantity(
            "extinction", "E", "E", "amount of dust E, close to E(B-V)",
            "mag", "mag", ucd="phys.absorption;em.opt",
        ),
        Quantity(
            "parallax", "parallax", r"$\varpi$",
            "parallax from spectrum and astrometry; NaN for models without luminosities",
            "mas", "mas", ucd="pos.parallax",
        ),
        Quantity(
            "xi", "xi", r"$\xi$",
            "place of the extinction curve among all, in units of their spread",
            digits=2, ucd="phys.absorption",
        ),
    )
}  # fmt: skip
"""By name."""

LABELS = ("teff", "feh", "logg", "alpha_m")
"""Labels that come with the library and the default model, in the order of theta.

Models and companions may be trained on others, under any names; of these `QUANTITIES` has [C/Fe]
and [N/Fe].
"""

BASIC_LABELS = ("teff", "feh", "logg")
"""Labels that every survey gives, and that confidence is learned for."""

STELLAR_PARAMETERS = (*BASIC_LABELS, "extinction", "parallax")
"""The five parameters of ZGR23's table 2, in its order; Teff is in kK there."""

_PREFIXES = ("ref_", "companion_")


def quantity(name: str) -> Quantity:
    """What a label or parameter is.

    Parameters
    ----------
    name : str
        May carry the prefix of a reference label or of a companion star. A label that xpfit does
        not know is taken for a pure number.

    Returns
    -------
    Quantity
    """
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return QUANTITIES.get(name) or Quantity(name, name, name, name)


def factors(names: tuple[str, ...] | list[str]) -> np.ndarray:
    """Factors from values inside to values for people, shape (n_name,)."""
    return np.array([quantity(name).factor for name in names])


@dataclass(frozen=True)
class Layout:
    """Columns of theta = (labels, ln E, ln varpi[, xi]), and of the same in linear parameters.

    Stars are fitted in ln E and ln varpi, which keeps both positive (ZGR23, section 4.2); results
    are given in E and varpi.

    Parameters
    ----------
    n_label : int
    has_xi : bool
        Whether the extinction curve varies from star to star.
    """

    n_label: int
    has_xi: bool = False

    @property
    def size(self) -> int:
        """Number of parameters of a star."""
        return self.n_label + 2 + self.has_xi

    @property
    def labels(self) -> slice:
        """Columns of the labels."""
        return slice(self.n_label)

    @property
    def extinction(self) -> int:
        """Column of ln E."""
        return self.n_label

    @property
    def parallax(self) -> int:
        """Column of ln varpi; of models without parallaxes, half the ln of the amplitude."""
        return self.n_label + 1

    @property
    def logarithmic(self) -> slice:
        """Columns that hold logarithms."""
        return slice(self.n_label, self.n_label + 2)

    @property
    def xi(self) -> int:
        """Column of xi, where there is one."""
        return self.n_label + 2

    def names(self, label_names: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the linear parameters."""
        return (*label_names, "extinction", "parallax", *(("xi",) if self.has_xi else ()))

    def to_linear(self, theta: np.ndarray) -> np.ndarray:
        """Linear parameters (labels, E, varpi[, xi]) of `theta`, both (..., n_parameter)."""
        return self._mapped(theta, array_namespace(theta).exp)

    def to_theta(self, linear: np.ndarray) -> np.ndarray:
        """`theta` of linear parameters, both (..., n_parameter); E = 0 becomes -inf."""
        with np.errstate(divide="ignore"):
            return self._mapped(linear, array_namespace(linear).log)

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """d linear / d theta, which is diagonal: (n_star, n_parameter)."""
        xp = array_namespace(theta)
        ones = xp.ones_like(theta)
        ones[:, self.logarithmic] = xp.exp(theta[:, self.logarithmic])
        return ones

    def _mapped(self, values: np.ndarray, function) -> np.ndarray:
        """Copy with a function applied to what is fitted in logarithms."""
        out = array_namespace(values).asarray(values, copy=True)
        out[..., self.logarithmic] = function(values[..., self.logarithmic])
        return out
