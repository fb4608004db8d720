"""`Spectra`: the data vectors, whiteners, parallaxes and labels of N stars, checked at the door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, fields, replace

import numpy as np
from array_api_compat import array_namespace

from ..errors import InputError
from .flags import InputFlag
from .preparation import Preparation
from .space import ObservationSpace, as_space


def whiten(whitener: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Multiply every star's vectors by its whitener, L x.

    Parameters
    ----------
    whitener : ndarray, shape (n_star, n_obs) or (n_star, n_obs, n_obs)
        Diagonal whiteners (inverse standard errors) or full ones.
    values : ndarray, shape (n_star, n_obs) or (n_star, n_vector, n_obs)

    Returns
    -------
    ndarray, same shape as `values`

    Notes
    -----
    `L.T @ L` is the inverse covariance, so that chi2 = ``|L (f_pred - f_obs)|^2`` (ZGR23, eq. 4).
    """
    is_vector = values.ndim == 2
    if whitener.ndim == 2:
        return values * (whitener if is_vector else whitener[:, None, :])
    if is_vector:
        return (whitener @ values[:, :, None])[:, :, 0]
    return values @ array_namespace(values).matrix_transpose(whitener)


@dataclass
class Spectra:
    """Data vectors of N stars, ready to be fitted or trained on.

    Parameters
    ----------
    source_id : array_like of int64, shape (n_star,)
        Zero where unknown.
    space : ObservationSpace or array_like of float, shape (n_obs,)
        What the data vector is. Wavelengths in nm stand for sampled space.
    flux : array_like, shape (n_star, n_obs)
        1e-18 W m-2 nm-1; in coefficient space, photo-electrons per second. Values without weight
        are set to zero here.
    flux_err : array_like, shape (n_star, n_obs)
        Standard errors; infinite where a value carries no weight.
    whitener : array_like, shape (n_star, n_obs) or (n_star, n_obs, n_obs), optional
        `L` with ``L.T @ L`` the inverse covariance. By default ``1 / flux_err``.
    parallax, parallax_err : array_like, shape (n_star,), optional
        mas; NaN and infinity (the default) where unknown.
    extinction, extinction_err : array_like, shape (n_star,), optional
        An independent estimate of E in mag, for training; NaN and infinity where unknown.
    labels, label_err : mapping of str to array_like of shape (n_star,), optional
        Reference labels by name (`teff` in kK) and their standard errors; NaN where unknown.
    snr : array_like, shape (n_star,), optional
        Signal-to-noise ratio of the spectrum that the reference labels came from.
    gaia : mapping of str to array_like of shape (n_star,), optional
        What Gaia's tables say of the sources, by the names there (`xpfit.prepare.GAIA_COLUMNS`);
        NaN where unknown.
    input_flags : array_like of int, shape (n_star,), optional
        Sum of `InputFlag` values.
    preparation : Preparation or mapping, optional
        How the data vectors were made, or the flat record of that; a model keeps that of its
        training data.

    Raises
    ------
    InputError
        If shapes disagree, or a value that carries weight is not finite.
    """

    source_id: np.ndarray
    space: ObservationSpace
    flux: np.ndarray
    flux_err: np.ndarray
    whitener: np.ndarray | None = None
    parallax: np.ndarray | None = None
    parallax_err: np.ndarray | None = None
    extinction: np.ndarray | None = None
    extinction_err: np.ndarray | None = None
    labels: Mapping[str, np.ndarray] = field(default_factory=dict)
    label_err: Mapping[str, np.ndarray] = field(default_factory=dict)
    snr: np.ndarray | None = None
    gaia: Mapping[str, np.ndarray] = field(default_factory=dict)
    input_flags: np.ndarray | None = None
    preparation: Preparation | Mapping = field(default_factory=Preparation)

    def __post_init__(self):
        self.source_id = _source_ids(self.source_id)
        self.space = as_space(self.space)
        self.preparation = Preparation.of(self.preparation)
        shape = (len(self.source_id), self.space.n_obs)
        self.flux = _checked(self.flux, shape, "flux")
        self.flux_err = _checked(self.flux_err, shape, "flux_err")
        self._fill_optional(shape[0])
        for name in ("labels", "label_err", "gaia"):
            columns = getattr(self, name).items()
            checked = {k: _checked(v, shape[:1], f"{name}[{k!r}]") for k, v in columns}
            setattr(self, name, checked)
        if self.labels.keys() != self.label_err.keys():
            raise InputError(
                f"labels are given for {sorted(self.labels)} but label_err for "
                f"{sorted(self.label_err)}; give an error for every label"
            )
        self._set_whitener(shape)

    def _fill_optional(self, n_star: int) -> None:
        """Replace absent optional columns by 'unknown' and check the others."""
        for name, unknown in _OPTIONAL.items():
            value = getattr(self, name)
            value = np.full(n_star, unknown) if value is None else value
            setattr(self, name, _checked(value, (n_star,), name))
        flags = np.zeros(n_star) if self.input_flags is None else self.input_flags
        self.input_flags = _checked(flags, (n_star,), "input_flags").astype(np.int32)

    def _set_whitener(self, shape: tuple[int, int]) -> None:
        """Default the whitener, check it, and give no value to entries without weight."""
        if np.any(~(self.flux_err > 0)):
            row = int(np.argmax(np.any(~(self.flux_err > 0), axis=1)))
            raise InputError(
                f"flux_err of source {self.source_id[row]} (row {row}) is not positive everywhere; "
                "use infinity for values that should carry no weight"
            )
        if self.whitener is None:
            self.whitener = 1.0 / self.flux_err
        self.whitener = np.array(self.whitener, dtype=float)
        if self.whitener.shape not in (shape, (*shape, shape[1])):
            raise InputError(
                f"whitener has shape {self.whitener.shape}; "
                f"expected {shape} or {(*shape, shape[1])}"
            )
        has_weight = np.isfinite(self.flux_err)
        bad = ~np.isfinite(self.whitener).all(axis=tuple(range(1, self.whitener.ndim)))
        bad |= np.any(has_weight & ~np.isfinite(self.flux), axis=1)
        if np.any(bad):
            row = int(np.argmax(bad))
            raise InputError(
                f"source {self.source_id[row]} (row {row}) has flux or whitener values that "
                "are not finite but carry weight; give them an infinite flux_err"
            )
        self.flux = np.where(has_weight, self.flux, 0.0)
        no_data = ~np.any(has_weight, axis=1)
        self.input_flags[no_data] |= int(InputFlag.NO_DATA)

    def __len__(self) -> int:
        return len(self.source_id)

    def __repr__(self) -> str:
        return (
            f"<Spectra: {len(self)} stars, {self.space.n_obs} values each, "
            f"labels {list(self.labels)}>"
        )

    @property
    def wavelength(self) -> np.ndarray:
        """Wavelengths in nm of the grid that the emulator works on, shape (n_grid,)."""
        return self.space.wavelength

    @property
    def correction(self) -> str:
        """Name and version of the flux correction that the data went through, or ``"none"``."""
        return self.preparation.flux_correction

    @property
    def n_obs(self) -> np.ndarray:
        """Number of values with weight, per star, shape (n_star,)."""
        return np.isfinite(self.flux_err).sum(axis=1)

    def __getitem__(self, rows) -> Spectra:
        """Stars of a slice, an index array or a boolean mask, as a new `Spectra`.

        As in NumPy, a slice shares its arrays with the whole. They were checked at the door.
        """
        if isinstance(rows, (int, np.integer)):
            rows = [rows]
        some = copy(self)
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name in ("space", "preparation"):
                continue
            if isinstance(value, dict):
                setattr(some, f.name, {k: v[rows] for k, v in value.items()})
            else:
                setattr(some, f.name, value[rows])
        return some

    @staticmethod
    def concatenate(parts: Sequence[Spectra]) -> Spectra:
        """Join spectra in the same observation space, with the same labels, in order.

        What Gaia's tables say may differ; it is unknown where a part lacks it.

        Raises
        ------
        InputError
            If there are no parts, or their spaces or labels differ.
        """
        if not parts:
            raise InputError("no spectra to join")
        first = parts[0]
        joined: dict = {"space": first.space, "preparation": first.preparation}
        for part in parts[1:]:
            if not part.space.matches(first.space) or part.labels.keys() != first.labels.keys():
                raise InputError("spectra in different spaces, or with different labels")
        for f in fields(Spectra):
            values = [getattr(part, f.name) for part in parts]
            if isinstance(values[0], dict) and f.name not in joined:
                names = dict.fromkeys(name for v in values for name in v)
                joined[f.name] = {
                    name: np.concatenate([part._column(f.name, name) for part in parts])
                    for name in names
                }
            elif f.name not in joined:
                joined[f.name] = np.concatenate(values)
        return Spectra(**joined)

    def _column(self, kind: str, name: str) -> np.ndarray:
        """A column of labels, errors or Gaia's tables; NaN where there is none."""
        columns = getattr(self, kind)
        return columns[name] if name in columns else np.full(len(self), np.nan)


def drop_channels(spectra: Spectra, keep: np.ndarray) -> Spectra:
    """Take all weight from some channels, marginalising over what was measured there.

    Parameters
    ----------
    spectra : Spectra
    keep : ndarray of bool, shape (n_obs,)
        Channels to keep.

    Returns
    -------
    Spectra
        Same shapes; the dropped channels have zero weight and infinite error. Spectra without
        weight there are returned as they are.
    """
    drop = ~np.asarray(keep, dtype=bool)
    if not np.isfinite(spectra.flux_err[:, drop]).any():
        return spectra
    whitener = spectra.whitener.copy()
    if whitener.ndim == 2:
        whitener[:, drop] = 0.0
    else:
        for i in range(len(spectra)):
            whitener[i] = _marginal_whitener(whitener[i], drop)
    flux_err = np.where(drop, np.inf, spectra.flux_err)
    return replace(spectra, flux_err=flux_err, whitener=whitener)


def _marginal_whitener(whitener: np.ndarray, drop: np.ndarray) -> np.ndarray:
    """Whitener (n_obs, n_obs) of the other channels, whatever the dropped ones may be.

    A QR factorisation with the dropped channels first leaves, in its lower right block, the
    whitener of the marginal distribution. Channels without weight must stay out of it: they would
    pivot on zero.
    """
    drop = drop & whitener.any(axis=0)
    n_drop = int(drop.sum())
    order = np.argsort(~drop, kind="stable")
    triangle = np.linalg.qr(whitener[:, order], mode="r")
    marginal = np.zeros_like(whitener)
    marginal[n_drop:, order[n_drop:]] = triangle[n_drop:, n_drop:]
    return marginal


_OPTIONAL = {
    "parallax": np.nan,
    "parallax_err": np.inf,
    "extinction": np.nan,
    "extinction_err": np.inf,
    "snr": np.nan,
}


def _source_ids(values) -> np.ndarray:
    """Source ids as int64, refusing floats: they cannot hold 19 digits."""
    ids = np.asarray(values)
    if ids.ndim != 1:
        raise InputError(f"source_id must have one dimension, got shape {ids.shape}")
    if ids.dtype.kind not in "iu" and ids.size:
        raise InputError(
            f"source_id has type {ids.dtype}: Gaia ids need 64-bit integers "
            "(a float loses their last digits); read them as int64"
        )
    return ids.astype(np.int64)


def _checked(values, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Float64 copy of an array of a known shape."""
    array = np.array(values, dtype=float)
    if array.shape != shape:
        raise InputError(f"{name} has shape {array.shape}; expected {shape}")
    return array
