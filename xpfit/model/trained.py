"""`XPModel`: a trained forward model with its prior and its provenance."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..arrays import Array
from ..constants import REFERENCE_PARALLAX
from ..data import ObservationSpace, Preparation, Spectra
from ..errors import InputError
from .covariance import ModelCovariance
from .extinction import r_v_of_curve
from .forward import ForwardModel
from .gauge import remove_luminosity
from .luminosity import LuminosityError
from .prior import FLAT, PARALLAX_PRIORS, GaussianMixture

SHAPES_OF = "shapes_of"
"""Key in `training` of a model without luminosities: fingerprint of the one that had them."""

OF_LUMINOSITIES = "solar_type/"
"""Beginning of the names of diagnostics that rest on parallaxes."""


@dataclass
class XPModel:
    """A trained model of XP spectra.

    Parameters
    ----------
    forward : ForwardModel
        Network and extinction curve.
    prior : GaussianMixture
        Prior on stellar type.
    trained_channels : ndarray of bool, shape (n_obs,)
        Channels that the training data constrained; the others carry no weight in a fit.
    label_names : tuple of str
        Names of the stellar type's labels, such as ``("teff", "feh", "logg")``.
    label_ranges : ndarray, shape (n_label, 2)
        Lowest and highest label trained on.
    absolute : bool
        Whether the model predicts luminosities. One trained without parallaxes predicts only the
        shapes of spectra: its amplitude gauge is that of `xpfit.model.gauge`, and it infers no
        parallax.
    ln_prior_threshold : float
        ln p above which 99.9 % of the prior's mass lies.
    preparation : Preparation
        How the training data were prepared; data to be fitted must be prepared in the same way. A
        mapping is the flat record of it.
    training : dict
        Recipe, seed and outcome of the training.
    source_ids : ndarray of int64, shape (n_star,)
        Stars trained on.
    clean_flags : ndarray of int16, shape (n_star,)
        Why each of them was dropped as an outlier (`xpfit.train.cleaning`); zero if it was kept.
    covariance : ModelCovariance, optional
        Of the emulator's own error; without it, fits treat the emulator as exact.
    diagnostics : dict of str to ndarray
        Quantities of the training stars, for figures (see `xpfit.train.outcome`).
    parallax_prior : str
        One of `xpfit.model.prior.PARALLAX_PRIORS`; of absolute models only.

    Raises
    ------
    InputError
        If there is no such prior.
    """

    forward: ForwardModel
    prior: GaussianMixture
    trained_channels: np.ndarray
    label_names: tuple[str, ...]
    label_ranges: np.ndarray
    absolute: bool
    ln_prior_threshold: float
    preparation: Preparation = field(default_factory=Preparation)
    training: dict[str, Any] = field(default_factory=dict)
    source_ids: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    clean_flags: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int16))
    covariance: ModelCovariance | None = None
    diagnostics: dict[str, np.ndarray] = field(default_factory=dict)
    parallax_prior: str = FLAT

    def __post_init__(self) -> None:
        if self.parallax_prior not in PARALLAX_PRIORS:
            raise InputError(
                f"parallax_prior must be one of {', '.join(PARALLAX_PRIORS)}, got "
                f"{self.parallax_prior!r}"
            )
        self.preparation = Preparation.of(self.preparation)

    def __repr__(self) -> str:
        kind = "absolute" if self.absolute else "shapes only"
        return (
            f"<XPModel: {', '.join(self.label_names)} -> {self.space!r}, {kind}, "
            f"trained on {len(self.source_ids)} stars>"
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that fits depend on, in hexadecimal digits."""
        from .store import fingerprint

        return fingerprint(self)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Of this model, and of the absolute one whose shapes it has, if it is one's."""
        origin = self.training.get(SHAPES_OF)
        return (self.fingerprint, *([origin] if origin else []))

    @property
    def space(self) -> ObservationSpace:
        """What the data vector is."""
        return self.forward.space

    @property
    def luminosity_error(self) -> LuminosityError | None:
        """Error of the emulator's luminosity, if the model has one."""
        return self.covariance.luminosity if self.covariance is not None else None

    @property
    def wavelength(self) -> np.ndarray:
        """Wavelengths in nm of the grid that the emulator works on, shape (n_grid,)."""
        return self.space.wavelength

    @property
    def trained_grid(self) -> Array:
        """Grid points that the training data constrained, bool, shape (n_grid,)."""
        return self.space.grid_channels(self.trained_channels) & self.space.covered

    @property
    def correction(self) -> str:
        """Flux correction that the training data went through, or ``"none"``."""
        return self.preparation.flux_correction

    @property
    def release(self) -> str:
        """Gaia's data release of the training data: a name in `xpfit.releases.RELEASES`."""
        return self.preparation.release

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the fitted parameters: the labels, `extinction`, `parallax`, and `xi` if any."""
        return self.forward.layout.names(self.label_names)

    def predict(
        self,
        labels: np.ndarray,
        extinction: np.ndarray | float = 0.0,
        parallax: np.ndarray | float = REFERENCE_PARALLAX,
        *,
        xi: np.ndarray | float = 0.0,
        extrapolate: bool = False,
    ) -> np.ndarray:
        """Flux of stars of given types (ZGR23, eq. 1).

        Parameters
        ----------
        labels : array_like, shape (n_star, n_label)
            In the order of `label_names`; `teff` in kK.
        extinction : array_like, shape (n_star,), optional
            mag.
        parallax : array_like, shape (n_star,), optional
            mas. For a model that is not absolute: the square root of the amplitude.
        xi : array_like, shape (n_star,), optional
            Variation of the extinction curve, in units of its standard deviation, for models whose
            curve varies.
        extrapolate : bool
            Allow labels outside the range trained on.

        Returns
        -------
        ndarray, shape (n_star, n_obs)
            1e-18 W m-2 nm-1 (coefficients: photo-electrons per second); NaN in channels that were
            not trained.

        Raises
        ------
        InputError
            If labels lie outside `label_ranges`, extinction is negative, or parallax not positive.
        """
        labels = np.atleast_2d(np.asarray(labels, dtype=float))
        self._check_labels(labels, extrapolate)
        extinction, parallax, xi = (
            np.broadcast_to(np.asarray(x, dtype=float), len(labels))
            for x in (extinction, parallax, xi)
        )
        if np.any(xi != 0) and not self.forward.curve_varies:
            raise InputError("this model has one extinction curve for all stars: xi must be zero")
        if np.any(~(extinction >= 0)) or np.any(~(parallax > 0)):
            raise InputError("extinction must not be negative, and parallax must be positive")
        layout = self.forward.layout
        linear = np.column_stack([labels, extinction, parallax, xi])[:, : layout.size]
        theta = layout.to_theta(linear)
        return np.where(self.trained_channels, self.forward.flux(theta), np.nan)

    def shapes_only(self) -> XPModel:
        """The model without luminosities: each star's amplitude is free, and parallaxes are unused.

        Returns
        -------
        XPModel
            A copy with `absolute` False, in the amplitude gauge of `xpfit.model.gauge`; the model
            itself if it has no luminosities. Its extinction curve is the same.
        """
        if not self.absolute:
            return self
        forward = replace(self.forward, parameters=self.forward.parameters.copy())
        remove_luminosity(forward, self.space.grid_channels(self.trained_channels))
        known = self.covariance
        # Of shapes: without the error of the luminosity.
        covariance = known and ModelCovariance(known.loadings, known.diagonal)
        return replace(
            self,
            forward=forward,
            absolute=False,
            covariance=covariance,
            training={**self.training, SHAPES_OF: self.fingerprint},
            diagnostics={
                name: values
                for name, values in self.diagnostics.items()
                if not name.startswith(OF_LUMINOSITIES)
            },
        )

    def r_v(self, xi: np.ndarray) -> np.ndarray:
        """R(V) of the CCM89 curves closest to this model's at given xi.

        Parameters
        ----------
        xi : array_like, shape (n_star,)

        Returns
        -------
        ndarray, shape (n_star,)
            By shape alone, over the trained part of 400-1000 nm.

        Raises
        ------
        InputError
            If the model has one curve for all stars.
        """
        if not self.forward.curve_varies:
            raise InputError("this model has one extinction curve for all stars, hence no xi")
        optical = (self.wavelength > 400.0) & (self.wavelength < 1000.0) & self.trained_grid
        xi = np.asarray(xi, dtype=float)
        curve = np.exp(self.forward.ln_curve + xi[:, None] * self.forward.variation)
        return r_v_of_curve(self.wavelength[optical], curve[:, optical])

    def _check_labels(self, labels: np.ndarray, extrapolate: bool) -> None:
        if labels.shape[1] != len(self.label_names):
            raise InputError(
                f"labels have shape {labels.shape}; expected one column for each of "
                f"{', '.join(self.label_names)}"
            )
        outside = ~self.in_range(labels)
        if extrapolate or not outside.any():
            return
        row, column = np.argwhere(outside)[0]
        low, high = self.label_ranges[column]
        raise InputError(
            f"star {row}: {self.label_names[column]} = {labels[row, column]:g} is outside the "
            f"trained range {low:.3g} .. {high:.3g} (teff in kK); pass extrapolate=True to allow it"
        )

    def in_range(self, labels: np.ndarray) -> np.ndarray:
        """Which labels lie in the trained range, shape (n_star, n_label)."""
        return (labels >= self.label_ranges[:, 0]) & (labels <= self.label_ranges[:, 1])

    def fit(self, spectra: Spectra, **options: Any) -> Any:
        """Fit stars: `xpfit.fit.fit_spectra` with this model.

        Parameters
        ----------
        spectra : Spectra
        **options
            Those of `xpfit.fit.fit_spectra`, such as ``n_jobs``.

        Returns
        -------
        xpfit.fit.FitResult
        """
        import xpfit

        return xpfit.fit_spectra(self, spectra, **options)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the model to one HDF5 file (see `xpfit.model.store`)."""
        from .store import save_model

        save_model(self, path, overwrite=overwrite)
