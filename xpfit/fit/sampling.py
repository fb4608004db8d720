"""Samples of one star's posterior by emcee, to check the optimum and the errors of a fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ..data import Spectra
from ..errors import InputError
from ..model import XPModel
from ..model.luminosity import split_amplitude
from ..model.prior import FLAT
from .data import fit_data
from .fitter import Fitter
from .objective import Objective
from .result import FitResult, FitStatus

WALKERS_PER_PARAMETER = 8
"""Walkers of the ensemble: four times as many as emcee asks for at least."""

MIN_AUTOCORRELATION_TIMES = 50
"""Length of a chain, in autocorrelation times, above which emcee trusts their estimate."""

MAX_CHANGE = 0.03
"""Largest relative change of the autocorrelation times since the previous check."""

STEPS_BETWEEN_CHECKS = 250

KEEP_EVERY = 5
"""One step in so many is kept: storing takes time, and successive steps are correlated."""

MAX_STEPS = 20_000


@dataclass(frozen=True)
class PosteriorSample:
    """Samples of the posterior of one star, and the optimum.

    Attributes
    ----------
    source_id : int
    parameter_names : tuple of str
    chain : ndarray, shape (n_step, n_walker, n_parameter)
        Linear parameters (kK, dex, mag, mas), without the burn-in, thinned by half the
        autocorrelation time.
    best, error : ndarray, shape (n_parameter,)
        Maximum a posteriori, and standard errors from the Fisher matrix.
    covariance : ndarray, shape (n_parameter, n_parameter)
        From the Fisher matrix.
    autocorrelation : ndarray, shape (n_parameter,)
        Autocorrelation times in steps.
    n_steps : int
        Steps taken, burn-in included.
    converged : bool
        Whether the autocorrelation criterion holds.
    acceptance : float
        Fraction of proposals accepted.
    """

    source_id: int
    parameter_names: tuple[str, ...]
    chain: np.ndarray
    best: np.ndarray
    error: np.ndarray
    covariance: np.ndarray
    autocorrelation: np.ndarray
    n_steps: int
    converged: bool
    acceptance: float

    @property
    def flat(self) -> np.ndarray:
        """All samples, shape (n_sample, n_parameter)."""
        return self.chain.reshape(-1, self.chain.shape[2])

    def to_arviz(self) -> Any:
        """The samples as ArviZ's InferenceData (needs arviz)."""
        import arviz

        draws = np.swapaxes(self.chain, 0, 1)
        posterior = {name: draws[:, :, i] for i, name in enumerate(self.parameter_names)}
        return arviz.from_dict(posterior=posterior)


def sample_posterior(
    model: XPModel,
    spectra: Spectra,
    rng: np.random.Generator,
    *,
    result: FitResult | None = None,
    model_covariance: bool = True,
    max_steps: int = MAX_STEPS,
    backend: Any = None,
    progress: bool = True,
) -> PosteriorSample:
    """Sample the posterior of one star until emcee's autocorrelation criterion holds.

    Parameters
    ----------
    model : XPModel
    spectra : Spectra
        Of one star.
    rng : numpy.random.Generator
    result : FitResult, optional
        Its fit, with the same `model_covariance`; by default it is fitted here.
    model_covariance : bool
        Add the emulator's own error, as in the fit.
    max_steps : int
        Largest number of steps.
    backend : xpfit.fit.chains.ChainFile or emcee's HDFBackend, optional
        Keeps the chain on disk. Sampling resumes from the steps that it holds.
    progress : bool
        Show a progress bar.

    Returns
    -------
    PosteriorSample

    Raises
    ------
    InputError
        If there is not exactly one star, it has no fit to start from, or `max_steps` is too small.

    Notes
    -----
    The density is that which fits maximise, exp(-loss / 2) of ZGR23's eq. 19, in
    (labels, ln E, ln varpi[, xi]). Walkers start from the Gaussian that the exact Hessian gives at
    the optimum: the Fisher ellipse with the prior and the curvature of the model.
    """
    import emcee

    if max_steps < 2 * KEEP_EVERY:
        raise InputError(f"max_steps must be at least {2 * KEEP_EVERY}, got {max_steps}")
    if len(spectra) != 1:
        raise InputError(f"one star is sampled at a time, got {len(spectra)}")
    if result is None:
        result = Fitter(model, model_covariance=model_covariance).fit(spectra, progress=False)
    if result.status[0] == FitStatus.NOT_FITTED or not np.isfinite(result.theta).all():
        raise InputError(f"source {spectra.source_id[0]} has no fit to start from")
    covariance = model.covariance if model_covariance else None
    data = fit_data(model, spectra, covariance, result.luminosity_err)
    objective = Objective(model.forward, model.prior, model.absolute, data, model.parallax_prior)
    start = _start(objective, result.theta[0], rng)
    if backend is not None and backend.initialized and backend.shape != start.shape:
        raise InputError(
            f"source {spectra.source_id[0]}: the chain has {backend.shape} walkers and parameters, "
            f"where {start.shape} are expected; remove it to sample anew"
        )
    sampler = emcee.EnsembleSampler(
        *start.shape,
        lambda theta: -0.5 * objective.loss(theta),
        moves=[(emcee.moves.DEMove(), 0.7), (emcee.moves.DESnookerMove(), 0.1),
               (emcee.moves.StretchMove(), 0.2)],
        backend=backend,
        vectorize=True,
    )  # fmt: skip
    # Also drawn if it is not needed: what is drawn later is the same in a chain that is resumed.
    seed = np.random.RandomState(rng.integers(2**32)).get_state()
    state = None if sampler.backend.iteration else emcee.State(start, random_state=seed)
    tau, converged = _run(sampler, state, max_steps, progress)
    known = tau[np.isfinite(tau)]
    longest = float(known.max()) if len(known) else 1.0
    n_kept = sampler.backend.iteration
    burn_in = min(int(5 * longest / KEEP_EVERY), n_kept // 2)
    thin = max(1, int(0.5 * longest / KEEP_EVERY))
    chain = sampler.get_chain(discard=burn_in, thin=thin)
    _draw_parallaxes(chain, objective, rng)
    return PosteriorSample(
        source_id=int(spectra.source_id[0]),
        parameter_names=model.parameter_names,
        chain=model.forward.layout.to_linear(chain),
        best=result.parameters[0],
        error=result.errors[0],
        covariance=result.covariance[0],
        autocorrelation=tau,
        n_steps=KEEP_EVERY * n_kept,
        converged=converged,
        acceptance=float(np.mean(sampler.acceptance_fraction)),
    )


def _draw_parallaxes(chain: np.ndarray, objective: Objective, rng: np.random.Generator) -> None:
    """Draw ln varpi for each sampled amplitude, in place, where the luminosity is uncertain."""
    data, column = objective.data, objective.forward.layout.parallax
    amplitude = chain[:, :, column].ravel()
    parallax, parallax_err, luminosity_err = (
        np.broadcast_to(x, amplitude.shape)
        for x in (data.parallax, data.parallax_err, data.luminosity_err)
    )
    flat = objective.parallax_prior == FLAT
    centre, error = split_amplitude(amplitude, parallax, parallax_err, luminosity_err, flat)
    drawn = centre + error * rng.standard_normal(amplitude.shape)
    chain[:, :, column] = drawn.reshape(chain.shape[:2])


def _start(objective: Objective, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Walkers about the optimum, shape (n_walker, n_parameter)."""
    hessian = 0.5 * objective.evaluate(theta[None]).hessian[0]
    values, vectors = np.linalg.eigh(hessian)
    # A direction of small or negative curvature gets unit spread.
    spread = vectors / np.sqrt(np.maximum(values, 1.0))
    n_walker, walkers = WALKERS_PER_PARAMETER * len(theta), np.empty((0, len(theta)))
    shrink = 1.0
    while len(walkers) < n_walker:
        drawn = theta + shrink * rng.standard_normal((n_walker, len(theta))) @ spread.T
        with np.errstate(all="ignore"):
            walkers = np.concatenate([walkers, drawn[np.isfinite(objective.loss(drawn))]])
        shrink *= 0.7
    return walkers[:n_walker]


def _run(sampler: Any, start: Any, max_steps: int, progress: bool) -> tuple[np.ndarray, bool]:
    """Sample until the autocorrelation times have converged, or up to `max_steps`."""
    done = KEEP_EVERY * sampler.backend.iteration
    before = tau = _autocorrelation(sampler) if done else np.full(sampler.ndim, np.inf)
    converged = False
    with tqdm(total=max_steps, initial=done, unit="step", disable=not progress) as bar:
        while done + KEEP_EVERY <= max_steps and not converged:
            n_kept = min(STEPS_BETWEEN_CHECKS, max_steps - done) // KEEP_EVERY
            with np.errstate(all="ignore"):
                sampler.run_mcmc(start, n_kept, thin_by=KEEP_EVERY, skip_initial_state_check=True)
            start = None
            if hasattr(sampler.backend, "save"):
                sampler.backend.save()
            done = KEEP_EVERY * sampler.backend.iteration
            bar.update(KEEP_EVERY * n_kept)
            tau = _autocorrelation(sampler)
            long = MIN_AUTOCORRELATION_TIMES * tau < done
            converged = bool(np.all(long & (np.abs(before - tau) < MAX_CHANGE * tau)))
            before = tau
    return tau, converged


def _autocorrelation(sampler: Any) -> Any:
    """Autocorrelation times in steps, shape (n_parameter,)."""
    return KEEP_EVERY * sampler.get_autocorr_time(tol=0, quiet=True)
