"""What a fit returns."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np

from ..arrays import Array
from ..data import Spectra
from ..model import XPModel
from ..quantities import Layout

Rows: TypeAlias = np.ndarray | slice | list[int]
"""Which stars: indices, a mask or a slice."""


class FitStatus(IntEnum):
    """How the fit of a star ended."""

    CONVERGED = 0
    NOT_CONVERGED = 1
    """The optimiser stopped before the loss was minimal: the parameters are unreliable."""
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
        Whether `parallax` is a parallax. If not, it is the square root of the amplitude, in the
        gauge of `xpfit.model.gauge`.
    source_id : ndarray of int64, shape (n_star,)
    parameters : ndarray, shape (n_star, n_parameter)
        Linear, in kK, dex, mag, mas.
    covariance, inverse_covariance : ndarray, shape (n_star, n_parameter, n_parameter)
        From the Fisher matrix of flux and parallax, without the prior. Where chi2 says that the
        model is wrong, that of the flux is divided by `xpfit.fit.misfit.variance_factor`.
    chi2, ln_prior, loss : ndarray, shape (n_star,)
        Of the best fit; `loss` is -2 ln posterior (ZGR23, eq. 19).
    n_obs : ndarray of int, shape (n_star,)
        Values that carried weight.
    status : ndarray of int, shape (n_star,)
        `FitStatus`.
    n_iterations : ndarray of int, shape (n_star,)
        Of the optimiser, over all starts.
    n_restarts : ndarray of int, shape (n_star,)
        Additional starts, used because the star had not converged.
    gradient_norm, min_hessian_eigenvalue : ndarray, shape (n_star,)
        Of the loss at the best fit, exact, in standardised parameters.
    luminosity_err : ndarray, shape (n_star,)
        Standard error of the emulator's ln luminosity for the type of the star; zero where it was
        treated as exact.
    luminosity_excess : ndarray, shape (n_star,)
        delta: by how much ln luminosity, at the fitted parallax, is above the emulator's for the
        fitted type; zero without an observed parallax.
    band_pull : ndarray, shape (n_star,)
        How many sigma the photometric band that fits worst is above the fit, given all the rest of
        the spectrum (see `xpfit.fit.misfit`); NaN without photometry.
    emission : ndarray, shape (n_star,)
        Significance of the strongest emission line in the residuals, relative to that from which a
        line counts (`xpfit.fit.misfit.EMISSION_LINES`); NaN where none was observed.
    parallax_misfit : ndarray, shape (n_star,)
        By how much chi2 (with the prior) falls if the measured parallax is left out: the square of
        its tension in sigma. Zero where the linear estimate (`xpfit.fit.distance`) is below
        `xpfit.fit.misfit.DOUBTFUL_TENSION`; NaN without a parallax.
    second_mode : ndarray, shape (n_star,)
        How much lower ln posterior is at the second best mode; NaN where none was found, or none
        was searched for (see `multistart` of `xpfit.fit.Fitter`).
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
    n_restarts: np.ndarray
    gradient_norm: np.ndarray
    min_hessian_eigenvalue: np.ndarray
    second_mode: np.ndarray
    luminosity_err: np.ndarray
    luminosity_excess: np.ndarray
    band_pull: np.ndarray
    emission: np.ndarray
    parallax_misfit: np.ndarray

    @classmethod
    def empty(cls, model: XPModel, spectra: Spectra) -> FitResult:
        """Result of stars that have not been fitted yet."""
        n_star, n_parameter = len(spectra), len(model.parameter_names)
        square = (n_parameter, n_parameter)
        shapes: dict[str, tuple[int, ...]] = {
            "parameters": square[:1], "covariance": square, "inverse_covariance": square
        }  # fmt: skip
        values: dict[str, Any] = {
            f.name: np.full((n_star, *shapes.get(f.name, ())), np.nan) for f in fields(cls)
        }
        values |= {name: np.zeros(n_star, np.int32) for name in ("n_iterations", "n_restarts")}
        values |= {name: np.zeros(n_star) for name in ("luminosity_err", "luminosity_excess")}
        values["status"] = np.full(n_star, FitStatus.NOT_FITTED, dtype=np.int16)
        values |= {"parameter_names": model.parameter_names, "absolute": model.absolute}
        return cls(**{**values, "source_id": spectra.source_id, "n_obs": spectra.n_obs})

    def __len__(self) -> int:
        return len(self.source_id)

    def __repr__(self) -> str:
        n_good = int(np.sum(self.status == FitStatus.CONVERGED))
        return (
            f"<FitResult: {len(self)} stars, {n_good} converged, {', '.join(self.parameter_names)}>"
        )

    def __getitem__(self, name: str) -> Array:
        """Best-fit values of one parameter by name, shape (n_star,)."""
        return self.parameters[:, self._index(name)]

    @property
    def errors(self) -> Array:
        """Standard errors, shape (n_star, n_parameter)."""
        return np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2))

    def error(self, name: str) -> Array:
        """Standard error of one parameter by name, shape (n_star,)."""
        return self.errors[:, self._index(name)]

    @property
    def correlation(self) -> Array:
        """Correlation matrices of the errors, shape (n_star, n_parameter, n_parameter)."""
        errors = self.errors
        return self.covariance / (errors[:, :, None] * errors[:, None, :])

    @property
    def dof(self) -> Array:
        """Degrees of freedom, shape (n_star,)."""
        return self.n_obs - len(self.parameter_names)

    @property
    def theta(self) -> Array:
        """Parameters as the forward model takes them: (labels, ln E, ln varpi[, xi]).

        Half of `luminosity_excess` is added to ln varpi: they predict the flux of the star.
        """
        layout = Layout(self._index("extinction"), "xi" in self.parameter_names)
        theta = layout.to_theta(self.parameters)
        theta[:, layout.parallax] += 0.5 * self.luminosity_excess
        return theta

    def _index(self, name: str) -> int:
        if name not in self.parameter_names:
            raise KeyError(f"no parameter {name!r}; there are {', '.join(self.parameter_names)}")
        return self.parameter_names.index(name)

    def take(self, rows: Rows) -> FitResult:
        """Results of some stars, as a new `FitResult`."""
        return replace(self, **{name: values[rows] for name, values in self._per_star().items()})

    def put(self, rows: Rows, part: FitResult) -> None:
        """Overwrite the results of some stars, in place."""
        for name, values in part._per_star().items():
            if name != "source_id":
                getattr(self, name)[rows] = values

    def _per_star(self) -> dict[str, Any]:
        """Arrays with one element or row per star, by name."""
        return {k: v for k, v in vars(self).items() if k not in ("parameter_names", "absolute")}
