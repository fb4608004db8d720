"""Estimates by companions: as tables, and as further columns of a catalogue."""

from __future__ import annotations

from collections.abc import Sequence

import astropy.units as u
import numpy as np
from astropy.table import Table

from ..companion import SEED, Companion, ScatterAutoencoder
from ..data.spectra import Spectra
from ..errors import InputError
from ..quality import FitFlag
from ..quantities import quantity
from .columns import add_column
from .describe import Description, describe

PARTS = {
    "model_err": "dropout",
    "input_err": "errors of the spectrum",
    "excess_err": "the rest",
}
"""Components of the uncertainty, and their causes."""

ODDITY = {
    "reconstruction_chi2": ("chi2", "chi2 per value of the spectrum as it passes through", None),
    "latent_ln_density": ("ln_density", "ln of the density of training stars there", None),
    "oddity": ("oddity", "-log10 of the share of ordinary stars that are as odd", None),
    "oddest_wavelength": ("oddest", "wavelength that fits the others least", u.nm),
}
"""Columns that say how unlike the training set a spectrum is, and where to find them."""


def companion_table(companion: Companion, spectra: Spectra, seed: int = SEED) -> Table:
    """A companion's estimates for stars.

    Parameters
    ----------
    companion : Companion
    spectra : Spectra
    seed : int
        Of what companions draw at random; results of a star do not depend on others.

    Returns
    -------
    astropy.table.Table
        Labels with their errors and the components of these, in K and dex; or latent numbers, and
        how unlike the training set a spectrum is.
    """
    table = Table()
    add_column(table, "gdr3_source_id", spectra.source_id)
    if isinstance(companion, ScatterAutoencoder):
        out = companion.predict(spectra, seed=seed)
        add_column(table, "latent", out.latent, Description("latent numbers of the spectrum"))
        add_column(table, "latent_err", out.latent_err, Description("their widths"))
        _add_oddity(table, out)
        add_column(table, "is_odd", out.is_odd, Description("unlike the training set"))
        return table
    prediction = companion.predict(spectra, seed=seed)
    total = prediction.total_err
    for i, name in enumerate(prediction.label_names):
        factor = quantity(name).factor
        add_column(table, name, factor * prediction.values[:, i])
        add_column(table, f"{name}_err", factor * total[:, i])
        known = describe(f"{name}_err")
        for part, errors in prediction.errors.items():
            text = Description(f"{known.text}, due to {PARTS[part]}", known.unit, known.ucd)
            add_column(table, f"{name}_{part}", factor * errors[:, i], text)
    return table


def add_companion_columns(table: Table, spectra: Spectra, companions: Sequence[Companion]) -> None:
    """Add independent estimates to a catalogue, and flag spectra unlike the training set.

    Parameters
    ----------
    table : astropy.table.Table
        From `result_table`; changed in place.
    spectra : Spectra
        The fitted spectra.
    companions : sequence of Companion
        For one that predicts labels: ``KIND_LABEL``, its error, and ``KIND_LABEL_sigma``, the fit
        minus the estimate in standard errors. For an auto-encoder the columns `ODDITY`, and the
        flag `FitFlag.UNLIKE_TRAINING`.

    Raises
    ------
    InputError
        If the spectra are not in the observation space of a companion.
    """
    for companion in companions:
        if isinstance(companion, ScatterAutoencoder):
            out = companion.predict(spectra)
            _add_oddity(table, out)
            table["fit_flags"] |= np.where(out.is_odd, int(FitFlag.UNLIKE_TRAINING), 0).astype(
                table["fit_flags"].dtype
            )
            continue
        estimate = companion_table(companion, spectra)
        for name in companion.label_names:
            value, error = estimate[name], estimate[f"{name}_err"]
            known, column = describe(name), f"{companion.kind}_{name}"
            text = f"{known.text} by the companion {companion.kind}"
            add_column(table, column, value, Description(text, known.unit, known.ucd))
            text = f"standard error of {text}"
            add_column(table, f"{column}_err", error, Description(text, known.unit, "stat.error"))
            if name in table.colnames:
                both = np.hypot(table[f"{name}_err"], error)
                text = f"{known.text}: fit minus {companion.kind}, over the error of both"
                sigma = np.asarray((table[name] - value) / both)
                add_column(table, f"{column}_sigma", sigma, Description(text))


def check_companions(companions: Sequence[Companion]) -> None:
    """Refuse two companions of one kind, whose columns would have the same names.

    Raises
    ------
    InputError
    """
    kinds = [companion.kind for companion in companions]
    if len(set(kinds)) < len(kinds):
        raise InputError(f"two companions of one kind ({', '.join(kinds)}); give one of each")


def _add_oddity(table: Table, out) -> None:
    """Add how unlike the training set spectra are."""
    for column, (name, text, unit) in ODDITY.items():
        add_column(table, column, getattr(out, name), Description(text, unit))
