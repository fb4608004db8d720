"""Linear algebra and exponentials on plain arrays, vectorised over the data vector or the grid."""

import numpy as np
from numba import njit

from ..lm_settings import PIVOT_FLOOR

FASTMATH = {"reassoc", "contract", "nsz", "arcp"}
"""Sums may be vectorised; NaN and infinity keep their meaning."""

compiled = njit(fastmath=FASTMATH)
"""Decorator of the functions that are compiled into the entry points."""

entry_point = njit(cache=True, fastmath=FASTMATH, nogil=True)
"""Decorator of the functions that are called from Python; they release the GIL."""

LARGEST_EXPONENT = 708.0
"""Exponents are clipped here: beyond it numbers of double precision over- or underflow."""

LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10
"""ln 2 in two parts, the first of few digits."""


@compiled
def times(values, matrix, n_rows, out):
    """values @ matrix for a vector."""
    n = matrix.shape[1]
    for o in range(n):
        out[o] = 0.0
    # Four rows at a time: `out` is read and written a quarter as often.
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


@compiled
def times_transpose(values, matrix, out):
    """values @ matrix.T for a vector."""
    for i in range(matrix.shape[0]):
        total = 0.0
        for o in range(matrix.shape[1]):
            total += matrix[i, o] * values[o]
        out[i] = total


@compiled
def sum_of_products(x, y, z, n):
    """Sum of products of three vectors."""
    total = 0.0
    for i in range(n):
        total += x[i] * y[i] * z[i]
    return total


@compiled
def exponentiate(x, n, bits):
    """Replace the first `n` elements of `x` by their exponentials, in vectorised arithmetic.

    exp x = 2^k exp r with |r| < ln 2 / 2; 2^k is composed of its bits, exp r is a polynomial.
    The relative error is that of rounding `x`.
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


@compiled
def whiten(whitener, ends, values, out):
    """Multiply all rows of `values` by a whitener, diagonal (1, n_obs) or full."""
    n_row, n_obs = values.shape
    if whitener.shape[0] == 1:
        for row in range(n_row):
            for i in range(n_obs):
                out[row, i] = whitener[0, i] * values[row, i]
        return
    # Three rows at a time, so that the whitener is read a third as often.
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


@compiled
def unwhiten(whitener, ends, values, out):
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


@compiled
def row_ends(whitener):
    """Number of elements of each row of each whitener up to the last non-zero, (n_star, n_row)."""
    n_star, n_row, n_obs = whitener.shape
    ends = np.empty((n_star, n_row), dtype=np.int64)
    for s in range(n_star):
        for i in range(n_row):
            end = n_obs
            while end > 0 and whitener[s, i, end - 1] == 0.0:
                end -= 1
            ends[s, i] = end
    return ends


@compiled
def solve(matrix, factor, gradient, step):
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


@compiled
def factorise(spread, factor):
    """Cholesky factor of 1 + spread spread^T, row by row."""
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
