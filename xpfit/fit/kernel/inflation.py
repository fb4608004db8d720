"""Add the model covariance to whiteners."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .linalg import entry_point, factorise, row_ends, times


def make_inflate(digest: str) -> Callable[..., Any]:
    """Entry point `inflate`, cached under a digest of its sources (see `make_entry_points`)."""

    @entry_point
    def inflate(whitener, scale, root):
        """Fast twin of `xpfit.data.Whitener.inflate`; triangular whiteners stay triangular."""
        _ = digest
        n_star, n_obs = scale.shape
        out = np.zeros((n_star, n_obs, n_obs))
        scaled, spread = np.empty((n_obs, n_obs)), np.empty((n_obs, n_obs))
        factor = np.empty((n_obs, n_obs))
        all_ends = row_ends(whitener)
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
                times(out[s, i], scaled, ends[i], spread[i])
            factorise(spread, factor)
            for i in range(n_obs):
                row, line = out[s, i], factor[i]
                whole = i - i % 4
                for k in range(0, whole, 4):
                    f0, f1, f2, f3 = line[k], line[k + 1], line[k + 2], line[k + 3]
                    r0, r1, r2, r3 = out[s, k], out[s, k + 1], out[s, k + 2], out[s, k + 3]
                    for j in range(max(ends[k], ends[k + 1], ends[k + 2], ends[k + 3])):
                        row[j] -= f0 * r0[j] + f1 * r1[j] + f2 * r2[j] + f3 * r3[j]
                for k in range(whole, i):
                    f0, r0 = line[k], out[s, k]
                    for j in range(ends[k]):
                        row[j] -= f0 * r0[j]
                inverse = 1.0 / line[i]
                for j in range(n_obs):
                    row[j] *= inverse
        return out

    return inflate
