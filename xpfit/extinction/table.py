"""Columns with extinctions in passbands, for tables of stars of known type and dust."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from enum import IntFlag

import astropy.units as u
import numpy as np
from astropy.table import Table

from ..catalogue import add_column
from ..catalogue.describe import Description
from ..errors import InputError
from ..model import XPModel
from ..quantities import STELLAR_PARAMETERS, quantity
from ..read.tables import float_column
from ..read.units import converted, stated_unit
from .inband import ModelExtinction
from .passband import NAMED, Passband, named_passband
from .reddening import B_V, monochromatic, reddening

FLAGS = "extinction_flags"


class ExtinctionFlag(IntFlag):
    """Why extinctions of a star are unknown or doubtful."""

    UNKNOWN = 1
    OUT_OF_RANGE = 2
    NO_ERROR = 4


FLAG_TEXTS = (
    "1: a parameter is unknown or impossible, and so are the extinctions; 2: a label lies outside "
    "the range that the model was trained on; 4: errors of the parameters are unknown"
)


class ExtinctionColumns:
    """Extinctions of the stars of tables, as further columns.

    Parameters
    ----------
    model : XPModel
        In sampled space; that of the fits, if the tables are catalogues.
    passbands : sequence of Passband, optional
        By default those that come with xpfit.
    wavelengths : sequence of float, optional
        nm; for monochromatic extinctions.

    Raises
    ------
    InputError
        As for `ModelExtinction`, or if two passbands would have columns of one name.
    """

    def __init__(
        self,
        model: XPModel,
        passbands: Sequence[Passband] | None = None,
        wavelengths: Sequence[float] = (),
    ):
        if passbands is None:
            passbands = [named_passband(name) for name in NAMED]
        self.model, self.wavelengths = model, np.array(wavelengths, dtype=float)
        self._bands = ModelExtinction(model, passbands)
        self._b_v = ModelExtinction(model, [named_passband(name) for name in B_V])
        self.names = [column_name(name) for name in self._bands.names]
        self.names += [f"a_{at:g}nm".replace(".", "_") for at in self.wavelengths]
        if len(set(self.names)) < len(self.names):
            raise InputError(
                f"two of the passbands {', '.join(self._bands.names)} would have one column; "
                "rename their files"
            )
        monochromatic(self._bands.continued, self.wavelengths, np.zeros(1))  # raises if outside

    def add(self, table: Table) -> Table:
        """Add the columns.

        Parameters
        ----------
        table : astropy.table.Table
            With the model's labels, `extinction`, and `xi` if its curve varies, under these names;
            Teff in K, unless the column states another unit. Errors need the covariance that
            catalogues of xpfit have, `stellar_params_cov_triu` or `all_params_cov_triu`.

        Returns
        -------
        astropy.table.Table
            A copy with `a_NAME` and `a_NAME_err` (mag) for each passband and wavelength,
            `e_b_v` and `e_440_550` (mag), and `extinction_flags`.

        Raises
        ------
        InputError
            If columns are missing, or the table's fits are those of another model.
        """
        require_same_model(self.model, table)
        parameters = parameters_of(self.model, table)
        covariance = covariance_of(self.model, table)
        layout = self.model.forward.layout
        impossible = ~(parameters[:, layout.extinction] >= 0)
        teff = self.model.label_names.index("teff")
        impossible |= ~(parameters[:, teff] > 0)
        parameters[impossible] = np.nan
        value, gradient = self._bands.with_gradient(parameters)
        at, at_gradient = self._monochromatic(parameters)
        value, gradient = np.hstack([value, at]), np.concatenate([gradient, at_gradient], axis=1)
        used = np.delete(np.arange(layout.size), layout.parallax)
        slopes, part = gradient[:, :, used], covariance[:, used[:, None], used]
        error = np.sqrt(np.einsum("sbi,sij,sbj->sb", slopes, part, slopes))
        result = table.copy()
        for i, name in enumerate(self.names):
            text = f"extinction {self._what(i)}"
            description = Description(text, "phys.absorption", u.mag)
            add_column(result, name, value[:, i], description)
            text = f"standard error of {text}: that of the star's parameters"
            description = Description(text, "stat.error;phys.absorption", u.mag)
            add_column(result, f"{name}_err", error[:, i], description)
        e_b_v, e_440_550 = reddening(self._b_v, parameters)
        for name, values, text in (
            ("e_b_v", e_b_v, "A(B) - A(V) of Johnson's passbands, for this star"),
            ("e_440_550", e_440_550, "A(440 nm) - A(550 nm)"),
        ):
            add_column(result, name, values, Description(text, "phot.color.excess", u.mag))
        flags = self._flags(parameters, error)
        add_column(result, FLAGS, flags, Description(FLAG_TEXTS, "meta.code.qual"))
        shares = dict(zip(self._bands.names, self._bands.shares[:, 1].round(4), strict=True))
        result.meta["OUTSIDE"] = json.dumps(shares)
        return result

    def _monochromatic(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Extinctions at the wavelengths, and their derivatives, as of `ModelExtinction`."""
        layout = self.model.forward.layout
        ln_curve, variation = self._bands.continued.ln_curve(self.wavelengths)
        xi = parameters[:, layout.xi, None] if layout.has_xi else 0.0
        dust = parameters[:, layout.extinction, None]
        curve = np.exp(ln_curve + xi * variation) + 0.0 * dust
        gradient = np.zeros((*curve.shape, layout.size))
        gradient[:, :, layout.extinction] = curve
        if layout.has_xi:
            gradient[:, :, layout.xi] = dust * curve * variation
        return dust * curve, gradient

    def _what(self, i: int) -> str:
        """Of what a column is the extinction."""
        n_band = len(self._bands.names)
        if i < n_band:
            return f"in {self._bands.names[i]}, integrated over the model's spectrum"
        return f"at {self.wavelengths[i - n_band]:g} nm"

    def _flags(self, parameters: np.ndarray, error: np.ndarray) -> np.ndarray:
        """`ExtinctionFlag` of each star, uint8."""
        layout = self.model.forward.layout
        used = np.delete(np.arange(layout.size), layout.parallax)
        unknown = ~np.isfinite(parameters[:, used]).all(axis=1)
        outside = ~self.model.in_range(parameters[:, layout.labels]).all(axis=1)
        flags = np.where(unknown, ExtinctionFlag.UNKNOWN, 0)
        flags |= np.where(outside & ~unknown, ExtinctionFlag.OUT_OF_RANGE, 0)
        no_error = ~np.isfinite(error).all(axis=1)
        flags |= np.where(no_error & ~unknown, ExtinctionFlag.NO_ERROR, 0)
        return flags.astype(np.uint8)


def column_name(band: str) -> str:
    """Name of the column with the extinction in a passband."""
    return "a_" + re.sub(r"\W+", "_", band).strip("_").lower()


def require_same_model(model: XPModel, table: Table) -> None:
    """Raise an `InputError` if a catalogue says that its fits are those of another model."""
    origin = table.meta.get("MODELID")
    if origin and origin not in model.fingerprints:
        raise InputError(
            "the catalogue was fitted with another model, whose E and curve are its own; name "
            "that model with --model"
        )


def parameters_of(model: XPModel, table: Table) -> np.ndarray:
    """Linear parameters of a model's stars from a table, (n_star, n_parameter).

    The parallax, which extinctions do not depend on, is 1 where the table has none.

    Raises
    ------
    InputError
        If columns are missing, or have impossible units.
    """
    names = model.parameter_names
    if missing := [n for n in names if n not in table.colnames and n != "parallax"]:
        raise InputError(
            f"{table.meta.get('path', 'the table')}: no column {', '.join(missing)}; extinctions "
            f"of this model need {', '.join(n for n in names if n != 'parallax')}"
        )
    columns = []
    for name in names:
        if name not in table.colnames:
            columns.append(np.ones(len(table)))
            continue
        values, known = float_column(table[name]), quantity(name)
        if known.table_unit is not None:
            values = converted(values, stated_unit(table[name]), known.table_unit, name)
        columns.append(values / known.factor)
    return np.column_stack(columns)


def covariance_of(model: XPModel, table: Table) -> np.ndarray:
    """Covariances of the parameters that a catalogue carries, (n_star, n_parameter, n_parameter).

    NaN where it has none.
    """
    names = model.parameter_names
    column, order = "all_params_cov_triu", names
    if set(names) == set(STELLAR_PARAMETERS):
        column, order = "stellar_params_cov_triu", STELLAR_PARAMETERS
    rows, columns = np.triu_indices(len(names))
    matrix = np.full((len(table), len(names), len(names)), np.nan)
    if column not in table.colnames:
        return matrix
    packed = np.ma.filled(np.ma.asarray(table[column]).astype(float), np.nan)
    if packed.shape[1:] != rows.shape:
        raise InputError(f"{column} is that of a model with other parameters")
    matrix[:, rows, columns] = matrix[:, columns, rows] = packed
    place = np.array([order.index(name) for name in names])
    return matrix[:, place[:, None], place]
