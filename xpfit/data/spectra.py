"""`Spectra`: the data vectors, whiteners, parallaxes and labels of N stars.

Validated on construction and read-only afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import InputError
from .flags import InputFlag
from .preparation import Preparation
from .space import ObservationSpace, as_space
from .whitener import Diagonal, Whitener, as_whitener


@dataclass(frozen=True, eq=False)
class Spectra:
    """Data vectors of N stars, ready to be fitted or trained on.

    Parameters
    ----------
    source_id : array_like of int64, shape (n_star,)
        Zero where unknown.
    space : ObservationSpace or array_like of float, shape (n_obs,)
        What the data vector is. Wavelengths in nm mean sampled space.
    flux : array_like, shape (n_star, n_obs)
        1e-18 W m-2 nm-1; in coefficient space, photo-electrons per second. Values without weight
        are set to zero here.
    flux_err : array_like, shape (n_star, n_obs)
        Standard errors; infinite where a value carries no weight.
    whitener : Whitener or array_like, optional
        `L` with ``L.T @ L`` the inverse covariance, shape (n_star, n_obs) or (n_star, n_obs, n_obs)
        (see `xpfit.data.whitener.as_whitener`). By default ``1 / flux_err``.
    parallax, parallax_err : array_like, shape (n_star,), optional
        mas; NaN and infinity (the default) where unknown.
    extinction, extinction_err : array_like, shape (n_star,), optional
        An independent estimate of E in mag, for training; NaN and infinity where unknown.
    labels, label_err : mapping of str to array_like of shape (n_star,), optional
        Reference labels by name (`teff` in kK) and their standard errors; NaN where unknown.
    snr : array_like, shape (n_star,), optional
        Signal-to-noise ratio of the spectrum that the reference labels came from.
    gaia : mapping of str to array_like of shape (n_star,), optional
        Columns of Gaia's tables, by their names there (`xpfit.prepare.GAIA_COLUMNS`);
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

    Notes
    -----
    Arrays are copied and made read-only. `replace` makes modified copies.
    """

    source_id: np.ndarray
    space: ObservationSpace
    flux: np.ndarray
    flux_err: np.ndarray
    whitener: Whitener = None  # type: ignore[assignment]
    parallax: np.ndarray = None  # type: ignore[assignment]
    parallax_err: np.ndarray = None  # type: ignore[assignment]
    extinction: np.ndarray = None  # type: ignore[assignment]
    extinction_err: np.ndarray = None  # type: ignore[assignment]
    labels: Mapping[str, np.ndarray] = field(default_factory=dict)
    label_err: Mapping[str, np.ndarray] = field(default_factory=dict)
    snr: np.ndarray = None  # type: ignore[assignment]
    gaia: Mapping[str, np.ndarray] = field(default_factory=dict)
    input_flags: np.ndarray = None  # type: ignore[assignment]
    preparation: Preparation = field(default_factory=Preparation)

    def __post_init__(self) -> None:
        self._set(source_id=_source_ids(self.source_id), space=as_space(self.space))
        self._validate({f.name for f in fields(self)} - {"source_id", "space"})

    @property
    def release(self) -> str:
        """Gaia's data release: a name in `xpfit.releases.RELEASES`."""
        return self.preparation.release

    def replace(self, **changes: Any) -> Spectra:
        """Copy with changed fields; only these are validated, the other arrays are shared.

        Parameters
        ----------
        **changes
            Fields of `Spectra` but `source_id` and `space`.

        Raises
        ------
        InputError
            As on construction.
        """
        changed = copy(self)
        changed._set(**changes)
        changed._validate(set(changes))
        return changed

    def _set(self, **values: Any) -> None:
        """Set fields of this frozen object; arrays become read-only."""
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
            object.__setattr__(self, name, value)

    def _validate(self, names: set[str]) -> None:
        """Check the fields of these names, and fill absent ones with the values for unknown."""
        n_star = len(self)
        self._set(preparation=Preparation.of(self.preparation))
        for name in names & _OPTIONAL:
            value = getattr(self, name)
            if value is None:
                value = np.full(n_star, np.inf if name.endswith("_err") else np.nan)
            self._set(**{name: _checked(value, (n_star,), name)})
        if "input_flags" in names:
            flags = np.zeros(n_star) if self.input_flags is None else self.input_flags
            self._set(input_flags=_checked(flags, (n_star,), "input_flags").astype(np.int32))
        for name in names & {"labels", "label_err", "gaia"}:
            columns = getattr(self, name).items()
            checked = {k: _checked(v, (n_star,), f"{name}[{k!r}]") for k, v in columns}
            self._set(**{name: checked})
        if self.labels.keys() != self.label_err.keys():
            raise InputError(
                f"labels are given for {sorted(self.labels)} but label_err for "
                f"{sorted(self.label_err)}; give an error for every label"
            )
        if names & {"parallax", "parallax_err"}:
            self._validate_parallax()
        if names & {"flux", "flux_err", "whitener"}:
            self._validate_flux()

    def _validate_parallax(self) -> None:
        """An observed parallax is a number with a positive error."""
        measured = np.isfinite(self.parallax) & (self.parallax_err > 0)
        bad = ~np.isposinf(self.parallax_err) & ~measured
        if np.any(bad):
            row = int(np.argmax(bad))
            raise InputError(
                f"source {self.source_id[row]} (row {row}): parallax {self.parallax[row]:g} +- "
                f"{self.parallax_err[row]:g} mas; give an infinite parallax_err where unknown"
            )

    def _validate_flux(self) -> None:
        """Flux, errors and whiteners agree; values without weight are zero."""
        shape = (len(self), self.space.n_obs)
        flux = _checked(self.flux, shape, "flux")
        self._set(flux_err=_checked(self.flux_err, shape, "flux_err"))
        if np.any(~(self.flux_err > 0)):
            row = int(np.argmax(np.any(~(self.flux_err > 0), axis=1)))
            raise InputError(
                f"flux_err of source {self.source_id[row]} (row {row}) is not positive everywhere; "
                "use infinity for values that should carry no weight"
            )
        if self.whitener is None:
            self._set(whitener=Diagonal(1.0 / self.flux_err))
        self._set(whitener=as_whitener(self.whitener))
        if (len(self.whitener), self.whitener.n_obs) != shape:
            raise InputError(
                f"whitener has shape {self.whitener.array.shape}; "
                f"expected {shape} or {(*shape, shape[1])}"
            )
        weights = self.whitener.array
        weights.flags.writeable = False
        has_weight = np.isfinite(self.flux_err)
        bad = ~np.isfinite(weights).all(axis=tuple(range(1, weights.ndim)))
        bad |= np.any(has_weight & ~np.isfinite(flux), axis=1)
        if np.any(bad):
            row = int(np.argmax(bad))
            raise InputError(
                f"source {self.source_id[row]} (row {row}) has flux or whitener values that "
                "are not finite but carry weight; give them an infinite flux_err"
            )
        no_data = np.where(has_weight.any(axis=1), 0, int(InputFlag.NO_DATA))
        self._set(
            flux=np.where(has_weight, flux, 0.0),
            input_flags=self.input_flags | no_data.astype(np.int32),
        )

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
    def n_obs(self) -> Array:
        """Number of values with weight, per star, shape (n_star,)."""
        return np.isfinite(self.flux_err).sum(axis=1)

    def __getitem__(self, rows: Any) -> Spectra:
        """Stars of a slice, an index array or a boolean mask, as a new `Spectra`.

        As in NumPy, a slice shares its arrays with the whole.
        """
        if isinstance(rows, (int, np.integer)):
            rows = [rows]
        part = copy(self)
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, dict):
                part._set(**{f.name: {k: v[rows] for k, v in value.items()}})
            elif f.name not in ("space", "preparation"):
                part._set(**{f.name: value[rows]})
        return part

    def keep_channels(self, keep: np.ndarray) -> Spectra:
        """Keep the weight of some channels, marginalising over the others.

        Parameters
        ----------
        keep : ndarray of bool, shape (n_obs,)
            Channels to keep.

        Returns
        -------
        Spectra
            Same shapes; the other channels have zero weight and infinite error. Spectra without
            weight there are returned as they are.
        """
        drop = ~np.asarray(keep, dtype=bool)
        if not np.isfinite(self.flux_err[:, drop]).any():
            return self
        part = copy(self)
        part._set(
            flux=np.where(drop, 0.0, self.flux),
            flux_err=np.where(drop, np.inf, self.flux_err),
            whitener=self.whitener.marginal(keep),
        )
        return part

    @staticmethod
    def concatenate(parts: Sequence[Spectra]) -> Spectra:
        """Join spectra in the same observation space, with the same labels, in order.

        Columns of Gaia's tables may differ; they are NaN for a part that lacks them.

        Raises
        ------
        InputError
            If there are no parts, or their spaces, labels or data releases differ.
        """
        if not parts:
            raise InputError("no spectra to join")
        first = parts[0]
        for part in parts[1:]:
            if not part.space.matches(first.space) or part.labels.keys() != first.labels.keys():
                raise InputError("spectra in different spaces, or with different labels")
            if part.release != first.release:
                raise InputError(
                    f"spectra of different data releases, {first.release} and {part.release}; keep "
                    "them apart"
                )
        unknown = [np.full(len(part), np.nan) for part in parts]
        joined: dict[str, Any] = {"space": first.space, "preparation": first.preparation}
        for name in [f.name for f in fields(Spectra) if f.name not in joined]:
            values = [getattr(part, name) for part in parts]
            if isinstance(values[0], dict):
                joined[name] = {
                    key: np.concatenate(
                        [v.get(key, nan) for v, nan in zip(values, unknown, strict=True)]
                    )
                    for key in dict.fromkeys(key for columns in values for key in columns)
                }
            else:
                join = Whitener.concatenate if name == "whitener" else np.concatenate
                joined[name] = join(values)
        return Spectra(**joined)


_OPTIONAL = {"parallax", "parallax_err", "extinction", "extinction_err", "snr"}
"""Fields that may be unknown: NaN, and infinite errors."""


def _source_ids(values: Any) -> np.ndarray:
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


def _checked(values: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Read-only float64 copy of an array of a known shape."""
    array = np.array(values, dtype=float)
    array.flags.writeable = False
    if array.shape != shape:
        raise InputError(f"{name} has shape {array.shape}; expected {shape}")
    return array
