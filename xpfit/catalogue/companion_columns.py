"""Predictions of companions as tables, and as columns beside those of the forward fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from astropy.table import Table

from ..companion import SEED, Column, Companion
from ..data import FitFlag, Spectra
from ..errors import InputError
from ..quantities import quantity
from ..releases import RELEASES
from .columns import add_column
from .describe import Description


def companion_table(companion: Companion, spectra: Spectra, seed: int = SEED) -> Table:
    """Table of a companion's predictions.

    Parameters
    ----------
    companion : Companion
    spectra : Spectra
    seed : int
        Of what companions draw at random; results of a star do not depend on others.

    Returns
    -------
    astropy.table.Table
        Labels with their errors and the components of these, in K and dex; or latent variables, and
        how unlike the training set a spectrum is.
    """
    table = Table()
    add_column(table, RELEASES[spectra.release].id_column, spectra.source_id)
    _add(table, companion.predict(spectra, seed=seed).columns())
    return table


def add_companion_columns(table: Table, spectra: Spectra, companions: Sequence[Companion]) -> None:
    """Add columns with independent estimates to a catalogue, and flag outliers.

    Parameters
    ----------
    table : astropy.table.Table
        From `result_table`; changed in place.
    spectra : Spectra
        That were fitted.
    companions : sequence of Companion
        For one that predicts labels, ``KIND_LABEL``, its error, and ``KIND_LABEL_sigma``, the
        difference of the fit from it in units of the error of both. For an auto-encoder, how unlike
        the training set a spectrum is, and the flag `FitFlag.UNLIKE_TRAINING`.

    Raises
    ------
    InputError
        If the spectra are not in the observation space of a companion.
    """
    for companion in companions:
        prediction, kind = companion.predict(spectra), companion.kind
        _add(table, prediction.catalogue_columns(kind))
        for name in prediction.label_names:
            if name in table.colnames:
                column = f"{kind}_{name}"
                both = np.hypot(table[f"{name}_err"], table[f"{column}_err"])
                sigma = np.asarray((table[name] - table[column]) / both)
                text = f"{quantity(name).description}: fit minus {kind}, over the error of both"
                add_column(table, f"{column}_sigma", sigma, Description(text))
        if prediction.is_outlier is not None:
            flag = np.where(prediction.is_outlier, int(FitFlag.UNLIKE_TRAINING), 0)
            table["fit_flags"] |= flag.astype(table["fit_flags"].dtype)


def check_companions(companions: Sequence[Companion]) -> None:
    """Refuse two companions of one kind, whose columns would have the same names.

    Raises
    ------
    InputError
    """
    kinds = [companion.kind for companion in companions]
    if len(set(kinds)) < len(kinds):
        raise InputError(f"two companions of one kind ({', '.join(kinds)}); give one of each")


def _add(table: Table, columns: Iterable[Column]) -> None:
    """Add columns of a prediction."""
    for column in columns:
        description = Description(column.text, column.ucd, column.unit)
        add_column(table, column.name, column.values, description)
