"""How the values of a star are weighted: whiteners L with ``L.T @ L`` the inverse covariance.

A whitener turns residuals into independent ones of unit variance, so that
chi2 = ``|L (f_pred - f_obs)|^2`` (ZGR23, eq. 4). Each kind is a class; what it does with a vector
is array code (NumPy, CuPy, strict), what it does with covariances is NumPy.

A value without weight has zeros in its row and its column of L. The diagonal of L is zero there
and nowhere else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from array_api_compat import array_namespace, device

from ..arrays import Array, take
from ..errors import InputError


@dataclass(frozen=True, eq=False)
class Whitener(ABC):
    """Whiteners of N stars, all of one kind.

    Vectors have shape (n_star, n_obs), or (n_star, n_vector, n_obs) for several per star.

    Attributes
    ----------
    kind : str
        ``"diagonal"`` or ``"triangular"``.
    array : ndarray
        The elements of the whiteners, stars first.
    """

    array: Array
    kind: ClassVar[str]

    @property
    @abstractmethod
    def diagonal(self) -> Array:
        """Diagonal of L, shape (n_star, n_obs)."""

    @property
    @abstractmethod
    def rows(self) -> Array:
        """Rows of L as the compiled core takes them, (n_star, n_obs, n_obs); of a diagonal one."""

    @abstractmethod
    def __call__(self, values: Array) -> Array:
        """L x for every vector, same shape."""

    @abstractmethod
    def adjoint(self, values: Array) -> Array:
        """L^T x for every vector, same shape: turns d chi2 / d residual into d chi2 / d flux."""

    @abstractmethod
    def solve(self, values: Array) -> Array:
        """L^-1 x, zero without weight: noise of the right covariance from independent noise."""

    @abstractmethod
    def solve_adjoint(self, values: Array) -> Array:
        """L^-T x, zero without weight: its squared length is the variance x^T C x."""

    @abstractmethod
    def marginal(self, keep: np.ndarray) -> Whitener:
        """Whiteners of some values, marginalised over the others, which lose all weight.

        Parameters
        ----------
        keep : ndarray of bool, shape (n_obs,)
        """

    @abstractmethod
    def with_independent(self, channels: Sequence[int], error: np.ndarray) -> Whitener:
        """Some channels replaced by independent ones.

        Parameters
        ----------
        channels : sequence of int, length n
        error : ndarray, shape (n_star, n)
            Standard errors; infinite for no weight.
        """

    def inflate(self, scale: Array, root: Array) -> Triangular:
        """Whiteners of the covariance plus ``s s^T M``, element by element; array code.

        Parameters
        ----------
        scale : ndarray, shape (n_star, n_obs)
            s.
        root : ndarray, shape (n_obs, n_obs)
            A matrix whose product with its transpose is M.

        Notes
        -----
        With L C L^T = 1 and A = L s root, the sum becomes 1 + A A^T = K K^T, whose eigenvalues are
        1 or more: K^-1 L is a whitener of it, and nothing needs to be clipped.
        """
        xp, whitener = array_namespace(self.array), _dense(self.rows)
        spread = whitener @ (scale[:, :, None] * root)
        total = spread @ xp.matrix_transpose(spread)
        total = total + xp.eye(self.n_obs, dtype=total.dtype, device=device(total))
        return Triangular(xp.linalg.solve(xp.linalg.cholesky(total), whitener))

    @abstractmethod
    def covariance(self) -> Array:
        """Covariances, zero without weight, shape (n_star, n_obs, n_obs)."""

    @abstractmethod
    def packed(self) -> Array:
        """Elements to store: (n_star, n_obs), or the lower triangles (n_star, n (n + 1) / 2)."""

    def __len__(self) -> int:
        return int(self.array.shape[0])

    @property
    def n_obs(self) -> int:
        """Length of the data vectors."""
        return int(self.array.shape[1])

    @property
    def has_weight(self) -> Array:
        """Values with weight, bool, shape (n_star, n_obs)."""
        return self.diagonal != 0

    def __getitem__(self, rows: Any) -> Whitener:
        """Whiteners of some stars: a slice (which shares memory), indices or a mask."""
        return type(self)(take(self.array, rows))

    @staticmethod
    def concatenate(parts: Sequence[Whitener]) -> Whitener:
        """Whiteners of several groups of stars; triangular if the groups are of both kinds."""
        if len({part.kind for part in parts}) > 1:
            parts = [Triangular(_dense(part.rows)) for part in parts]
        return type(parts[0])(np.concatenate([part.array for part in parts]))


class Diagonal(Whitener):
    """Independent errors.

    Parameters
    ----------
    array : ndarray, shape (n_star, n_obs)
        Inverse standard errors.
    """

    kind = "diagonal"

    @property
    def diagonal(self) -> Array:
        return self.array

    @property
    def rows(self) -> Array:
        return self.array[:, None, :]

    def __call__(self, values: Array) -> Array:
        return values * (self.array if values.ndim == 2 else self.array[:, None, :])

    adjoint = __call__

    def solve(self, values: Array) -> Array:
        xp = array_namespace(self.array)
        safe = xp.where(self.has_weight, self.array, xp.full_like(self.array, xp.inf))
        return values / (safe if values.ndim == 2 else safe[:, None, :])

    solve_adjoint = solve

    def marginal(self, keep: np.ndarray) -> Diagonal:
        return Diagonal(np.where(keep, self.array, 0.0))

    def with_independent(self, channels: Sequence[int], error: np.ndarray) -> Diagonal:
        array = self.array.copy()
        array[:, channels] = 1.0 / error
        return Diagonal(array)

    def covariance(self) -> Array:
        out = np.zeros((*self.array.shape, self.n_obs))
        index = np.arange(self.n_obs)
        out[:, index, index] = self.solve(np.ones_like(self.array)) ** 2
        return out

    def packed(self) -> Array:
        return self.array


class Triangular(Whitener):
    """Correlated errors.

    Parameters
    ----------
    array : ndarray, shape (n_star, n_obs, n_obs)
        Lower-triangular, such as inverse Cholesky factors of the covariances.
    """

    kind = "triangular"

    @property
    def diagonal(self) -> Array:
        return array_namespace(self.array).linalg.diagonal(self.array)

    @property
    def rows(self) -> Array:
        return self.array

    def __call__(self, values: Array) -> Array:
        return _product(self.array, values)

    def adjoint(self, values: Array) -> Array:
        return _product(_transposed(self.array), values)

    def solve(self, values: Array) -> Array:
        return self._solved(self._invertible(), values)

    def solve_adjoint(self, values: Array) -> Array:
        return self._solved(_transposed(self._invertible()), values)

    def _invertible(self) -> Array:
        """L with ones on the diagonal where there is no weight."""
        xp = array_namespace(self.array)
        unit = xp.eye(self.n_obs, dtype=self.array.dtype, device=device(self.array))
        return self.array + xp.where(self.has_weight[:, :, None], xp.zeros_like(unit), unit)

    def _solved(self, matrix: Array, values: Array) -> Array:
        """Solutions of linear equations, zero without weight."""
        xp = array_namespace(values)
        weight = xp.astype(self.has_weight, values.dtype)
        if values.ndim == 2:
            return xp.linalg.solve(matrix, (values * weight)[:, :, None])[:, :, 0]
        return _transposed(xp.linalg.solve(matrix, _transposed(values * weight[:, None, :])))

    def marginal(self, keep: np.ndarray) -> Triangular:
        drop = ~np.asarray(keep, dtype=bool)
        weight = self.has_weight
        out = self.array.copy()
        # Marginalised over its last channels, a lower triangle is its leading block.
        last_kept = np.where(weight & ~drop, np.arange(self.n_obs), -1).max(axis=1, initial=-1)
        first_dropped = np.where(weight & drop, np.arange(self.n_obs), self.n_obs).min(axis=1)
        for i in np.flatnonzero(first_dropped < last_kept):
            # Other dropped channels are moved to the end first.
            used = np.r_[np.flatnonzero(weight[i] & ~drop), np.flatnonzero(weight[i] & drop)]
            out[i] = _lower(self.array[i], used)
        out[:, drop, :] = 0.0
        out[:, :, drop] = 0.0
        return Triangular(out)

    def with_independent(self, channels: Sequence[int], error: np.ndarray) -> Triangular:
        keep = np.ones(self.n_obs, dtype=bool)
        keep[list(channels)] = False
        array = self.marginal(keep).array
        array[:, channels, channels] = 1.0 / error
        return Triangular(array)

    def covariance(self) -> Array:
        inverse = np.linalg.inv(self._invertible()) * self.has_weight[:, None, :]
        return inverse @ np.swapaxes(inverse, 1, 2)

    def packed(self) -> Array:
        return self.array[(slice(None), *np.tril_indices(self.n_obs))]


def unpack(packed: np.ndarray, n_obs: int) -> Whitener:
    """Whiteners from what `Whitener.packed` gave.

    Parameters
    ----------
    packed : ndarray, shape (n_star, n_obs) or (n_star, n_obs (n_obs + 1) / 2)
    n_obs : int
    """
    if packed.shape[1] == n_obs:
        return Diagonal(packed)
    lower = np.zeros((len(packed), n_obs, n_obs))
    lower[(slice(None), *np.tril_indices(n_obs))] = packed
    return as_whitener(lower)


def as_whitener(whitener: Whitener | np.ndarray) -> Whitener:
    """A whitener from an array of inverse errors or of matrices of any shape.

    Parameters
    ----------
    whitener : Whitener or ndarray, shape (n_star, n_obs) or (n_star, n_obs, n_obs)
        Matrices L need not be triangular; only L^T L counts.

    Returns
    -------
    Whitener

    Raises
    ------
    InputError
        If the array has another number of dimensions.
    """
    if isinstance(whitener, Whitener):
        return whitener
    array: Array = np.array(whitener, dtype=float)
    if array.ndim == 2:
        return Diagonal(array)
    if array.ndim != 3 or array.shape[1] != array.shape[2]:
        raise InputError(
            f"whitener has shape {array.shape}; expected (n_star, n_obs) or (n_star, n_obs, n_obs)"
        )
    upper = np.triu_indices(array.shape[1], 1)
    weight = array.any(axis=1)
    diagonal = np.diagonal(array, axis1=1, axis2=2)
    is_lower = ~array[(slice(None), *upper)].any(axis=1)
    # A value without weight has no row either.
    is_lower &= ~(array.any(axis=2) & ~weight).any(axis=1) & ((diagonal != 0) == weight).all(axis=1)
    for i in np.flatnonzero(~is_lower & np.isfinite(array).all(axis=(1, 2))):
        array[i] = _lower(array[i], np.flatnonzero(weight[i]))
    return Triangular(array)


def _transposed(matrix: Array) -> Array:
    """Transposes of matrices."""
    return array_namespace(matrix).matrix_transpose(matrix)


def _product(matrix: Array, values: Array) -> Array:
    """M x for every vector x, of which there may be several per matrix."""
    if values.ndim == 2:
        return (matrix @ values[:, :, None])[:, :, 0]
    return values @ _transposed(matrix)


def _lower(matrix: np.ndarray, used: np.ndarray) -> np.ndarray:
    """L with the same L^T L as a square matrix, lower-triangular in this order of columns.

    Rows and columns of the others are zero.
    """
    lower = np.zeros_like(matrix)
    upper: Array = np.linalg.qr(matrix[:, used[::-1]], mode="r")
    lower[np.ix_(used, used)] = upper[::-1, ::-1]
    return lower


def _dense(rows: Array) -> Array:
    """Matrices (n_star, n_obs, n_obs) from rows, which may be of a diagonal alone."""
    if rows.shape[1] != 1:
        return rows
    xp = array_namespace(rows)
    unit = xp.eye(rows.shape[2], dtype=rows.dtype, device=device(rows))
    return xp.matrix_transpose(rows) * unit
