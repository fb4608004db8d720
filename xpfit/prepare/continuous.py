"""XP spectra of the Gaia archive -> `Spectra` in either observation space."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

import numpy as np
from astropy.table import Table

from ..constants import BANDS, WAVELENGTH
from ..data import (
    CoefficientSpace,
    InputFlag,
    ObservationSpace,
    Preparation,
    SampledSpace,
    Spectra,
    XPSettings,
    id_flags,
)  # fmt: skip
from ..errors import InputError
from ..read import XP_BANDS
from ..read.tables import float_column
from ..releases import DEFAULT
from .band import table_basis
from .bases import Basis, coefficient_space
from .coefficient import coefficient_vectors
from .corrections import CAUTION, Correction, identifier_of
from .covariance import DataVectors
from .sampled import sample_continuous, take_samples
from .whitening import whiten_covariances

BLOCK = 64
"""Sources sampled and whitened together: their matrices fit in the processor's cache."""

XP_RANGE = (330.0, 1050.0)
"""Wavelengths (nm) at which GaiaXPy calibrates XP spectra."""

NO_COEFFICIENTS = (
    "XP sampled spectra have no coefficients; use XP continuous spectra for coefficient space"
)
"""Message for coefficient space of spectra without."""

CHI_SQUARED = tuple(f"{band}_chi_squared" for band in XP_BANDS)
"""Columns of the archive's table that go into `Spectra.gaia`."""

MAX_FLUX = 1e30
"""Flux (in the units of `Spectra.flux`) that no source has, and whose square does not overflow."""

MAX_PROBLEMS_SHOWN = 5
"""Bad sources named in a warning."""


def sampled_space(xp_wavelength: Sequence[float]) -> SampledSpace:
    """Sampled space of XP flux at any wavelengths, followed by 2MASS and WISE.

    Parameters
    ----------
    xp_wavelength : sequence of float
        nm, increasing, 330 to 1050.

    Raises
    ------
    InputError
        If they do not increase, or Gaia has no flux there.
    """
    grid = np.asarray(xp_wavelength, dtype=float)
    low, high = XP_RANGE
    if not (grid.ndim == 1 and len(grid) and np.all(np.diff(grid) > 0)):
        raise InputError("wavelengths must be a list of increasing values in nm")
    if grid[0] < low or grid[-1] > high:
        raise InputError(
            f"wavelengths must lie within {low:g} .. {high:g} nm, got {grid[0]:g} .. {grid[-1]:g}"
        )
    return SampledSpace(np.concatenate([grid, [band.wavelength for band in BANDS]]))


def continuous_spectra(
    tables: Iterable[Table],
    space: ObservationSpace | str | None = None,
    settings: XPSettings | None = None,
    correction: Correction | None = None,
    basis: Basis | None = None,
) -> Spectra:
    """Turn XP continuous (or sampled) spectra into data vectors with full whiteners.

    Parameters
    ----------
    tables : iterable of astropy.table.Table
        From `xpfit.read.read_continuous` or `xpfit.read.read_sampled`.
    space : ObservationSpace or str, optional
        Observation space of the data vectors: that of a model, one from `sampled_space` or
        `xpfit.prepare.coefficient_space`, or ``"sampled"`` (the default: ZGR23's 61 wavelengths) or
        ``"coefficient"``.
    settings : XPSettings, optional
        Calibration terms of the covariance, truncation.
    correction : FluxCorrection, optional
        Correction of the flux; none by default. Stars outside of its range are not corrected, and
        have `InputFlag.NOT_CORRECTED`; codes that it gives are in ``gaia["correction_caution"]``.
    basis : Basis, optional
        Basis functions of XP continuous spectra, from `xpfit.prepare.load_basis`; by default what
        GaiaXPy has for their numbers of coefficients.

    Returns
    -------
    Spectra
        2MASS and WISE, which these files do not hold, carry no weight. A source that cannot be used
        keeps its row, without weight and with `InputFlag.BAD_COEFFICIENTS`, and is named in a
        warning.

    Raises
    ------
    InputError
        If there are no tables, the space is unknown, or the spectra cannot be transformed to it:
        sampled spectra, or a correction (of sampled flux), in coefficient space. If the correction
        is one of another data release. If the basis functions are not known, or are not those of
        a coefficient space.
    """
    settings = settings or XPSettings()
    parts, releases = [], set()
    for table in tables:
        space = _as_continuous_space(space, table, basis)
        releases.add(table.meta.get("release", DEFAULT))
        if correction:
            correction.check_release(table.meta.get("release", DEFAULT))
        for start in range(0, len(table), BLOCK):
            block = table[start : start + BLOCK]
            parts.append(_prepare_block(block, space, settings, correction, basis))
    if not parts:
        raise InputError("no spectra were given; the input has no rows")
    if len(releases) > 1:
        raise InputError(
            f"spectra of different data releases ({', '.join(sorted(releases))}) cannot be "
            "prepared together; prepare each release by itself"
        )
    _warn_of_problems([p for part in parts for p in part.pop("problem")])
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    columns["input_flags"] |= id_flags(columns["source_id"])
    gaia = {name: columns.pop(name) for name in (*CHI_SQUARED, CAUTION) if name in columns}
    preparation = Preparation(settings, identifier_of(correction), release=releases.pop())
    return Spectra(space=space, preparation=preparation, gaia=gaia, **columns)


def _as_continuous_space(
    space: ObservationSpace | str | None, table: Table, basis: Basis | None
) -> ObservationSpace:
    """The space itself, or the one of that name that suits a table."""
    if isinstance(space, ObservationSpace):
        return space
    if space in (None, SampledSpace.name):
        return SampledSpace(WAVELENGTH)
    if space != CoefficientSpace.name:
        raise InputError(
            f"there is no observation space {space!r}; choose 'sampled' or 'coefficient'"
        )
    if "flux" in table.colnames:
        raise InputError(NO_COEFFICIENTS)
    return coefficient_space(basis=table_basis(table, basis))


def _data_vectors(table: Table, space: ObservationSpace, settings, correction, basis):
    """Data vectors of a few sources, without the photometric bands."""
    is_sampled = "flux" in table.colnames
    if isinstance(space, SampledSpace):
        wavelength = space.wavelength[~space.is_band]
        if is_sampled:
            return take_samples(table, wavelength, settings, correction)
        return sample_continuous(table, wavelength, settings, correction, basis)
    if is_sampled:
        raise InputError(NO_COEFFICIENTS)
    if correction:
        raise InputError(
            f"the correction {correction.identifier} is one of sampled flux and cannot be applied "
            "in coefficient space; prepare the spectra in sampled space"
        )
    return coefficient_vectors(table, space, settings, basis)


def _prepare_block(table: Table, space: ObservationSpace, settings, correction, basis) -> dict:
    """Columns of `Spectra` for a few sources."""
    with np.errstate(over="ignore", invalid="ignore"):
        data: DataVectors = _data_vectors(table, space, settings, correction, basis)
    n_star, n_obs = len(table), space.n_obs
    n_xp = n_obs - space.n_bands
    variance = np.diagonal(data.covariance, axis1=1, axis2=2)
    _mask_impossible(data, variance)
    whitener = np.zeros((n_star, n_obs, n_obs))
    whitener[:, :n_xp, :n_xp] = whiten_covariances(data.covariance, data.mask).whitener.array
    flux, flux_err = np.zeros((n_star, n_obs)), np.full((n_star, n_obs), np.inf)
    flux[:, :n_xp] = np.where(data.mask, 0.0, data.flux)
    flux_err[:, :n_xp] = np.sqrt(np.where(data.mask, np.inf, variance))
    source_id = np.ma.filled(table["source_id"], 0).astype(np.int64)
    bad = data.problem != ""
    flags = np.full(n_star, int(InputFlag.MISSING_BAND), dtype=np.int32)
    flags[bad] |= int(InputFlag.BAD_COEFFICIENTS)
    flags[~bad & data.mask.any(axis=1)] |= int(InputFlag.MASKED_SAMPLES)
    caution = {}
    if data.correction:
        flags[~bad & ~data.correction.corrected] |= int(InputFlag.NOT_CORRECTED)
        if data.correction.caution is not None:
            caution = {CAUTION: np.where(bad, np.nan, data.correction.caution)}
    return {
        "source_id": source_id,
        "flux": flux,
        "flux_err": flux_err,
        "whitener": whitener,
        "input_flags": flags,
        **{name: _chi_squared(table, name) for name in CHI_SQUARED},
        **caution,
        "problem": [f"source {source_id[i]}: {data.problem[i]}" for i in np.flatnonzero(bad)],
    }


def _mask_impossible(data: DataVectors, variance: np.ndarray) -> None:
    """Leave out sources whose numbers overflow, before they spoil those beside them."""
    possible = (np.abs(data.flux) < MAX_FLUX) & (variance >= 0) & (variance < MAX_FLUX**2)
    bad = ~(possible | data.mask).all(axis=1)
    data.mask[bad] = True
    data.problem = np.where(bad & (data.problem == ""), "numbers too large", data.problem)


def _chi_squared(table: Table, name: str) -> np.ndarray:
    """chi2 of Gaia's fit of the epoch spectra; NaN for sampled spectra."""
    return float_column(table[name]) if name in table.colnames else np.full(len(table), np.nan)


def _warn_of_problems(problems: list[str]) -> None:
    """Warn of sources that are left out, with the reason."""
    if problems:
        shown = "; ".join(problems[:MAX_PROBLEMS_SHOWN])
        more = len(problems) - MAX_PROBLEMS_SHOWN
        warnings.warn(
            f"{len(problems)} sources cannot be used and are flagged: {shown}"
            + (f"; and {more} more" if more > 0 else ""),
            stacklevel=3,
        )
