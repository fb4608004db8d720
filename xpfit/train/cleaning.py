"""Which stars to train on: usable ones at first, later those that agree with the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag

import numpy as np

from ..data import InputFlag, Spectra
from ..errors import InputError
from .recipe import Recipe
from .stars import StarConstraints

PLAUSIBLE_LABELS = {
    "teff": (1.0, 100.0),
    "feh": (-8.0, 2.0),
    "logg": (-2.0, 9.0),
    "alpha_m": (-2.0, 2.0),
}
"""Ranges of labels (kK, dex); values outside are missing-value codes or in a wrong unit."""


def trainable(
    spectra: Spectra, label_names: Sequence[str], exclude: np.ndarray
) -> tuple[np.ndarray, dict[str, int]]:
    """Stars that can be trained on, and how many are left out for which reason.

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


class CleanFlag(IntFlag):
    """Why a star was dropped in self-cleaning: bits of `Tension.flags`.

    The bits of the labels are `label_flag`.
    """

    FLUX = 1
    """A flux is far from its prediction."""
    CHI2 = 2
    """The whole spectrum is fitted badly."""
    PARALLAX = 4
    """The fitted parallax is far from the measured one."""
    BINARY = 8
    """log g and parallax together are: likely two stars of nearly equal masses (ZGR23, fig. 4)."""
    NOT_FINITE = 16
    """No finite fit was found."""


def label_flag(index: int) -> int:
    """Bit of a label, by its index in the stellar type: 32 for the first, then 64, and so on."""
    return 32 << index


def clean_reasons(flags: np.ndarray, label_names: Sequence[str]) -> dict[str, int]:
    """Number of stars by reason; a star may have several.

    Parameters
    ----------
    flags : ndarray of int, shape (n_star,)
    label_names : sequence of str

    Returns
    -------
    dict of str to int
    """
    bits = {flag.name.lower(): int(flag) for flag in CleanFlag}
    bits |= {name: label_flag(i) for i, name in enumerate(label_names)}
    return {name: int(np.sum((flags & bit) != 0)) for name, bit in bits.items()}


@dataclass(frozen=True)
class Tension:
    """How much training stars disagree with the model, in units of the recipe's limits.

    Parameters
    ----------
    labels : ndarray, shape (n_star, n_label)
        |fitted - measured| / error / limit.
    parallax, binary, flux, chi2 : ndarray, shape (n_star,)
        The same of the parallax; of log g and parallax together; of the most deviant flux; and chi2
        per degree of freedom over its limit.
    """

    labels: np.ndarray
    parallax: np.ndarray
    binary: np.ndarray
    flux: np.ndarray
    chi2: np.ndarray

    @classmethod
    def measure(
        cls,
        constraints: StarConstraints,
        theta: np.ndarray,
        residual: np.ndarray,
        chi2_per_dof: np.ndarray,
        label_names: Sequence[str],
        recipe: Recipe,
    ) -> Tension:
        """Tension of stars at their fitted parameters.

        Parameters
        ----------
        constraints : StarConstraints
        theta : ndarray, shape (n_star, n_stellar)
        residual : ndarray, shape (n_star, n_obs)
            (predicted - observed) / error of each value.
        chi2_per_dof : ndarray, shape (n_star,)
        label_names : sequence of str
        recipe : Recipe
            With the limits.

        Returns
        -------
        Tension
        """
        k = len(label_names)
        pull = np.abs(constraints.pulls(theta))
        floors = [recipe.clean_label_floor.get(name, 0.0) for name in label_names]
        pull[:, :k] *= constraints.label_err / np.hypot(constraints.label_err, floors)
        binary = np.zeros(len(pull))
        if constraints.absolute and "logg" in label_names:
            binary = np.hypot(pull[:, label_names.index("logg")], pull[:, k])
        return cls(
            labels=pull[:, :k] / recipe.clean_sigma,
            parallax=pull[:, k] / recipe.clean_sigma,
            binary=binary / recipe.clean_binary_sigma,
            flux=np.max(np.abs(residual), axis=1) / recipe.clean_flux_sigma,
            chi2=chi2_per_dof / recipe.clean_chi2,
        )

    def flags(self, max_fraction: float = 1.0) -> np.ndarray:
        """Stars that disagree with the model, and why (ZGR23, section 3.2, "self-cleaning").

        Parameters
        ----------
        max_fraction : float
            Largest fraction of the stars to be flagged, the most deviant first: early in a training
            nearly every star disagrees with the model, because the model is wrong. Stars with
            values that are not finite are always flagged.

        Returns
        -------
        ndarray of int16, shape (n_star,)
            Sum of `CleanFlag` and `label_flag` values; zero for stars that are kept.
        """
        parts = {
            int(CleanFlag.FLUX): self.flux,
            int(CleanFlag.CHI2): self.chi2,
            int(CleanFlag.PARALLAX): self.parallax,
            int(CleanFlag.BINARY): self.binary,
        }
        parts |= {label_flag(i): column for i, column in enumerate(self.labels.T)}
        worst = np.max(list(parts.values()), axis=0)
        invalid = ~np.isfinite(worst)
        worst = np.where(invalid, np.inf, worst)
        limit = 1.0
        if max_fraction < 1.0:
            limit = max(limit, np.quantile(worst, 1.0 - max_fraction, method="inverted_cdf"))
        flags = np.where(invalid, int(CleanFlag.NOT_FINITE), 0)
        for bit, tension in parts.items():
            flags += np.where(~invalid & (worst > limit) & (tension > 1.0), bit, 0)
        return flags.astype(np.int16)
