"""Fit many stars: starts, MAP and Fisher errors for each, on several processes."""

from __future__ import annotations

import warnings

import numpy as np
from joblib import Parallel, cpu_count, delayed
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from ..errors import InputError
from ..model import XPModel
from ..model.residuals import ModelCovariance, with_model_covariance
from ..spectra import Spectra, drop_channels
from .fisher import fisher_matrix, safe_inverse
from .map import Optimum, maximise_posterior
from .objective import Objective
from .result import FitResult, FitStatus
from .start import StartGrid

N_STARTS = 8
"""Starts per star, spread over the modes that the grid shows.

Of 800 real stars, 2.3 % ended above the best of 24 starts with 4, 1.1 % with 6, 0.25 % with 8.
"""

MAX_ITERATIONS = 100
"""Iterations of the optimiser from each start."""

STARS_PER_TASK = 100
"""Stars handed to a process at a time."""


def fit_spectra(
    model: XPModel,
    spectra: Spectra,
    *,
    n_processes: int = 1,
    n_starts: int = N_STARTS,
    max_iterations: int = MAX_ITERATIONS,
    progress: bool | tqdm = True,
    ignore_correction: bool = False,
    model_covariance: bool = True,
) -> FitResult:
    """Fit stellar type, extinction and parallax of every star.

    Parameters
    ----------
    model : XPModel
    spectra : Spectra
    n_processes : int
        Processes to work in; -1 for one per processor.
    n_starts : int
        Grid starts to descend from; the best end is kept.
    max_iterations : int
        Of the optimiser, from each start.
    progress : bool or tqdm
        Show a progress bar, or move one that is there already.
    ignore_correction : bool
        Fit data whose flux was corrected otherwise than the model's training data.
    model_covariance : bool
        Add the emulator's own error, if the model knows it, to each star's covariance.

    Returns
    -------
    FitResult
        One row per star, in the order of `spectra`. A star with too little data, or one that does
        not converge, says so in its `status`; it never stops the others.

    Raises
    ------
    InputError
        If the spectra do not match the model's observation space, if parallaxes are given to a
        model that is not absolute, if the flux was corrected otherwise than in training, or if an
        option is out of range.

    Notes
    -----
    Maximum of the posterior of ZGR23 (eq. 17); uncertainties of eqs. 21-23. The result does not
    depend on the number of processes.
    """
    _check(model, spectra, n_processes, n_starts, max_iterations)
    if spectra.correction != model.correction and not ignore_correction:
        raise InputError(
            f"the flux correction of these spectra is {spectra.correction!r}, that of the model's "
            f"training data {model.correction!r}: prepare them alike, or pass ignore_correction"
        )
    spectra = drop_channels(spectra, model.trained_channels)
    tasks = [spectra[i : i + STARS_PER_TASK] for i in range(0, len(spectra), STARS_PER_TASK)]
    if not tasks:
        tasks = [spectra]
    n_jobs = min(cpu_count() if n_processes == -1 else n_processes, len(tasks))
    covariance = model.covariance if model_covariance else None
    work = (delayed(_fit_task)(model, task, covariance, n_starts, max_iterations) for task in tasks)
    own = isinstance(progress, bool)
    bar = tqdm(total=len(spectra), unit="star", disable=not progress) if own else progress
    parts = []
    try:
        for part in Parallel(n_jobs=n_jobs, return_as="generator")(work):
            parts.append(part)
            bar.update(len(part))
    finally:
        if own:
            bar.close()
    return FitResult.concatenate(parts)


def _check(model, spectra, n_processes, n_starts, max_iterations) -> None:
    """Refuse what cannot be fitted, with the reason."""
    if not spectra.space.matches(model.space):
        raise InputError(
            f"these spectra are in {spectra.space!r}; the model was trained in {model.space!r}: "
            "prepare the spectra in the model's space, on its wavelengths"
        )
    if not model.absolute and np.isfinite(spectra.parallax_err).any():
        raise InputError(
            "this model was trained without parallaxes (absolute = False): it knows the shapes of "
            "spectra, not luminosities, so an observed parallax cannot be compared with it; leave "
            "the parallax out (parallax_err = inf), or use a model trained with parallaxes"
        )
    if n_processes != -1 and n_processes < 1:
        raise InputError(f"n_processes must be at least 1, or -1 for all, got {n_processes}")
    for name, value in (("n_starts", n_starts), ("max_iterations", max_iterations)):
        if value < 1:
            raise InputError(f"{name} must be at least 1, got {value}")


def _fit_task(
    model: XPModel,
    spectra: Spectra,
    covariance: ModelCovariance | None,
    n_starts: int,
    max_iterations: int,
) -> FitResult:
    """Fit some stars in this process."""
    n_star, n_parameter = len(spectra), len(model.parameter_names)
    theta = np.full((n_star, n_parameter), np.nan)
    values = {name: np.full(n_star, np.nan) for name in ("chi2", "ln_prior", "loss")}
    status = np.full(n_star, FitStatus.NOT_FITTED, dtype=np.int16)
    n_iterations = np.zeros(n_star, dtype=np.int32)
    # Vectors of 66 values are too short for threads; they would only contend.
    with threadpool_limits(1), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        if covariance:
            spectra = with_model_covariance(spectra, covariance)
        grid = StartGrid(model)
        for i in np.flatnonzero(_is_fittable(spectra, n_parameter)):
            objective = Objective(
                model,
                spectra.flux[i],
                spectra.whitener[i],
                spectra.parallax[i],
                spectra.parallax_err[i],
            )
            starts = grid.starts(spectra.flux[i], spectra.whitener[i], n_starts)
            best, n_iterations[i] = _best_optimum(objective, starts, grid.scale, max_iterations)
            theta[i] = best.theta
            values["chi2"][i] = objective.chi2(best.theta)
            values["ln_prior"][i] = objective.ln_prior(best.theta)
            values["loss"][i] = best.loss
            status[i] = FitStatus.CONVERGED if best.converged else FitStatus.NOT_CONVERGED
        return _result(model, spectra, theta, values, status, n_iterations)


def _is_fittable(spectra: Spectra, n_parameter: int) -> np.ndarray:
    """Stars with as many values as parameters, and with any light at all."""
    return (spectra.n_obs >= n_parameter) & (spectra.flux > 0).any(axis=1)


def _best_optimum(
    objective: Objective, starts: list[np.ndarray], scale: np.ndarray, max_iterations: int
) -> tuple[Optimum, int]:
    """Lowest optimum over all starts, and the iterations spent on all of them."""
    optima = [maximise_posterior(objective, start, scale, max_iterations) for start in starts]
    return min(optima, key=lambda o: o.loss), sum(o.n_iterations for o in optima)


def _result(model, spectra, theta, values, status, n_iterations) -> FitResult:
    """Put a result together, with uncertainties."""
    shape = (*theta.shape, theta.shape[1])
    covariance, inverse = np.full(shape, np.nan), np.full(shape, np.nan)
    fisher = np.full(shape, np.nan)
    fitted = np.flatnonzero(status != FitStatus.NOT_FITTED)
    fisher[fitted] = fisher_matrix(
        model.forward, theta[fitted], spectra.whitener[fitted], spectra.parallax_err[fitted]
    )
    finite = fitted[np.isfinite(fisher[fitted]).all(axis=(1, 2))]
    covariance[finite], inverse[finite] = safe_inverse(fisher[finite])
    parameters = theta.copy()
    linear = slice(model.forward.n_label, model.forward.n_label + 2)
    parameters[:, linear] = np.exp(theta[:, linear])
    return FitResult(
        parameter_names=model.parameter_names,
        absolute=model.absolute,
        source_id=spectra.source_id,
        parameters=parameters,
        covariance=covariance,
        inverse_covariance=inverse,
        n_obs=spectra.n_obs,
        status=status,
        n_iterations=n_iterations,
        **values,
    )
