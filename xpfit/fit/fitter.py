"""Fit many stars: starts, optimum and errors for each, chunk by chunk, on several workers."""

from __future__ import annotations

import warnings
from dataclasses import fields, replace
from typing import Any

import numpy as np
from joblib import Parallel, cpu_count, delayed
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from ..arrays import batches, with_arrays
from ..data import Spectra
from ..errors import InputError
from ..model import XPModel
from ..model.luminosity import split_amplitude
from ..model.prior import FLAT
from .checks import check_spectra
from .data import FitData, fit_data, with_usable_parallaxes
from .distance import prior_slope, tension_of_fits
from .engines import choose_engine
from .fisher import fisher_matrix, safe_inverse
from .misfit import DOUBTFUL_TENSION, find_misfits, variance_factor
from .result import FitResult, FitStatus
from .search import MAX_RESTARTS, Optima, search
from .settings import FitSettings
from .starts import GAP, STARTS, complete_guesses

STARS_PER_CHUNK = 250
"""Stars that a worker fits at a time: 9 MB of whiteners for 66 values."""

STARS_PER_CHUNK_ON_GPU = 20_000
"""The same on a GPU, which is efficient only with many stars."""

STARS_PER_SEARCH = 64
"""Stars for which starts are searched together: few enough for the processor's caches."""

STARS_PER_SEARCH_ON_GPU = 2048

THREADS_PER_GPU = 2
"""The stars of one thread are transferred while those of the other are fitted."""


class Fitter:
    """Fits stars with one model: prepared once, used for any number of spectra.

    Parameters
    ----------
    model : XPModel
    settings : FitSettings, optional
    n_jobs : int
        Threads to work in, or processes for scipy; -1 for one per processor. On a GPU two threads
        take turns in transferring and computing.
    **options
        Fields of `FitSettings`, which take precedence over `settings`.

    Attributes
    ----------
    settings : FitSettings
        With the name of the engine that was chosen.

    Raises
    ------
    InputError
        If an option is out of range, or an engine or device is not available.
    """

    def __init__(
        self,
        model: XPModel,
        settings: FitSettings | None = None,
        *,
        n_jobs: int = 1,
        **options: Any,
    ):
        if "ignore_correction" in options:
            text = "ignore_correction is deprecated: use ignore_preparation"
            warnings.warn(text, FutureWarning, stacklevel=2)
            options["ignore_preparation"] = options.pop("ignore_correction")
        if n_jobs != -1 and n_jobs < 1:
            raise InputError(f"n_jobs must be at least 1, or -1 for all, got {n_jobs}")
        settings = replace(settings or FitSettings(), **options)
        self.model = model
        self.engine = choose_engine(model, settings.engine, settings.device, settings.single)
        self.settings = replace(settings, engine=self.engine.name)
        self._device = self.engine.device
        self._on_gpu = self._device.name == "gpu"
        n_jobs = cpu_count() if n_jobs == -1 else n_jobs
        self.n_jobs = THREADS_PER_GPU if self._on_gpu else n_jobs
        self._gap = GAP if settings.multistart is None else np.inf
        self._starts = with_arrays(STARTS[settings.starts](model), self._device.asarray)

    def data(self, spectra: Spectra) -> FitData:
        """Data and errors as compared with the model, in the engine's namespace.

        Parameters
        ----------
        spectra : Spectra

        Returns
        -------
        FitData
        """
        covariance = self.model.covariance if self.settings.model_covariance else None
        options: dict[str, Any] = {"asarray": self._device.asarray, "inflate": self.engine.inflate}
        return fit_data(self.model, spectra, covariance, **options)

    def fit(
        self, spectra: Spectra, progress: bool | tqdm = True, guesses: np.ndarray | None = None
    ) -> FitResult:
        """Fit stellar type, extinction and parallax of every star.

        Parameters
        ----------
        spectra : Spectra
        progress : bool or tqdm
            Show a progress bar, or update an existing one.
        guesses : ndarray, shape (n_star, n_guess, n_label), optional
            Labels to start from instead of a search for starts, such as
            `xpfit.companion.UncertainNetwork.guesses`. Those outside the trained range are moved
            to its edge; NaN are ignored, and a star without guesses is started as usual.

        Returns
        -------
        FitResult
            One row per star, in the order of `spectra`. A star with too little data, or one that
            does not converge, is marked in `status`; other stars are not affected.

        Raises
        ------
        InputError
            If the spectra do not match the model's observation space, or if the flux was not
            prepared as in training.

        Warns
        -----
        UserWarning
            If only the errors were prepared differently, or if there are parallaxes, which a model
            that is not absolute does not use.
        """
        check_spectra(self.model, spectra, self.settings)
        spectra = with_usable_parallaxes(self.model, spectra)
        n_label = len(self.model.label_names)
        if guesses is not None and (
            guesses.ndim != 3 or guesses.shape[::2] != (len(spectra), n_label)
        ):
            raise InputError(
                f"guesses must have shape ({len(spectra)}, any, {n_label}), got {guesses.shape}"
            )
        result = FitResult.empty(self.model, spectra)
        # Small enough for every worker to have some.
        most = STARS_PER_CHUNK_ON_GPU if self._on_gpu else STARS_PER_CHUNK
        chunks = batches(len(spectra), max(1, min(most, -(-len(spectra) // self.n_jobs))))
        prefer = "threads" if self.engine.thread_safe else "processes"
        workers = Parallel(min(self.n_jobs, len(chunks) or 1), prefer=prefer, return_as="generator")
        own = isinstance(progress, bool)
        bar: Any = tqdm(total=len(spectra), unit="star", disable=not progress) if own else progress
        try:
            # Vectors of 66 values are too short for the threads of BLAS; they would only contend.
            with threadpool_limits(1):
                parts = workers(
                    delayed(self._fit_chunk)(
                        spectra[rows], None if guesses is None else guesses[rows]
                    )
                    for rows in chunks
                )
                for rows, part in zip(chunks, parts, strict=True):
                    result.put(rows, part)
                    bar.update(len(part))
        finally:
            if own:
                bar.close()
        return result

    def _fit_chunk(self, spectra: Spectra, guesses: np.ndarray | None) -> FitResult:
        """Fit some stars in this worker."""
        result = FitResult.empty(self.model, spectra)
        kept = spectra.keep_channels(self.model.trained_channels)
        result.n_obs[:] = kept.n_obs
        # As many values as parameters, and some positive flux.
        n_used = np.sum(kept.whitener.has_weight & np.isfinite(kept.flux_err), axis=1)
        enough = n_used >= len(self.model.parameter_names)
        rows = np.flatnonzero(enough & (kept.flux > 0).any(axis=1))
        if not len(rows):
            return result
        if len(rows) < len(kept):
            kept, guesses = kept[rows], None if guesses is None else guesses[rows]
        with self._device.stream(), np.errstate(all="ignore"):
            data = self.data(kept)
            if guesses is None:
                starts = self._find_starts(data, self.settings.most_starts, self._gap)
            else:
                starts = self._complete(data, guesses)
            luminosity_err = self._luminosity_err(starts)
            data = replace(data, luminosity_err=self._device.asarray(luminosity_err))
            optima = self._search(data, starts)
            theta = self._device.asarray(optima.best.theta)
            misfits = find_misfits(data, self._starts.forward.flux(theta), self.model.space)
            result.band_pull[rows], result.emission[rows] = map(self._device.to_numpy, misfits)
            result.luminosity_err[rows] = luminosity_err
            self._fill(result, rows, kept, optima)
            result.parallax_misfit[rows] = self._parallax_misfit(data, kept, result.take(rows))
        return result

    def _parallax_misfit(self, data: FitData, spectra: Spectra, result: FitResult) -> np.ndarray:
        """By how much chi2 falls if the measured parallax is left out, (n_star,).

        Only where the linear estimate, which is too low where the fit has moved to another type of
        star, is doubtful; the descent starts from the best fit with the parallax.
        """
        misfit = np.where(np.isfinite(spectra.parallax_err), 0.0, np.nan)
        tension = np.abs(tension_of_fits(self.model, spectra, result))
        rows = np.flatnonzero((tension > DOUBTFUL_TENSION) & np.isfinite(result.loss))
        if not len(rows):
            return misfit
        alone = data[self._device.asarray(rows)].without_parallax()
        theta = result.take(rows).theta
        optima = search(
            self.engine.load(alone),
            theta[:, None],
            self.engine.lm_settings,
            max_iterations=self.settings.max_iterations,
            cut=False,
            more_starts=lambda failed: np.empty((len(failed), 0, theta.shape[1])),
        )
        # What a prior flat in the parallax adds is no misfit.
        moved = (theta - optima.best.theta)[:, self.model.forward.layout.parallax]
        fall = result.loss[rows] - optima.best.loss + 2.0 * prior_slope(self.model) * moved
        misfit[rows] = np.maximum(fall, 0.0)
        return misfit

    def _luminosity_err(self, starts: np.ndarray) -> np.ndarray:
        """Error of the emulator's ln luminosity for the types of the best starts, (n_star,).

        Not of the type at each step: an error that depended on the fitted labels would favour types
        of uncertain luminosity.
        """
        luminosity_error = self.model.luminosity_error
        if luminosity_error is None or not self.settings.model_covariance:
            return np.zeros(len(starts))
        exists = np.isfinite(starts[:, :, 0])
        best = starts[np.arange(len(starts)), np.argmax(exists, axis=1)]
        error: np.ndarray = luminosity_error(best[:, self.model.forward.layout.labels])
        return error

    def _search(self, data: FitData, starts: np.ndarray) -> Optima:
        """Optima of stars that can be fitted."""
        stars, most_starts = self.engine.load(data), self.settings.most_starts
        multistart = self.settings.multistart is not None
        return search(
            stars,
            starts,
            self.engine.lm_settings,
            max_iterations=self.settings.max_iterations,
            cut=not multistart and self.engine.can_pause,
            second_modes=multistart,
            more_starts=lambda rows: self._find_starts(
                data[self._device.asarray(rows)], most_starts + MAX_RESTARTS, np.inf
            )[:, most_starts:],
        )

    def _find_starts(self, data: FitData, n_starts: int, gap: float) -> np.ndarray:
        """Starts of all stars, shape (n_star, n_starts, n_parameter)."""
        size = STARS_PER_SEARCH_ON_GPU if self._on_gpu else STARS_PER_SEARCH
        parts = []
        for rows in batches(len(data), size):
            # Always as many stars at a time, the last one repeated: matrix products of other
            # shapes are rounded differently, and a star's result would depend on its neighbours.
            padded = np.minimum(np.arange(rows.start, rows.start + size), len(data) - 1)
            found = self._starts.find(data[self._device.asarray(padded)], n_starts, gap)
            parts.append(self._device.to_numpy(found)[: rows.stop - rows.start])
        return np.concatenate(parts)

    def _complete(self, data: FitData, guesses: np.ndarray) -> np.ndarray:
        """Starts from guessed labels; for stars without any, the best of the usual search."""
        low, high = self.model.label_ranges.T
        inside = np.clip(guesses, low, high)
        known = np.isfinite(inside).all(axis=2)
        device, forward = self._device, self._starts.forward
        completed = [
            device.to_numpy(complete_guesses(forward, device.asarray(labels), data))
            for labels in np.where(known[:, :, None], inside, low).transpose(1, 0, 2)
        ]
        starts = np.where(known[:, :, None], np.stack(completed, axis=1), np.nan)
        without = np.flatnonzero(~known.any(axis=1))
        if len(without):
            remaining = data[device.asarray(without)]
            starts[without, 0] = self._find_starts(remaining, 1, self._gap)[:, 0]
        return starts

    def _fill(self, result: FitResult, rows: np.ndarray, spectra: Spectra, optima: Optima) -> None:
        """Write the optima of some stars into a result, with uncertainties."""
        best, layout = optima.best, self.model.forward.layout
        # Where the loss overflows everywhere, only the start remains: no result.
        found = np.isfinite(best.loss)[:, None]
        theta, column = best.theta.copy(), layout.parallax
        measured = spectra.parallax, spectra.parallax_err, result.luminosity_err[rows]
        flat = self.model.parallax_prior == FLAT
        theta[:, column], _ = split_amplitude(theta[:, column], *measured, flat)
        result.luminosity_excess[rows] = 2.0 * (best.theta - theta)[:, column]
        result.parameters[rows] = np.where(found, layout.to_linear(theta), np.nan)
        values = {f.name: getattr(optima, f.name) for f in fields(optima)}
        values |= {name: getattr(best, name) for name in ("chi2", "ln_prior", "loss")}
        for name in values.keys() - {"best", "converged"}:
            getattr(result, name)[rows] = values[name]
        result.status[rows] = np.where(
            optima.converged, FitStatus.CONVERGED, FitStatus.NOT_CONVERGED
        )
        information = best.information / variance_factor(best.chi2, result.dof[rows])[:, None, None]
        fisher = fisher_matrix(
            information, theta, spectra.parallax_err, layout, result.luminosity_err[rows]
        )
        finite = np.isfinite(fisher).all(axis=(1, 2))
        matrices = safe_inverse(fisher[finite])
        result.covariance[rows[finite]], result.inverse_covariance[rows[finite]] = matrices


def fit_spectra(
    model: XPModel, spectra: Spectra, *, progress: bool | tqdm = True, **options: Any
) -> FitResult:
    """Fit stellar type, extinction and parallax of every star.

    Parameters
    ----------
    model : XPModel
    spectra : Spectra
    progress : bool or tqdm
        Show a progress bar, or update an existing one.
    **options
        Those of `Fitter`, such as ``n_jobs`` or ``engine``.

    Returns
    -------
    FitResult
        One row per star, in the order of `spectra`. A star with too little data, or one that does
        not converge, is marked in `status`; other stars are not affected.

    Raises
    ------
    InputError
        As `Fitter` and `Fitter.fit` do.

    Notes
    -----
    Maximum of the posterior of ZGR23 (eq. 17); uncertainties of eqs. 21-23. The result does not
    depend on the number of workers.
    """
    return Fitter(model, **options).fit(spectra, progress)
