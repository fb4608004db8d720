"""Flags common to all kinds of spectra."""

from __future__ import annotations

import numpy as np

from ..data.spectra import InputFlag


def id_flags(source_id: np.ndarray) -> np.ndarray:
    """Flags of missing and of repeated source ids.

    Parameters
    ----------
    source_id : ndarray of int64, shape (n_star,)
        Zero where missing.

    Returns
    -------
    ndarray of int32, shape (n_star,)
        Sum of `InputFlag` values.
    """
    missing = source_id <= 0
    _, inverse, counts = np.unique(source_id, return_inverse=True, return_counts=True)
    repeated = ~missing & (counts[inverse] > 1)
    flags = np.where(missing, int(InputFlag.MISSING_ID), 0)
    return (flags + np.where(repeated, int(InputFlag.DUPLICATE_ID), 0)).astype(np.int32)
