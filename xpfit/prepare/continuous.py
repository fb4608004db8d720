"""XP continuous spectra -> `Spectra` in sampled space."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np
from astropy.table import Table

from ..constants import WAVELENGTH, XP_WAVELENGTH
from ..errors import InputError
from ..read import XP_BANDS
from ..spectra import UNCORRECTED, InputFlag, Spectra
from .corrections import FluxCorrection
from .sampled import SampledSettings, sample_continuous
from .sources import id_flags
from .whitening import whiten_covariances

BLOCK = 64
"""Sources sampled and whitened together: their matrices stay in the processor's cache."""

MAX_PROBLEMS_SHOWN = 5
"""Bad sources that a warning names one by one."""


def continuous_spectra(
    tables: Iterable[Table],
    settings: SampledSettings | None = None,
    correction: FluxCorrection | None = None,
) -> Spectra:
    """Turn XP continuous spectra into data vectors with full whiteners.

    Parameters
    ----------
    tables : iterable of astropy.table.Table
        From `xpfit.read.read_continuous`.
    settings : SampledSettings, optional
        Terms that inflate the covariance.
    correction : FluxCorrection, optional
        A published or own correction of the flux; none by default.

    Returns
    -------
    Spectra
        XP at ZGR23's 61 wavelengths; 2MASS and WISE, which these files do not hold, carry no
        weight. A source that cannot be used keeps its row, without weight and with
        `InputFlag.BAD_COEFFICIENTS`; a warning says why.

    Raises
    ------
    InputError
        If there are no tables.
    """
    settings = settings or SampledSettings()
    parts = [
        _prepare_block(table[start : start + BLOCK], settings, correction)
        for table in tables
        for start in range(0, len(table), BLOCK)
    ]
    if not parts:
        raise InputError("no spectra were given; the input has no rows")
    _warn_of_problems([p for part in parts for p in part.pop("problem")])
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    columns["input_flags"] |= id_flags(columns["source_id"])
    preparation = settings.to_dict()
    preparation["correction"] = correction.identifier if correction else UNCORRECTED
    return Spectra(wavelength=WAVELENGTH, preparation=preparation, **columns)


def _prepare_block(table: Table, settings: SampledSettings, correction) -> dict:
    """Columns of `Spectra` for a few sources."""
    sampled = sample_continuous(table, XP_WAVELENGTH, settings, correction)
    n_star, n_xp, n_obs = len(table), len(XP_WAVELENGTH), len(WAVELENGTH)
    whitener = np.zeros((n_star, n_obs, n_obs))
    whitener[:, :n_xp, :n_xp] = whiten_covariances(sampled.covariance, sampled.mask).whitener
    flux, flux_err = np.zeros((n_star, n_obs)), np.full((n_star, n_obs), np.inf)
    flux[:, :n_xp] = np.where(sampled.mask, 0.0, sampled.flux)
    variance = np.diagonal(sampled.covariance, axis1=1, axis2=2)
    flux_err[:, :n_xp] = np.where(sampled.mask, np.inf, np.sqrt(variance))
    source_id = np.ma.filled(table["source_id"], 0).astype(np.int64)
    bad = sampled.problem != ""
    flags = np.full(n_star, int(InputFlag.MISSING_BAND), dtype=np.int32)
    flags[bad] |= int(InputFlag.BAD_COEFFICIENTS)
    for band in XP_BANDS:
        coefficients = np.asarray(table[f"{band}_coefficients"])
        flags[np.isnan(coefficients).all(axis=1)] |= int(InputFlag.MASKED_SAMPLES)
    return {
        "source_id": source_id,
        "flux": flux,
        "flux_err": flux_err,
        "whitener": whitener,
        "input_flags": flags,
        "problem": [f"source {source_id[i]}: {sampled.problem[i]}" for i in np.flatnonzero(bad)],
    }


def _warn_of_problems(problems: list[str]) -> None:
    """Say which sources are left out, and why."""
    if problems:
        shown = "; ".join(problems[:MAX_PROBLEMS_SHOWN])
        more = len(problems) - MAX_PROBLEMS_SHOWN
        warnings.warn(
            f"{len(problems)} sources cannot be used and are flagged: {shown}"
            + (f"; and {more} more" if more > 0 else ""),
            stacklevel=3,
        )
