"""`EpochSpectra`: the spectra of one star at each of its transits, with their covariances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data import Spectra
from ..errors import InputError


@dataclass(frozen=True, eq=False)
class EpochSpectra:
    """Spectra of one star at several times.

    Parameters
    ----------
    source_id : int
    time : ndarray, shape (n_epoch,)
        Days (BJD in TCB); NaN where unknown.
    transit_id : ndarray of int64, shape (n_epoch,)
        Zero where unknown.
    spectra : Spectra
        One row per epoch, prepared like any others: with the errors of the calibration.
    covariance : ndarray, shape (n_epoch, n_obs, n_obs)
        Of the measurement alone. Errors of the calibration are common to all epochs of a star and
        do not make one differ from another. It may be singular, as that of samples is which are
        closer than the instrument resolves.
    calibration : ndarray, shape (n_obs, n_obs)
        Covariance of what all epochs have in common.

    Raises
    ------
    InputError
        If there are no epochs, or shapes disagree.
    """

    source_id: int
    time: np.ndarray
    transit_id: np.ndarray
    spectra: Spectra
    covariance: np.ndarray
    calibration: np.ndarray

    def __post_init__(self) -> None:
        n_epoch, n_obs = self.spectra.flux.shape
        expected = {
            "time": (n_epoch,), "transit_id": (n_epoch,),
            "covariance": (n_epoch, n_obs, n_obs), "calibration": (n_obs, n_obs),
        }  # fmt: skip
        if not n_epoch:
            raise InputError(f"source {self.source_id}: no epochs")
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise InputError(
                    f"source {self.source_id}: {name} has shape {getattr(self, name).shape}; "
                    f"expected {shape}"
                )

    def __len__(self) -> int:
        return len(self.spectra)

    def __repr__(self) -> str:
        return f"<EpochSpectra: source {self.source_id}, {len(self)} epochs>"

    @property
    def flux(self) -> np.ndarray:
        """Data vectors, shape (n_epoch, n_obs); zero where a value carries no weight."""
        return self.spectra.flux

    @property
    def used(self) -> np.ndarray:
        """Values with weight, bool, shape (n_epoch, n_obs)."""
        return np.isfinite(self.spectra.flux_err)
