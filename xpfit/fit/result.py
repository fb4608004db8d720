"""What a fit returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np


class FitStatus(IntEnum):
    """How the fit of a star ended."""

    CONVERGED = 0
    NOT_CONVERGED = 1
    """The optimiser stopped before the loss was flat: do not trust the parameters."""
    NOT_FITTED = 2
    """Fewer usable values than parameters, or no positive flux: there are no parameters."""


@dataclass
class FitResult:
    """Fitted parameters of N stars. Stars that were not fitted have NaN.

    Attributes
    ----------
    parameter_names : tuple of str
        The labels, then `extinction` and `parallax`, then `xi` if the extinction curve varies.
    absolute : bool
        Whether `parallax` is one. If not it is the square root of the amplitude, in the gauge of
        `xpfit.model.gauge`.
    source_id : ndarray of int64, shape (n_star,)
    parameters : ndarray, shape (n_star, n_parameter)
        Linear, in kK, dex, mag, mas.
    covariance, inverse_covariance : ndarray, shape (n_star, n_parameter, n_parameter)
        From the Fisher matrix of flux and parallax, without the prior.
    chi2, ln_prior, loss : ndarray, shape (n_star,)
        Of the best fit; `loss` is -2 ln posterior (ZGR23, eq. 19).
    n_obs : ndarray of int, shape (n_star,)
        Values that carried weight.
    status : ndarray of int, shape (n_star,)
        `FitStatus`.
    n_iterations : ndarray of int, shape (n_star,)
        Of the optimiser, over all starts.
    """

    parameter_names: tuple[str, ...]
    absolute: bool
    source_id: np.ndarray
    parameters: np.ndarray
    covariance: np.ndarray
    inverse_covariance: np.ndarray
    chi2: np.ndarray
    ln_prior: np.ndarray
    loss: np.ndarray
    n_obs: np.ndarray
    status: np.ndarray
    n_iterations: np.ndarray

    def __len__(self) -> int:
        return len(self.source_id)

    def __repr__(self) -> str:
        n_good = int(np.sum(self.status == FitStatus.CONVERGED))
        return (
            f"<FitResult: {len(self)} stars, {n_good} converged, {', '.join(self.parameter_names)}>"
        )

    def __getitem__(self, name: str) -> np.ndarray:
        """Best-fit values of one parameter by name, shape (n_star,)."""
        return self.parameters[:, self._index(name)]

    @property
    def errors(self) -> np.ndarray:
        """Standard errors, shape (n_star, n_parameter)."""
        return np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2))

    def error(self, name: str) -> np.ndarray:
        """Standard error of one parameter by name, shape (n_star,)."""
        return self.errors[:, self._index(name)]

    @property
    def dof(self) -> np.ndarray:
        """Degrees of freedom, shape (n_star,)."""
        return self.n_obs - len(self.parameter_names)

    @property
    def theta(self) -> np.ndarray:
        """Parameters as the forward model takes them: (labels, ln E, ln varpi[, xi])."""
        theta = self.parameters.copy()
        first = self._index("extinction")
        theta[:, first : first + 2] = np.log(theta[:, first : first + 2])
        return theta

    def _index(self, name: str) -> int:
        if name not in self.parameter_names:
            raise KeyError(f"no parameter {name!r}; there are {', '.join(self.parameter_names)}")
        return self.parameter_names.index(name)

    @staticmethod
    def concatenate(parts: Sequence[FitResult]) -> FitResult:
        """Join results of the same model, in order."""
        first = parts[0]
        joined = {
            f.name: np.concatenate([getattr(part, f.name) for part in parts])
            for f in fields(FitResult)
            if f.name not in ("parameter_names", "absolute")
        }
        return FitResult(first.parameter_names, first.absolute, **joined)
