"""Fit many stars: starts, optimum and errors for each, chunk by chunk, on several workers."""

from __future__ import annotations

import warnings
from contextlib import nullcontext

import numpy as np
from array_api_compat import array_namespace
from joblib import Parallel, cpu_count, delayed
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from ..arrays import batches, with_arrays
from ..data.spectra import Spectra, drop_channels
from ..errors import InputError
from ..model import XPModel
from .engines import choose_engine
from .fisher import fisher_matrix, safe_inverse
from .result import FitResult, FitStatus
from .search import MAX_RESTARTS, Optima, search
from .starts import GAP, GridStarts, ProfileStarts, complete_guesses

N_STARTS = 16
"""Starts per star, at most, spread over the modes (see `xpfit.fit.search.ROUNDS`)."""

MAX_ITERATIONS = 100
"""Steps from each start."""

STARTS = {"profile": ProfileStarts, "grid": GridStarts}
"""Ways to find starts, by name."""

STARS_PER_CHUNK = 250
"""Stars handed to a worker at a time: 9 MB of whiteners for 66 values."""

STARS_PER_CHUNK_ON_GPU = 20_000
"""The same for a GPU, which needs many to be busy."""

STARS_PER_SEARCH = 64
"""Stars for which starts are looked for together: their tables stay in the caches."""

STARS_PER_SEARCH_ON_GPU = 2048

THREADS_PER_GPU = 2
"""One thread's stars are transferred while another's are computed with."""


class Fitter:
    """Fits stars with one model: prepared once, used for any number of spectra.

    Parameters
    ----------
    model : XPModel
    engine : {"auto", "numba", "array", "scipy"}
        See `xpfit.fit.engines.choose_engine`.
    device : {"cpu", "gpu"}
    single : bool
        Descend in single precision and finish in double (array engine).
    n_jobs : int
        Threads to work in, or processes for scipy; -1 for one per processor. A GPU has two threads
        take turns in transferring and computing.
    starts : {"profile", "grid"}
        How starts are found (see `xpfit.fit.starts`).
    n_starts : int
        Starts per star. Those that stay behind are given up on the way; the best end is kept.
    multistart : int, optional
        Follow this many starts to their end instead, and tell of second modes.
    max_iterations : int
        Steps from each start.
    model_covariance : bool
        Add the emulator's own error, if the model knows it, to each star's covariance.
    ignore_preparation : bool
        Fit data whose flux was prepared otherwise than the model's training data (truncated, or
        with another correction).
    ignore_correction : bool
        Deprecated: `ignore_preparation`.

    Attributes
    ----------
    settings : dict
        The options on which results depend, to be recorded with them.

    Raises
    ------
    InputError
        If an option is out of range, or an engine or device is not there.
    """

    def __init__(
        self,
        model: XPModel,
        *,
        engine: str = "auto",
        device: str = "cpu",
        single: bool = False,
        n_jobs: int = 1,
        starts: str = "profile",
        n_starts: int = N_STARTS,
        multistart: int | None = None,
        max_iterations: int = MAX_ITERATIONS,
        model_covariance: bool = True,
        ignore_preparation: bool = False,
        ignore_correction: bool = False,
    ):
        if n_jobs != -1 and n_jobs < 1:
            raise InputError(f"n_jobs must be at least 1, or -1 for all, got {n_jobs}")
        for name, value in (
            ("n_starts", n_starts),
            ("multistart", 1 if multistart is None else multistart),
            ("max_iterations", max_iterations),
        ):
            if value < 1:
                raise InputError(f"{name} must be at least 1, got {value}")
        if starts not in STARTS:
            raise InputError(f"starts must be one of {', '.join(STARTS)}, got {starts!r}")
        if ignore_correction:
            text = "ignore_correction is deprecated: use ignore_preparation"
            warnings.warn(text, DeprecationWarning, stacklevel=3)
            ignore_preparation = True
        self.model = model
        self.settings = {
            "device": device,
            "single": single,
            "starts": starts,
            "n_starts": n_starts,
            "multistart": multistart,
            "max_iterations": max_iterations,
            "model_covariance": model_covariance,
            "ignore_preparation": ignore_preparation,
        }
        covariance = model.covariance if model_covariance else None
        self.engine = choose_engine(model, covariance, engine, device, single)
        self.settings["engine"] = self.engine.name
        self.n_jobs = cpu_count() if n_jobs == -1 else n_jobs
        self.n_starts = n_starts if multistart is None else multistart
        self.multistart = multistart is not None
        self.gap = np.inf if self.multistart else GAP
        self.cut = not self.multistart and self.engine.can_pause
        self.max_iterations = max_iterations
        self.ignore_preparation = ignore_preparation
        self._starts = STARTS[starts](model)
        self._device = getattr(self.engine, "device", None)
        self._on_gpu = self._device is not None and self._device.name == "gpu"
        if self._on_gpu:
            self.n_jobs = THREADS_PER_GPU
        if self._device is not None:
            self._starts = with_arrays(self._starts, self._device.asarray)

    def fit(
        self,
        spectra: Spectra,
        progress: bool | tqdm = True,
        guesses: np.ndarray | None = None,
    ) -> FitResult:
        """Fit stellar type, extinction and parallax of every star.

        Parameters
        ----------
        spectra : Spectra
        progress : bool or tqdm
            Show a progress bar, or move one that is there already.
        guesses : ndarray, shape (n_star, n_guess, n_label), optional
            Labels to start from instead of looking for starts, such as
            `xpfit.companion.UncertainNetwork.guesses`. Those outside the trained range are moved
            to its edge; those that are NaN are left out, and a star with none is started as usual.

        Returns
        -------
        FitResult
            One row per star, in the order of `spectra`. A star with too little data, or one that
            does not converge, says so in its `status`; it never stops the others.

        Raises
        ------
        InputError
            If the spectra do not match the model's observation space, if parallaxes are given to a
            model that is not absolute, or if the flux was prepared otherwise than in training.

        Warns
        -----
        UserWarning
            If only the errors were prepared otherwise.
        """
        self._check(spectra)
        n_label = len(self.model.label_names)
        if guesses is not None and (
            guesses.ndim != 3 or guesses.shape[::2] != (len(spectra), n_label)
        ):
            raise InputError(
                f"guesses must have shape ({len(spectra)}, any, {n_label}), got {guesses.shape}"
            )
        result = FitResult.empty(self.model, spectra)
        chunks = self._chunks(len(spectra))
        prefer = "threads" if self.engine.thread_safe else "processes"
        workers = Parallel(min(self.n_jobs, len(chunks) or 1), prefer=prefer, return_as="generator")
        own = isinstance(progress, bool)
        bar = tqdm(total=len(spectra), unit="star", disable=not progress) if own else progress
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

    def _check(self, spectra: Spectra) -> None:
        """Refuse what cannot be fitted, with the reason."""
        model = self.model
        if not spectra.space.matches(model.space):
            raise InputError(
                f"these spectra are in {spectra.space!r}; the model was trained in "
                f"{model.space!r}: prepare the spectra in the model's space, on its wavelengths"
            )
        if not model.absolute and np.isfinite(spectra.parallax_err).any():
            raise InputError(
                "this model was trained without parallaxes (absolute = False): it knows the shapes "
                "of spectra, not luminosities, so an observed parallax cannot be compared with it; "
                "leave the parallax out (parallax_err = inf), or use a model trained with "
                "parallaxes"
            )
        differences = spectra.preparation.differences(model.preparation)
        if differences.flux and not self.ignore_preparation:
            raise InputError(
                "these spectra were prepared otherwise than the model's training data: "
                f"{'; '.join(differences.flux)}. Prepare them for the model (read_spectra(path, "
                "model=model), xpfit prepare --model), or pass ignore_preparation=True"
            )
        if differences.errors:
            warnings.warn(
                "the errors of these spectra were prepared otherwise than those of the model's "
                f"training data: {'; '.join(differences.errors)}",
                stacklevel=3,
            )

    def _chunks(self, n_star: int) -> list[slice]:
        """Chunks of stars, small enough for every worker to have some."""
        most = STARS_PER_CHUNK_ON_GPU if self._on_gpu else STARS_PER_CHUNK
        size = max(1, min(most, -(-n_star // self.n_jobs)))
        return batches(n_star, size)

    def _fit_chunk(self, spectra: Spectra, guesses: np.ndarray | None) -> FitResult:
        """Fit some stars in this worker."""
        rows = np.flatnonzero(_is_sound(spectra))
        some = drop_channels(_rows_of(spectra, rows), self.model.trained_channels)
        result = FitResult.empty(self.model, spectra)
        result.n_obs[rows] = some.n_obs
        enough = np.flatnonzero(_has_enough(some, len(self.model.parameter_names)))
        some, rows = _rows_of(some, enough), rows[enough]
        if not len(rows):
            return result
        stream = self._device.stream() if self._device is not None else nullcontext()
        with stream, np.errstate(all="ignore"):
            optima = self._search(some, None if guesses is None else guesses[rows])
        self._fill(result, rows, some, optima)
        return result

    def _search(self, spectra: Spectra, guesses: np.ndarray | None) -> Optima:
        """Optima of stars that can be fitted."""
        stars = self.engine.load(spectra)
        if guesses is None:
            starts = self._find_starts(stars.data, self.n_starts, self.gap)
        else:
            starts = self._complete(stars.data, guesses)
        return search(
            stars,
            starts,
            self.engine.lm_settings,
            max_iterations=self.max_iterations,
            cut=self.cut,
            second_modes=self.multistart,
            more_starts=lambda rows: self._more_starts(stars.data, rows),
        )

    def _find_starts(self, data, n_starts: int, gap: float) -> np.ndarray:
        """Starts of all stars, shape (n_star, n_starts, n_parameter)."""
        to_numpy = np.asarray if self._device is None else self._device.to_numpy
        together = STARS_PER_SEARCH_ON_GPU if self._on_gpu else STARS_PER_SEARCH
        parts = [
            to_numpy(self._starts.find(*(x[rows, ...] for x in data), n_starts, gap))
            for rows in batches(data[0].shape[0], together)
        ]
        return np.concatenate(parts)

    def _complete(self, data, guesses: np.ndarray) -> np.ndarray:
        """Starts from guessed labels; of stars without any, the first that is found otherwise."""
        low, high = self.model.label_ranges.T
        inside = np.clip(guesses, low, high)
        known = np.isfinite(inside).all(axis=2)
        to_numpy = np.asarray if self._device is None else self._device.to_numpy
        asarray = np.asarray if self._device is None else self._device.asarray
        starts = [
            to_numpy(complete_guesses(self._starts.forward, asarray(labels), *data[:2]))
            for labels in np.where(known[:, :, None], inside, low).transpose(1, 0, 2)
        ]
        starts = np.where(known[:, :, None], np.stack(starts, axis=1), np.nan)
        without = np.flatnonzero(~known.any(axis=1))
        if len(without):
            rows = asarray(without)
            some = [array_namespace(x).take(x, rows, axis=0) for x in data]
            starts[without, 0] = self._find_starts(some, 1, self.gap)[:, 0]
        return starts

    def _more_starts(self, data, rows: np.ndarray) -> np.ndarray:
        """Starts of some stars beyond those that they had."""
        if self._device is not None:
            rows = self._device.asarray(rows)
        some = [array_namespace(x).take(x, rows, axis=0) for x in data]
        return self._find_starts(some, self.n_starts + MAX_RESTARTS, np.inf)[:, self.n_starts :]

    def _fill(self, result: FitResult, rows, spectra: Spectra, optima: Optima) -> None:
        """Write the optima of some stars into a result, with uncertainties."""
        best, n_label = optima.best, self.model.forward.n_label
        linear = slice(n_label, n_label + 2)
        parameters = best.theta.copy()
        parameters[:, linear] = np.exp(parameters[:, linear])
        # Where the loss overflows everywhere, a start is all there is: no result.
        parameters[~np.isfinite(best.loss)] = np.nan
        result.parameters[rows] = parameters
        for name in ("chi2", "ln_prior", "loss"):
            getattr(result, name)[rows] = getattr(best, name)
        for name in (
            "n_iterations",
            "n_restarts",
            "gradient_norm",
            "min_hessian_eigenvalue",
            "second_mode",
        ):
            getattr(result, name)[rows] = getattr(optima, name)
        result.status[rows] = np.where(
            optima.converged, FitStatus.CONVERGED, FitStatus.NOT_CONVERGED
        )
        fisher = fisher_matrix(best.information, best.theta, spectra.parallax_err, n_label)
        finite = np.isfinite(fisher).all(axis=(1, 2))
        matrices = safe_inverse(fisher[finite])
        result.covariance[rows[finite]], result.inverse_covariance[rows[finite]] = matrices


def fit_spectra(
    model: XPModel, spectra: Spectra, *, progress: bool | tqdm = True, **options
) -> FitResult:
    """Fit stellar type, extinction and parallax of every star.

    Parameters
    ----------
    model : XPModel
    spectra : Spectra
    progress : bool or tqdm
        Show a progress bar, or move one that is there already.
    **options
        Those of `Fitter`, such as ``n_jobs`` or ``engine``.

    Returns
    -------
    FitResult
        One row per star, in the order of `spectra`. A star with too little data, or one that does
        not converge, says so in its `status`; it never stops the others.

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


def _rows_of(spectra: Spectra, rows: np.ndarray) -> Spectra:
    """Some of the stars; without copying if it is all of them."""
    return spectra if len(rows) == len(spectra) else spectra[rows]


def _is_sound(spectra: Spectra) -> np.ndarray:
    """Stars whose numbers are numbers; what readers make always is, what users make may not be."""
    axes = tuple(range(1, spectra.whitener.ndim))
    sound = np.isfinite(spectra.whitener).all(axis=axes) & np.isfinite(spectra.flux).all(axis=1)
    sound &= (spectra.flux_err > 0).all(axis=1)
    known = np.isfinite(spectra.parallax_err)
    parallax = np.isfinite(spectra.parallax) & (spectra.parallax_err > 0)
    return sound & ~np.isnan(spectra.parallax_err) & (~known | parallax)


def _has_enough(spectra: Spectra, n_parameter: int) -> np.ndarray:
    """Stars with as many values as parameters, and with any light at all."""
    whitener = spectra.whitener
    weighted = whitener.any(axis=1) if whitener.ndim == 3 else whitener != 0
    n_used = np.sum(weighted & np.isfinite(spectra.flux_err), axis=1)
    return (n_used >= n_parameter) & (spectra.flux > 0).any(axis=1)
