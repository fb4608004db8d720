"""Which stars to train on: usable ones at the outset, well-behaved ones later."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from ..spectra import InputFlag, Spectra

PLAUSIBLE_LABELS = {
    "teff": (1.0, 100.0),
    "feh": (-8.0, 2.0),
    "logg": (-2.0, 9.0),
    "alpha_m": (-2.0, 2.0),
}
"""Labels outside (kK, dex) are missing values or a slip of units, not stars."""


def trainable(
    spectra: Spectra, label_names: Sequence[str], exclude: np.ndarray
) -> tuple[np.ndarray, dict[str, int]]:
    """Stars that can be trained on, and how many fell for which reason.

    Parameters
    ----------
    spectra : Spectra
    label_names : sequence of str
    exclude : ndarray of int64
        Source ids to leave out.

    Returns
    -------
    rows : ndarray of int
        Usable stars, each source once (its first row).
    dropped : dict of str to int
        Number of rows that each test removed, in order.

    Raises
    ------
    InputError
        If a label is not among the spectra's, or nothing is left.
    """
    missing = [name for name in label_names if name not in spectra.labels]
    if missing:
        raise InputError(
            f"no label {', '.join(missing)} in these spectra; they have {', '.join(spectra.labels)}"
        )
    labels = np.column_stack([spectra.labels[name] for name in label_names])
    low, high = np.transpose(
        [PLAUSIBLE_LABELS.get(name, (-np.inf, np.inf)) for name in label_names]
    )
    first = np.zeros(len(spectra), dtype=bool)
    first[np.unique(spectra.source_id, return_index=True)[1]] = True
    tests = {
        "excluded by id": ~np.isin(spectra.source_id, exclude),
        "no source id": (spectra.input_flags & InputFlag.MISSING_ID) == 0,
        "repeated source id": first,
        "label missing": np.isfinite(labels).all(axis=1),
        "label implausible": ~((labels < low) | (labels > high)).any(axis=1),
        "too few flux values": spectra.n_obs > len(label_names) + 2,
    }
    keep = np.ones(len(spectra), dtype=bool)
    dropped = {}
    for reason, passed in tests.items():
        dropped[reason] = int(np.sum(keep & ~passed))
        keep &= passed
    if not keep.any():
        raise InputError(
            "no star left to train on: "
            + ", ".join(f"{count} {reason}" for reason, count in dropped.items() if count)
            + " (temperatures belong in K in files, in kK in `Spectra`)"
        )
    return np.flatnonzero(keep), dropped


def outliers(
    label_pull: np.ndarray,
    chi2_per_dof: np.ndarray,
    *,
    max_sigma: float,
    max_chi2: float,
    max_fraction: float = 1.0,
) -> np.ndarray:
    """Stars in tension with the model (ZGR23, section 3.2, "self-cleaning").

    Parameters
    ----------
    label_pull : ndarray, shape (n_star, n_label)
        (fitted - measured) / error of each label.
    chi2_per_dof : ndarray, shape (n_star,)
    max_sigma, max_chi2 : float
        Limits on |pull| and on chi2 per degree of freedom.
    max_fraction : float
        Largest share of the stars to call outliers, the worst first: while a model is still poor
        nearly every star is in tension with it, and that is not the stars' fault. Values that are
        not finite are outliers always.

    Returns
    -------
    ndarray of bool, shape (n_star,)
    """
    tension = np.maximum(np.max(np.abs(label_pull), axis=1) / max_sigma, chi2_per_dof / max_chi2)
    broken = ~np.isfinite(tension)
    tension = np.where(broken, np.inf, tension)
    limit = np.quantile(tension, 1.0 - max_fraction, method="inverted_cdf")
    return broken | (tension > max(1.0, limit))
