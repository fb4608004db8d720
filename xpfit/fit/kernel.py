"""The Numba core: loss, derivatives and descent of one star, no Python in the loop.

The fast twin of `xpfit.fit.objective` and `xpfit.fit.descent`, term by term and step by step; the
tests hold the two together. The core lets go of Python's lock, so that threads work side by side.
Nothing is shared between stars: results depend neither on the number of threads nor on which stars
are fitted together.

All in one file, because Numba's cache watches only the file of a function, not what that calls.

Arrays called `rows` hold the value first and then its derivatives along the labels.
"""

from __future__ import annotations

from collections import namedtuple
from dataclasses import fields
from typing import NamedTuple

import numpy as np
from numba import njit

from .descent import Descents
from .rules import PIVOT_FLOOR

FASTMATH = {"reassoc", "contract", "nsz", "arcp"}
"""Sums may be vectorised; NaN and infinity keep their meaning."""


LARGEST_EXPONENT = 708.0
"""Exponents are cut here: beyond it numbers of double precision over- or underflow."""

LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10
"""ln 2 in two parts, the first of few digits."""


class KernelModel(NamedTuple):
    """What the core knows of a model: plain arrays."""

    widths: np.ndarray
    parameters: np.ndarray
    label_mean: np.ndarray
    label_scale: np.ndarray
    curve: np.ndarray
    second_order: np.ndarray
    variation: np.ndarray
    bp_basis: np.ndarray
    bp_inverse: np.ndarray
    rp_basis: np.ndarray
    rp_inverse: np.ndarray
    ln_norm: np.ndarray
    means: np.ndarray
    precisions: np.ndarray
    absolute: bool


class KernelStars(NamedTuple):
    """What the core knows of the stars. Diagonal whiteners have shape (n_star, 1, n_obs).

    `ends` (n_star, n_obs) says where the rows of full whiteners end in zeros: most are triangular.
    """

    flux: np.ndarray
    whitener: np.ndarray
    ends: np.ndarray
    parallax: np.ndarray
    parallax_err: np.ndarray


KernelState = namedtuple("KernelState", [field.name for field in fields(Descents)])
"""Where descents stand: the arrays of `Descents`, which the core changes in place."""


class _Workspace(NamedTuple):
    """Scratch arrays of one thread."""

    layers: np.ndarray  # (n_layer + 1, 1 + n_label, widest)
    emitted: np.ndarray  # (n_grid,)
    transmission: np.ndarray
    dimmed: np.ndarray
    seen: np.ndarray  # (1 + n_label, n_grid)
    dust: np.ndarray  # (2, n_grid): d ln T / d ln E, d ln T / d xi
    bends: np.ndarray  # (2, n_grid): d2 ln T / d ln E^2, d2 ln T / d ln E d xi
    grid: np.ndarray  # (n_grid,)
    bits: np.ndarray  # (widest,) of int64
    adjoint: np.ndarray  # (2, widest)
    predicted: np.ndarray  # (1 + n_parameter, n_obs): flux and Jacobian
    white: np.ndarray  # the same, whitened; the first row is the residual
    obs: np.ndarray  # (n_obs,)
    prior: np.ndarray  # (n_component, 1 + n_label): ln density and slopes
    gradient: np.ndarray  # (n_parameter,)
    information: np.ndarray  # (n_parameter, n_parameter), like the next four
    gauss_newton: np.ndarray
    hessian: np.ndarray
    matrix: np.ndarray
    factor: np.ndarray
    step: np.ndarray
    trial: np.ndarray
    scalars: np.ndarray  # chi2, ln_prior


@njit(cache=True, fastmath=FASTMATH)
def _workspace(model, n_obs):
    n_label = len(model.label_mean)
    n_grid = len(model.curve)
    n_parameter = n_label + 2 + (len(model.variation) > 0)
    widest = model.widths.max()
    square = (n_parameter, n_parameter)
    return _Workspace(
        np.empty((len(model.widths), 1 + n_label, widest)),
        np.empty(n_grid),
        np.empty(n_grid),
        np.empty(n_grid),
        np.empty((1 + n_label, n_grid)),
        np.zeros((2, n_grid)),
        np.zeros((2, n_grid)),
        np.empty(n_grid),
        np.empty(widest, dtype=np.int64),
        np.empty((2, widest)),
        np.empty((1 + n_parameter, n_obs)),
        np.empty((1 + n_parameter, n_obs)),
        np.empty(n_obs),
        np.empty((len(model.ln_norm), 1 + n_label)),
        np.empty(n_parameter),
        np.empty(square),
        np.empty(square),
        np.empty(square),
        np.empty(square),
        np.empty(square),
        np.empty(n_parameter),
        np.empty(n_parameter),
        np.empty(2),
    )


@njit(cache=True, fastmath=FASTMATH)
def _emulate(model, theta, ws):
    """Values and label derivatives of every layer; the last holds ln flux."""
    n_label = len(model.label_mean)
    layers = ws.layers
    for i in range(n_label):
        layers[0, 0, i] = (theta[i] - model.label_mean[i]) / model.label_scale[i]
        for j in range(n_label):
            layers[0, 1 + j, i] = 1.0 / model.label_scale[i] if i == j else 0.0
    n_layer = len(model.widths) - 1
    start = 0
    for layer in range(n_layer):
        n_in, n_out = model.widths[layer], model.widths[layer + 1]
        weights = model.parameters[start : start + n_in * n_out].reshape((n_in, n_out))
        start += n_in * n_out
        bias = model.parameters[start : start + n_out]
        start += n_out
        for row in range(1 + n_label):
            _times(layers[layer, row], weights, n_in, layers[layer + 1, row])
        y = layers[layer + 1, 0]
        for o in range(n_out):
            y[o] += bias[o]
        if layer < n_layer - 1:
            # tanh y = 1 - 2 / (exp 2y + 1)
            for o in range(n_out):
                y[o] *= 2.0
            _exponential(y, n_out, ws.bits)
            for o in range(n_out):
                y[o] = 1.0 - 2.0 / (y[o] + 1.0)
            for row in range(1, 1 + n_label):
                slope = layers[layer + 1, row]
                for o in range(n_out):
                    slope[o] *= 1.0 - y[o] * y[o]


@njit(cache=True, fastmath=FASTMATH)
def _bend_of_emulator(model, weights, ws, total):
    """Add the second derivatives of sum(weights * ln flux) by the labels."""
    n_label = len(model.label_mean)
    n_layer = len(model.widths) - 1
    end = 0
    for layer in range(n_layer):
        end += (model.widths[layer] + 1) * model.widths[layer + 1]
    down, up = ws.adjoint[0], ws.adjoint[1]
    down[: len(weights)] = weights
    for layer in range(n_layer - 1, 0, -1):
        n_in, n_out = model.widths[layer], model.widths[layer + 1]
        end -= (n_in + 1) * n_out
        matrix = model.parameters[end : end + n_in * n_out].reshape((n_in, n_out))
        _times_transposed(down, matrix, up)
        value, bend = ws.layers[layer, 0], down
        for i in range(n_in):
            # The slopes along the labels carry a factor 1 - tanh^2 already.
            slope = 1.0 - value[i] * value[i]
            bend[i] = -2.0 * value[i] * up[i] / slope if slope > 0.0 else 0.0
            up[i] *= slope
        for a in range(n_label):
            for b in range(a + 1):
                total[a, b] += _triple(bend, ws.layers[layer, 1 + a], ws.layers[layer, 1 + b], n_in)
        down, up = up, down


@njit(cache=True, fastmath=FASTMATH)
def _times(values, matrix, n_rows, out):
    """values @ matrix for a vector."""
    n = matrix.shape[1]
    for o in range(n):
        out[o] = 0.0
    # Four rows at a time: `out` is read and written four times less often.
    whole = n_rows - n_rows % 4
    for i in range(0, whole, 4):
        v0, v1, v2, v3 = values[i], values[i + 1], values[i + 2], values[i + 3]
        m0, m1, m2, m3 = matrix[i], matrix[i + 1], matrix[i + 2], matrix[i + 3]
        for o in range(n):
            out[o] += v0 * m0[o] + v1 * m1[o] + v2 * m2[o] + v3 * m3[o]
    for i in range(whole, n_rows):
        v0, m0 = values[i], matrix[i]
        for o in range(n):
            out[o] += v0 * m0[o]


@njit(cache=True, fastmath=FASTMATH)
def _triple(x, y, z, n):
    """Sum of products of three vectors."""
    total = 0.0
    for i in range(n):
        total += x[i] * y[i] * z[i]
    return total


@njit(cache=True, fastmath=FASTMATH)
def _exponential(x, n, bits):
    """Replace the first `n` of `x` by their exponentials, in vectorised arithmetic.

    exp x = 2^k exp r with |r| < ln 2 / 2; 2^k is made from its bits, the rest is a polynomial.
    The relative error is that of a rounding of `x`.
    """
    power = bits.view(np.float64)
    for i in range(n):
        y = min(max(x[i], -LARGEST_EXPONENT), LARGEST_EXPONENT)
        k = np.floor(y * LOG2_E + 0.5)
        r = (y - k * LN2_HIGH) - k * LN2_LOW
        p = 1.0 / 479001600.0
        p = p * r + 1.0 / 39916800.0
        p = p * r + 1.0 / 3628800.0
        p = p * r + 1.0 / 362880.0
        p = p * r + 1.0 / 40320.0
        p = p * r + 1.0 / 5040.0
        p = p * r + 1.0 / 720.0
        p = p * r + 1.0 / 120.0
        p = p * r + 1.0 / 24.0
        p = p * r + 1.0 / 6.0
        p = p * r + 0.5
        p = p * r + 1.0
        bits[i] = (np.int64(k) + 1023) << 52
        x[i] = p * r + 1.0
    for i in range(n):
        x[i] *= power[i]


@njit(cache=True, fastmath=FASTMATH)
def _times_transposed(values, matrix, out):
    """values @ matrix.T for a vector."""
    for i in range(matrix.shape[0]):
        total = 0.0
        for o in range(matrix.shape[1]):
            total += matrix[i, o] * values[o]
        out[i] = total


@njit(cache=True, fastmath=FASTMATH)
def _observe(model, spectrum, out):
    """Spectrum on the grid -> data vector."""
    n_bp, m_bp = model.bp_inverse.shape
    n_rp, m_rp = model.rp_inverse.shape
    if n_bp + n_rp > 0:
        _times(spectrum, model.bp_inverse, n_bp, out)
        _times(spectrum[n_bp:], model.rp_inverse, n_rp, out[m_bp:])
    for i in range(n_bp + n_rp, len(spectrum)):
        out[i - n_bp - n_rp + m_bp + m_rp] = spectrum[i]


@njit(cache=True, fastmath=FASTMATH)
def _observe_adjoint(model, values, out):
    """Transpose of `_observe`."""
    n_bp, m_bp = model.bp_inverse.shape
    n_rp, m_rp = model.rp_inverse.shape
    if n_bp + n_rp > 0:
        _times_transposed(values, model.bp_inverse, out)
        _times_transposed(values[m_bp:], model.rp_inverse, out[n_bp:])
    for i in range(n_bp + n_rp, len(out)):
        out[i] = values[i - n_bp - n_rp + m_bp + m_rp]


@njit(cache=True, fastmath=FASTMATH)
def _see(model, spectrum, scratch, out):
    """What the instrument sees of a spectrum on the grid."""
    m_bp, n_bp = model.bp_basis.shape
    m_rp, n_rp = model.rp_basis.shape
    if n_bp + n_rp > 0:
        _observe(model, spectrum, scratch)
        _times(scratch, model.bp_basis, m_bp, out)
        _times(scratch[m_bp:], model.rp_basis, m_rp, out[n_bp:])
    for i in range(n_bp + n_rp, len(spectrum)):
        out[i] = spectrum[i]


@njit(cache=True, fastmath=FASTMATH)
def _see_adjoint(model, spectrum, scratch, out):
    """Transpose of `_see`."""
    m_bp, n_bp = model.bp_basis.shape
    m_rp, n_rp = model.rp_basis.shape
    if n_bp + n_rp > 0:
        _times_transposed(spectrum, model.bp_basis, scratch)
        _times_transposed(spectrum[n_bp:], model.rp_basis, scratch[m_bp:])
    for i in range(n_bp + n_rp, len(spectrum)):
        scratch[i - n_bp - n_rp + m_bp + m_rp] = spectrum[i]
    _observe_adjoint(model, scratch, out)


@njit(cache=True, fastmath=FASTMATH)
def _predict(model, theta, ws):
    """Flux and Jacobian, and all stages of the light in between."""
    n_label = len(model.label_mean)
    n_grid = len(model.curve)
    varies = len(model.variation) > 0
    _emulate(model, theta, ws)
    last = ws.layers[len(model.widths) - 1]
    extinction = np.exp(theta[n_label])
    for i in range(n_grid):
        ws.grid[i] = theta[n_label + 2] * model.variation[i] if varies else 0.0
    if varies:
        _exponential(ws.grid, n_grid, ws.bits)
    for i in range(n_grid):
        slope = -extinction * model.curve[i] * (ws.grid[i] if varies else 1.0)
        ln_transmission = slope
        ws.dust[0, i] = slope
        ws.bends[0, i] = slope
        if len(model.second_order) > 0:
            bend = extinction * extinction * model.second_order[i]
            ln_transmission += bend
            ws.dust[0, i] += 2.0 * bend
            ws.bends[0, i] += 4.0 * bend
        if varies:
            ws.dust[1, i] = slope * model.variation[i]
            ws.bends[1, i] = slope * model.variation[i]
        ws.emitted[i] = last[0, i] + 2.0 * theta[n_label + 1]
        ws.transmission[i] = ln_transmission
    _exponential(ws.emitted, n_grid, ws.bits)
    _exponential(ws.transmission, n_grid, ws.bits)
    for row in range(1 + n_label):
        for i in range(n_grid):
            ws.grid[i] = ws.emitted[i] * (1.0 if row == 0 else last[row, i])
        _see(model, ws.grid, ws.obs, ws.seen[row])
    for i in range(n_grid):
        ws.dimmed[i] = ws.seen[0, i] * ws.transmission[i]
    _observe(model, ws.dimmed, ws.predicted[0])
    for row in range(n_label):
        for i in range(n_grid):
            ws.grid[i] = ws.seen[1 + row, i] * ws.transmission[i]
        _observe(model, ws.grid, ws.predicted[1 + row])
    for dust in range(1 + varies):
        for i in range(n_grid):
            ws.grid[i] = ws.dust[dust, i] * ws.dimmed[i]
        _observe(model, ws.grid, ws.predicted[1 + n_label + 2 * dust])
    for i in range(ws.predicted.shape[1]):
        ws.predicted[2 + n_label, i] = 2.0 * ws.predicted[0, i]


@njit(cache=True, fastmath=FASTMATH)
def _whiten(whitener, ends, values, out):
    """Multiply all rows of `values` by a whitener, diagonal or full."""
    n_row, n_obs = values.shape
    if whitener.shape[0] == 1:
        for row in range(n_row):
            for i in range(n_obs):
                out[row, i] = whitener[0, i] * values[row, i]
        return
    # Three rows at a time, so that the whitener is read three times less often.
    whole = n_row - n_row % 3
    for i in range(n_obs):
        line = whitener[i]
        for row in range(0, whole, 3):
            v0, v1, v2 = values[row], values[row + 1], values[row + 2]
            t0, t1, t2 = 0.0, 0.0, 0.0
            for j in range(ends[i]):
                t0 += line[j] * v0[j]
                t1 += line[j] * v1[j]
                t2 += line[j] * v2[j]
            out[row, i], out[row + 1, i], out[row + 2, i] = t0, t1, t2
        for row in range(whole, n_row):
            value = values[row]
            total = 0.0
            for j in range(ends[i]):
                total += line[j] * value[j]
            out[row, i] = total


@njit(cache=True, fastmath=FASTMATH)
def _unwhiten(whitener, ends, values, out):
    """Multiply a vector by the transpose of a whitener."""
    n_obs = len(values)
    if whitener.shape[0] == 1:
        for i in range(n_obs):
            out[i] = whitener[0, i] * values[i]
        return
    out[:] = 0.0
    for i in range(n_obs):
        a = values[i]
        line = whitener[i]
        for j in range(ends[i]):
            out[j] += a * line[j]


@njit(cache=True, fastmath=FASTMATH, nogil=True)
def find_ends(whitener):
    """Where each row of each whitener ends in zeros, shape (n_star, n_row)."""
    n_star, n_row, n_obs = whitener.shape
    ends = np.empty((n_star, n_row), dtype=np.int64)
    for s in range(n_star):
        for i in range(n_row):
            end = n_obs
            while end > 0 and whitener[s, i, end - 1] == 0.0:
                end -= 1
            ends[s, i] = end
    return ends


@njit(cache=True, fastmath=FASTMATH)
def _flux_term(model, flux, whitener, ends, theta, ws):
    """chi2 with its derivatives."""
    n_label = len(model.label_mean)
    n_parameter = len(theta)
    varies = len(model.variation) > 0
    _predict(model, theta, ws)
    for i in range(len(flux)):
        ws.predicted[0, i] -= flux[i]
    _whiten(whitener, ends, ws.predicted, ws.white)
    residual = ws.white[0]
    chi2 = 0.0
    for i in range(len(flux)):
        chi2 += residual[i] * residual[i]
    for a in range(n_parameter):
        slope = ws.white[1 + a]
        total = 0.0
        for i in range(len(flux)):
            total += slope[i] * residual[i]
        ws.gradient[a] = 2.0 * total
        for b in range(a + 1):
            other = ws.white[1 + b]
            total = 0.0
            for i in range(len(flux)):
                total += slope[i] * other[i]
            ws.information[a, b] = total
            ws.hessian[a, b] = 2.0 * total
    _unwhiten(whitener, ends, residual, ws.obs)
    for i in range(len(flux)):
        ws.obs[i] *= 2.0
    _curvature(model, n_label, varies, ws)
    return chi2


@njit(cache=True, fastmath=FASTMATH)
def _curvature(model, n_label, varies, ws):
    """Add the second derivatives of the model (`ForwardModel.curvature`) to the Hessian."""
    n_grid = len(model.curve)
    last = ws.layers[len(model.widths) - 1]
    total = ws.hessian
    on_grid = ws.white[0]
    if len(on_grid) != n_grid:
        on_grid = np.empty(n_grid)
    _observe_adjoint(model, ws.obs, on_grid)
    e, u, x = n_label, n_label + 1, n_label + 2
    for i in range(n_grid):
        ws.grid[i] = on_grid[i] * ws.transmission[i]
    for a in range(n_label):
        by_dust, by_xi, by_amplitude = 0.0, 0.0, 0.0
        for i in range(n_grid):
            change = ws.grid[i] * ws.seen[1 + a, i]
            by_amplitude += change
            by_dust += change * ws.dust[0, i]
            by_xi += change * ws.dust[1, i]
        total[e, a] += by_dust
        total[u, a] += 2.0 * by_amplitude
        if varies:
            total[x, a] += by_xi
    ee, eu, uu, xe, xu, xx = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(n_grid):
        weight = on_grid[i] * ws.dimmed[i]
        dust, xi = ws.dust[0, i], ws.dust[1, i]
        uu += weight
        eu += weight * dust
        ee += weight * (dust * dust + ws.bends[0, i])
        if varies:
            xu += weight * xi
            xe += weight * (dust * xi + ws.bends[1, i])
            xx += weight * (xi * xi + ws.bends[1, i] * model.variation[i])
    total[e, e] += ee
    total[u, e] += 2.0 * eu
    total[u, u] += 4.0 * uu
    if varies:
        total[x, e] += xe
        total[x, u] += 2.0 * xu
        total[x, x] += xx
    # `seen` is not needed any more: it takes the weights of the emitted light.
    weights = ws.seen[0]
    _see_adjoint(model, ws.grid, ws.obs, weights)
    for i in range(n_grid):
        weights[i] *= ws.emitted[i]
    for a in range(n_label):
        for b in range(a + 1):
            total[a, b] += _triple(weights, last[1 + a], last[1 + b], n_grid)
    _bend_of_emulator(model, weights, ws, total)


@njit(cache=True, fastmath=FASTMATH)
def _prior_term(model, theta, ws):
    """Add -2 ln p_gmm to the derivatives; returns ln p_gmm."""
    n_label = len(model.label_mean)
    n_component = len(model.ln_norm)
    peak = -np.inf
    for c in range(n_component):
        distance = 0.0
        for a in range(n_label):
            slope = 0.0
            for b in range(n_label):
                slope -= model.precisions[c, a, b] * (theta[b] - model.means[c, b])
            ws.prior[c, 1 + a] = slope
            distance += slope * (theta[a] - model.means[c, a])
        ws.prior[c, 0] = model.ln_norm[c] + 0.5 * distance
        peak = max(peak, ws.prior[c, 0])
    total = 0.0
    for c in range(n_component):
        ws.prior[c, 0] = np.exp(ws.prior[c, 0] - peak)
        total += ws.prior[c, 0]
    for c in range(n_component):
        ws.prior[c, 0] /= total
    for a in range(n_label):
        slope = 0.0
        for c in range(n_component):
            slope += ws.prior[c, 0] * ws.prior[c, 1 + a]
        ws.step[a] = slope
        ws.gradient[a] -= 2.0 * slope
    for a in range(n_label):
        for b in range(a + 1):
            precision, product = 0.0, 0.0
            for c in range(n_component):
                share = ws.prior[c, 0]
                precision += share * model.precisions[c, a, b]
                product += share * ws.prior[c, 1 + a] * ws.prior[c, 1 + b]
            ws.gauss_newton[a, b] += 2.0 * precision
            ws.hessian[a, b] += 2.0 * (precision - product + ws.step[a] * ws.step[b])
    return peak + np.log(total)


@njit(cache=True, fastmath=FASTMATH)
def _evaluate(model, stars, s, theta, ws):
    """Loss of star `s` at `theta` and, in the workspace, its derivatives."""
    n_label = len(model.label_mean)
    n_parameter = len(theta)
    chi2 = _flux_term(model, stars.flux[s], stars.whitener[s], stars.ends[s], theta, ws)
    for a in range(n_parameter):
        for b in range(a + 1):
            ws.gauss_newton[a, b] = 2.0 * ws.information[a, b]
    ln_prior = _prior_term(model, theta, ws)
    loss = chi2 - 2.0 * ln_prior - 2.0 * theta[n_label]
    ws.gradient[n_label] -= 2.0
    if model.absolute:
        u = n_label + 1
        loss -= 2.0 * theta[u]
        ws.gradient[u] -= 2.0
        parallax_err = stars.parallax_err[s]
        if np.isfinite(parallax_err):
            value = np.exp(theta[u])
            pull, slope = (value - stars.parallax[s]) / parallax_err, value / parallax_err
            loss += pull * pull
            ws.gradient[u] += 2.0 * pull * slope
            ws.gauss_newton[u, u] += 2.0 * slope * slope
            ws.hessian[u, u] += 2.0 * slope * slope + 2.0 * pull * slope
    if len(model.variation) > 0:
        x = n_label + 2
        loss += theta[x] * theta[x]
        ws.gradient[x] += 2.0 * theta[x]
        ws.gauss_newton[x, x] += 2.0
        ws.hessian[x, x] += 2.0
    ws.scalars[0], ws.scalars[1] = chi2, ln_prior
    return np.inf if np.isnan(loss) else loss


@njit(cache=True, fastmath=FASTMATH)
def _solve(matrix, factor, gradient, step):
    """Step -matrix^-1 gradient by Cholesky; False if the matrix is not positive definite."""
    n = len(gradient)
    for j in range(n):
        for i in range(j, n):
            total = matrix[i, j]
            for k in range(j):
                total -= factor[i, k] * factor[j, k]
            if i == j:
                if not total > PIVOT_FLOOR * abs(matrix[j, j]):
                    return False
                factor[j, j] = np.sqrt(total)
            else:
                factor[i, j] = total / factor[j, j]
    for j in range(n):
        total = -gradient[j]
        for k in range(j):
            total -= factor[j, k] * step[k]
        step[j] = total / factor[j, j]
    for j in range(n - 1, -1, -1):
        total = step[j]
        for k in range(j + 1, n):
            total -= factor[k, j] * step[k]
        step[j] = total / factor[j, j]
    return True


@njit(cache=True, fastmath=FASTMATH)
def _propose(state, m, scale, ws):
    """Damped Newton step from a state, in standardised parameters.

    Leaves the curvature that it used in `ws.hessian`; False if there is no finite step.
    """
    n = len(scale)
    damping = state.damping[m]
    for a in range(n):
        ws.gradient[a] = state.gradient[m, a] * scale[a]
        for b in range(a + 1):
            ws.gauss_newton[a, b] = state.gauss_newton[m, a, b] * scale[a] * scale[b]
            ws.hessian[a, b] = state.hessian[m, a, b] * scale[a] * scale[b]
            ws.matrix[a, b] = ws.hessian[a, b]
        ws.matrix[a, a] += damping * ws.gauss_newton[a, a]
    if _solve(ws.matrix, ws.factor, ws.gradient, ws.step):
        return True
    for a in range(n):
        for b in range(a + 1):
            ws.hessian[a, b] = ws.gauss_newton[a, b]
            ws.matrix[a, b] = ws.gauss_newton[a, b]
        ws.matrix[a, a] += damping * ws.gauss_newton[a, a]
    return _solve(ws.matrix, ws.factor, ws.gradient, ws.step)


@njit(cache=True, fastmath=FASTMATH)
def _store(state, m, theta, loss, ws):
    """Make the point that was evaluated last the state of a descent."""
    n = len(theta)
    state.loss[m] = loss
    state.chi2[m], state.ln_prior[m] = ws.scalars[0], ws.scalars[1]
    for a in range(n):
        state.theta[m, a] = theta[a]
        state.gradient[m, a] = ws.gradient[a]
        for b in range(a + 1):
            state.information[m, a, b] = state.information[m, b, a] = ws.information[a, b]
            state.gauss_newton[m, a, b] = state.gauss_newton[m, b, a] = ws.gauss_newton[a, b]
            state.hessian[m, a, b] = state.hessian[m, b, a] = ws.hessian[a, b]


@njit(cache=True, fastmath=FASTMATH)
def _descend_one(model, stars, rules, state, m, n_iterations, ws):
    """Up to `n_iterations` steps of one descent."""
    s = state.star[m]
    n = len(rules.scale)
    for _ in range(n_iterations):
        if state.finished[m]:
            return
        if not _propose(state, m, rules.scale, ws):
            state.finished[m] = True
            return
        state.n_iterations[m] += 1
        longest, slope = 0.0, 0.0
        for a in range(n):
            longest = max(longest, abs(ws.step[a]))
            slope += ws.gradient[a] * ws.step[a]
        loss = state.loss[m]
        small = -0.5 * slope < rules.tolerance + rules.rounding * abs(loss)
        at_end = small and longest <= rules.max_step and state.damping[m] <= rules.end_damping
        shorten = min(1.0, rules.max_step / longest) if longest > 0.0 else 1.0
        promised = -shorten * slope
        for a in range(n):
            for b in range(a + 1):
                double = 0.5 if a == b else 1.0
                promised -= double * shorten * shorten * ws.step[a] * ws.step[b] * ws.hessian[a, b]
        for a in range(n):
            ws.trial[a] = state.theta[m, a] + shorten * ws.step[a] * rules.scale[a]
        trial = _evaluate(model, stars, s, ws.trial, ws)
        if trial <= loss:
            ratio = (loss - trial) / promised if promised > 0.0 else 0.0
            if ratio > rules.good:
                state.damping[m] = max(state.damping[m] * rules.shrink, rules.min_damping)
            elif ratio < rules.poor:
                state.damping[m] *= rules.stretch
            _store(state, m, ws.trial, trial, ws)
        else:
            state.damping[m] *= rules.grow
        if at_end or state.damping[m] > rules.max_damping:
            state.finished[m] = True


@njit(cache=True, fastmath=FASTMATH, nogil=True)
def inflate(whitener, scale, root):
    """Fast twin of `xpfit.model.covariance.inflate`; triangles stay triangles."""
    n_star, n_obs = scale.shape
    out = np.zeros((n_star, n_obs, n_obs))
    scaled, spread = np.empty((n_obs, n_obs)), np.empty((n_obs, n_obs))
    factor = np.empty((n_obs, n_obs))
    all_ends = find_ends(whitener)
    for s in range(n_star):
        ends = all_ends[s]
        for i in range(n_obs):
            for j in range(n_obs):
                scaled[i, j] = scale[s, i] * root[i, j]
        if whitener.shape[1] == 1:
            ends = np.arange(1, n_obs + 1)
            for i in range(n_obs):
                out[s, i, i] = whitener[s, 0, i]
        else:
            for i in range(n_obs):
                out[s, i, : ends[i]] = whitener[s, i, : ends[i]]
        for i in range(n_obs):
            _times(out[s, i], scaled, ends[i], spread[i])
        _factorise(spread, factor)
        for i in range(n_obs):
            row = out[s, i]
            whole = i - i % 4
            for k in range(0, whole, 4):
                f0, f1, f2, f3 = factor[i, k], factor[i, k + 1], factor[i, k + 2], factor[i, k + 3]
                r0, r1, r2, r3 = out[s, k], out[s, k + 1], out[s, k + 2], out[s, k + 3]
                for j in range(max(ends[k], ends[k + 1], ends[k + 2], ends[k + 3])):
                    row[j] -= f0 * r0[j] + f1 * r1[j] + f2 * r2[j] + f3 * r3[j]
            for k in range(whole, i):
                f0, r0 = factor[i, k], out[s, k]
                for j in range(ends[k]):
                    row[j] -= f0 * r0[j]
            inverse = 1.0 / factor[i, i]
            for j in range(n_obs):
                row[j] *= inverse
    return out


@njit(cache=True, fastmath=FASTMATH)
def _factorise(spread, factor):
    """Cholesky factor of 1 + A A^T, column by column."""
    n = spread.shape[0]
    for i in range(n):
        for j in range(i):
            factor[j, i] = 0.0
    for i in range(n):
        row = factor[i]
        whole = (i + 1) - (i + 1) % 3
        for j in range(0, whole, 3):
            s0, s1, s2 = spread[j], spread[j + 1], spread[j + 2]
            t0, t1, t2 = 0.0, 0.0, 0.0
            for k in range(n):
                a = spread[i, k]
                t0 += a * s0[k]
                t1 += a * s1[k]
                t2 += a * s2[k]
            row[j], row[j + 1], row[j + 2] = t0, t1, t2
        for j in range(whole, i + 1):
            total = 0.0
            for k in range(n):
                total += spread[i, k] * spread[j, k]
            row[j] = total
        row[i] += 1.0
        for j in range(i + 1):
            other = factor[j]
            total = row[j]
            for k in range(j):
                total -= row[k] * other[k]
            row[j] = np.sqrt(total) if i == j else total / other[j]


@njit(cache=True, fastmath=FASTMATH, nogil=True)
def evaluate(model, stars, state):
    """Loss and derivatives of all descents where they stand."""
    ws = _workspace(model, stars.flux.shape[1])
    for m in range(len(state.star)):
        ws.trial[:] = state.theta[m]
        loss = _evaluate(model, stars, state.star[m], ws.trial, ws)
        _store(state, m, ws.trial, loss, ws)


@njit(cache=True, fastmath=FASTMATH, nogil=True)
def descend(model, stars, rules, state, which, n_iterations):
    """Up to `n_iterations` more steps of some descents, in place."""
    ws = _workspace(model, stars.flux.shape[1])
    for m in which:
        _descend_one(model, stars, rules, state, m, n_iterations, ws)
