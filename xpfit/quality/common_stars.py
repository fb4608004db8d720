"""What is known of the stars that two releases have in common, besides their new spectra."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from ..arrays import Array
from ..data import Spectra
from ..errors import InputError
from ..model import XPModel
from ..model.prior import FLAT
from ..quantities import STELLAR_PARAMETERS, factors
from ..read.crosswalk import Crosswalk
from ..read.joins import integer_ids, match_ids
from ..read.known import name_of
from ..releases import DR3, DR4
from ..train.recalibration import KnownParameters
from .flags import is_reliable


def known_from_labels(model: XPModel, spectra: Spectra) -> tuple[KnownParameters, np.ndarray]:
    """Labels, estimates of extinction and parallaxes that came with spectra.

    Parameters
    ----------
    model : XPModel
    spectra : Spectra

    Returns
    -------
    known : KnownParameters
        The error of the parallax contains that of the emulator's luminosity: it is the amplitude's.
    usable : ndarray of bool, shape (n_star,)
        Stars with errors of all labels, which lie in the model's range.

    Raises
    ------
    InputError
        If the spectra lack labels of the model.
    """
    names, layout = model.label_names, model.forward.layout
    if missing := [name for name in names if name not in spectra.labels]:
        raise InputError(
            f"these spectra have no labels {', '.join(missing)}: attach them (xpfit prepare "
            "--labels), or give a catalogue of fits of the same stars (--catalogue)"
        )
    values = np.zeros((len(spectra), layout.size))
    error = np.full_like(values, np.inf)
    for column, name in enumerate(names):
        values[:, column], error[:, column] = spectra.labels[name], spectra.label_err[name]
    values[:, layout.extinction] = spectra.extinction
    error[:, layout.extinction] = spectra.extinction_err
    if model.absolute:
        values[:, layout.parallax] = spectra.parallax
        error[:, layout.parallax] = spectra.parallax_err
    if layout.has_xi:
        error[:, layout.xi] = 1.0
    is_known = np.isfinite(values) & np.isfinite(error) & (error > 0)
    values, error = np.where(is_known, values, 0.0), np.where(is_known, error, np.inf)
    usable = is_known[:, layout.labels].all(axis=1)
    usable &= model.in_range(values[:, layout.labels]).all(axis=1)
    error[:, layout.parallax] = np.hypot(
        error[:, layout.parallax], _luminosity_error(model, values)
    )
    return KnownParameters(values, error[:, :, None] ** -2.0 * np.eye(layout.size)), usable


def known_from_catalogue(
    model: XPModel, source_id: np.ndarray, catalogue: Table, crosswalk: Table | None = None
) -> tuple[KnownParameters, np.ndarray]:
    """Fits of the same stars to their old spectra, by the same model.

    Parameters
    ----------
    model : XPModel
    source_id : ndarray of int64, shape (n_star,)
        In the new release.
    catalogue : astropy.table.Table
        Of `xpfit fit` with this model.
    crosswalk : astropy.table.Table, optional
        As for `xpfit.read.crosswalk.Crosswalk`; without it the ids are taken to be the same.

    Returns
    -------
    known : KnownParameters
        What the likelihood of the old spectra says: the prior of the fit is removed from the best
        fit, to first order, which would else be counted for every star.
    usable : ndarray of bool, shape (n_star,)
        Stars with a reliable fit.

    Raises
    ------
    InputError
        If columns are missing, or if no star is in the tables.
    """
    what = name_of(catalogue, "the catalogue of fits")
    ids = source_id
    if crosswalk is not None:
        ids = Crosswalk(crosswalk).translate(source_id, DR4.name, DR3.name)
    rows, matched = match_ids(ids, integer_ids(catalogue, what), what)
    if not matched.any():
        raise InputError(
            f"{what}: none of the {len(ids)} stars is in this catalogue; where ids differ between "
            "the releases, give the table that links them (--crosswalk)"
        )
    rows = rows[matched]
    values, covariance = _fits(model, catalogue, what)
    values, covariance = values[rows], covariance[rows]
    flags = (np.asarray(catalogue[name])[rows] for name in ("quality_flags", "fit_flags"))
    good = is_reliable(*flags) & np.isfinite(values).all(axis=1)
    good &= np.isfinite(covariance).all(axis=(1, 2))
    n, size = len(source_id), values.shape[1]
    known = KnownParameters(np.zeros((n, size)), np.zeros((n, size, size)))
    usable = matched.copy()
    usable[matched] = good
    known.values[usable], known.information[usable] = _likelihood(
        model, values[good], covariance[good]
    )
    return known, usable


def _fits(model: XPModel, catalogue: Table, what: str) -> tuple[Array, Array]:
    """Linear parameters and covariances of all rows; zero covariances of a free amplitude."""
    names = model.parameter_names
    five = set(names) == set(STELLAR_PARAMETERS)
    triangle = "stellar_params_cov_triu" if five else "all_params_cov_triu"
    order = STELLAR_PARAMETERS if five else names
    needed = [*names, triangle, "quality_flags", "fit_flags"]
    if missing := [name for name in needed if name not in catalogue.colnames]:
        raise InputError(
            f"{what}: no column {', '.join(missing)}; give a catalogue that 'xpfit fit' has "
            "written with the model that is transferred"
        )
    values = np.column_stack([np.asarray(catalogue[name], dtype=float) for name in names])
    rows, columns = np.triu_indices(len(order))
    packed = np.asarray(catalogue[triangle], dtype=float)
    if packed.shape[1:] != rows.shape:
        raise InputError(f"{what}: {triangle} is that of a model with other parameters")
    matrix = np.zeros((len(values), len(order), len(order)))
    matrix[:, rows, columns] = matrix[:, columns, rows] = packed
    place = np.array([order.index(name) for name in names])
    values, matrix = values / factors(names), matrix[:, place[:, None], place]
    if not model.absolute:  # the amplitude is free
        column = model.forward.layout.parallax
        values[:, column], matrix[:, column], matrix[:, :, column] = 1.0, 0.0, 0.0
    return values, matrix


def _likelihood(model: XPModel, values: np.ndarray, covariance: np.ndarray) -> tuple[Array, Array]:
    """Values without the prior, and their information."""
    layout = model.forward.layout
    slope = np.zeros_like(values)
    slope[:, layout.labels] = model.prior.ln_p_derivatives(values[:, layout.labels])[1]
    slope[:, layout.extinction] = 1.0 / values[:, layout.extinction]
    used = np.ones(layout.size, dtype=bool)
    if not model.absolute:
        used[layout.parallax] = False
    elif model.parallax_prior == FLAT:
        slope[:, layout.parallax] = 1.0 / values[:, layout.parallax]
    at = np.flatnonzero(used)
    part = covariance[:, at[:, None], at]
    free = values.copy()
    free[:, at] -= (part @ slope[:, at, None])[:, :, 0]
    if model.absolute:
        part[:, layout.parallax, layout.parallax] += _luminosity_error(model, values) ** 2
    information = np.zeros_like(covariance)
    information[:, at[:, None], at] = np.linalg.pinv(part, hermitian=True)
    return free, information


def _luminosity_error(model: XPModel, values: np.ndarray) -> Array:
    """Error of the emulator's luminosity as one of the parallax, mas, shape (n_star,)."""
    if model.luminosity_error is None or not model.absolute:
        return np.zeros(len(values))
    layout = model.forward.layout
    relative = 0.5 * model.luminosity_error(values[:, layout.labels])
    return np.asarray(relative * np.abs(values[:, layout.parallax]))
