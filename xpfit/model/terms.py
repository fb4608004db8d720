"""Terms of the losses for stellar parameters, and their sum.

The losses of ZGR23 (eqs. 13 and 19) are chi2 of the flux plus penalties on single parameters, plus,
in fits, the prior on stellar type. `theta` (n_star, n_parameter) is (labels, ln E, ln varpi[, xi]);
`xpfit.quantities.Layout` names its columns. Array code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from array_api_compat import array_namespace

from ..arrays import Array
from ..data import Whitener
from ..nn import chi2
from ..quantities import Layout
from .luminosity import parallax_given_amplitude


@dataclass
class Terms:
    """Value and derivatives of a loss of N stars with respect to theta.

    Attributes
    ----------
    value : ndarray, shape (n_star,)
    gradient : ndarray, shape (n_star, n_parameter)
    gauss_newton : ndarray, shape (n_star, n_parameter, n_parameter)
        Hessian without the second derivatives of the model: positive semi-definite.
    hessian : ndarray, same shape, optional
        Exact; None where it is not wanted.
    """

    value: Array
    gradient: Array
    gauss_newton: Array
    hessian: Array = None

    def add(self, penalties: Iterable[Penalty]) -> None:
        """Add penalties to value and derivatives, in place."""
        for penalty in penalties:
            k, first, second = penalty.column, penalty.first, penalty.second
            self.value = self.value + penalty.value
            self.gradient[:, k] = self.gradient[:, k] + first
            self.gauss_newton[:, k, k] = self.gauss_newton[:, k, k] + second
            if self.hessian is not None:
                exact = second + penalty.second_rest
                self.hessian[:, k, k] = self.hessian[:, k, k] + exact


@dataclass(frozen=True)
class Penalty:
    """A term of the loss that depends on one parameter alone.

    Attributes
    ----------
    column : int
        Of theta.
    value, first, second : ndarray, shape (n_star,)
        Its value, derivative and Gauss-Newton second derivative.
    second_rest : ndarray, shape (n_star,)
        What the exact second derivative has in addition.
    """

    column: int
    value: Array
    first: Array
    second: Array
    second_rest: Array = 0.0


def flux_terms(
    whitener: Whitener, residual: Array, jacobian: Array, dtype: Any = None
) -> tuple[Array, Array, Array]:
    """chi2 of the flux, its gradient, and the Fisher matrix of the flux (ZGR23, eqs. 4 and 21).

    Parameters
    ----------
    whitener : Whitener
    residual : ndarray, shape (n_star, n_obs)
        Whitened: L (f_pred - f_obs).
    jacobian : ndarray, shape (n_star, n_parameter, n_obs)
        d f_pred / d theta.
    dtype : optional
        Precision of the sums over values; by default that of the arrays.

    Returns
    -------
    value : ndarray, shape (n_star,)
    gradient : ndarray, shape (n_star, n_parameter)
    information : ndarray, shape (n_star, n_parameter, n_parameter)
        J^T C^-1 J, half the Gauss-Newton Hessian.
    """
    xp = array_namespace(residual)
    dtype = residual.dtype if dtype is None else dtype
    value, d_residual = chi2(xp.astype(residual, dtype, copy=False))
    white = xp.astype(whitener(jacobian), dtype, copy=False)
    gradient = (white @ d_residual[:, :, None])[:, :, 0]
    return value, gradient, white @ xp.matrix_transpose(white)


def gaussian_term(
    value: Array, derivative: Array, observed: Array, error: Array
) -> tuple[Array, Array, Array]:
    """((value - observed) / error)^2 of independent quantities.

    Parameters
    ----------
    value, derivative : ndarray
        The quantities, and their derivative with respect to the fitted parameter.
    observed, error : ndarray, same shape
        Where the error is infinite there is no constraint, whatever `observed` is.

    Returns
    -------
    value, gradient, hessian : ndarray, same shape
        Element by element, with respect to the fitted parameter.
    """
    xp = array_namespace(value, error)
    pull = xp.where(xp.isfinite(error), value - observed, xp.zeros_like(value)) / error
    slope = derivative / error
    return pull**2, 2.0 * pull * slope, 2.0 * slope**2


def positive_penalty(
    theta: Array, column: int, observed: Array = None, error: Array = None, *, jacobian: bool = True
) -> Penalty:
    """Penalty on a quantity x whose logarithm is fitted.

    Parameters
    ----------
    theta : ndarray, shape (n_star, n_parameter)
    column : int
        Of ln x.
    observed, error : ndarray, shape (n_star,), optional
        A measurement of x.
    jacobian : bool
        Add -2 ln x, by which a prior that is flat in x becomes one in ln x (ZGR23, eq. 19).
    """
    xp = array_namespace(theta)
    ln_x = theta[:, column]
    value = first = second = rest = xp.zeros_like(ln_x)
    if error is not None:
        x = xp.exp(ln_x)
        value, first, second = gaussian_term(x, x, observed, error)
        # x is an exponential: its second derivative is its first.
        rest = first
    if jacobian:
        value, first = value - 2.0 * ln_x, first - 2.0
    return Penalty(column, value, first, second, rest)


def parallax_penalty(
    theta: Array,
    column: int,
    observed: Array,
    error: Array,
    luminosity_err: Array,
    *,
    jacobian: bool = True,
) -> Penalty:
    """Penalty on u = ln varpi + delta / 2, at the delta that makes it smallest.

    Parameters
    ----------
    theta : ndarray, shape (n_star, n_parameter)
    column : int
        Of u.
    observed, error : ndarray, shape (n_star,)
        Measured parallax, mas; infinite error where there is none.
    luminosity_err : ndarray, shape (n_star,)
        Standard error of delta, the ln luminosity in addition to the emulator's; where it is zero,
        delta is, and this is `positive_penalty`.
    jacobian : bool
        Add -2 ln varpi.

    Notes
    -----
    ((varpi - varpi_obs) / s)^2 + (delta / s_L)^2 [- 2 ln varpi]: the term of ZGR23's eq. 19 for an
    emulator whose luminosity has an error.
    """
    xp = array_namespace(theta)
    sharp = positive_penalty(theta, column, observed, error, jacobian=jacobian)
    uncertain = luminosity_err > 0
    if not xp.any(uncertain):
        return sharp
    u, zero = theta[:, column], xp.zeros_like(theta[:, column])
    ln_error = 0.5 * xp.where(uncertain, luminosity_err, zero + 1.0)
    t, curvature = parallax_given_amplitude(u, observed, error, ln_error, jacobian)
    parallax, half_delta = xp.exp(t), u - t
    difference = xp.where(xp.isfinite(error), parallax - observed, zero)
    value = (difference / error) ** 2 + (half_delta / ln_error) ** 2
    first, per_second = 2.0 * half_delta / ln_error**2, 2.0 / ln_error**2
    # By the implicit function theorem dt/du = 1 / curvature.
    gauss_newton = per_second * (1.0 - 1.0 / (1.0 + (ln_error * parallax / error) ** 2))
    exact = per_second * (1.0 - 1.0 / curvature)
    values = (value - 2.0 * t if jacobian else value, first, gauss_newton, exact - gauss_newton)
    ours = (sharp.value, sharp.first, sharp.second, sharp.second_rest)
    return Penalty(column, *(xp.where(uncertain, a, b) for a, b in zip(values, ours, strict=True)))


def xi_penalty(
    theta: Array, layout: Layout, mean: Array | float = 0.0, variance: Array | float = 1.0
) -> Iterator[Penalty]:
    """(xi - mean)^2 / variance, the normal prior of xi, where the extinction curve varies."""
    if layout.has_xi:
        offset = theta[:, layout.xi] - mean
        second = 2.0 * array_namespace(theta).ones_like(offset) / variance
        yield Penalty(layout.xi, offset**2 / variance, 2.0 * offset / variance, second)
