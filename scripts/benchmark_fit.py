"""Time the engines on the same stars, in the same run, and compare the optima that they find.

The stars are simulated, with the correlated errors of real ones, from a model of ZGR23's size (66
values, 5 parameters, full whiteners), or read from a file. For comparison, ZGR23's own
optimiser (their section 4.2) is timed: Adam, 8,192 steps, rate 0.01 halved every 768, on our
gradients, all stars together.

Two rates are printed. "fit" is the descent alone, from one given start per star; "full" is
everything that `xpfit fit` does by default: model covariance, starts, descents from several of
them, exact Hessians, restarts, Fisher matrices. Slow engines get fewer stars, the first ones.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from joblib import Parallel, cpu_count, delayed

from xpfit import Spectra, XPModel, load_model, read_spectra
from xpfit.fit import Fitter
from xpfit.fit.data import fit_data
from xpfit.fit.objective import Objective
from xpfit.fit.starts import ProfileStarts
from xpfit.nn import Adam, StepSchedule, chi2
from xpfit.prepare import iterate_spectra, write_spectra
from xpfit.simulate import SurveySettings, simulate_survey

DEFAULT_MODEL = Path(__file__).resolve().parents[1] / "tests" / "data" / "three_labels.h5"
ADAM_RATE, ADAM_STEPS, ADAM_HALVED_EVERY = 1e-2, 8192, 768
STARS_AT_A_TIME = 250


def stars_to_fit(options: argparse.Namespace) -> tuple[XPModel, Spectra]:
    """Model and stars: those of the options, or simulated ones."""
    model = load_model(options.model)
    if options.input:
        spectra = read_spectra(options.input, slice(0, options.n_stars), model=model)
    else:
        model = replace(model, absolute=True, covariance=None)
        settings = SurveySettings(binary_fraction=0.0, wrong_label_fraction=0.0)
        rng = np.random.default_rng(options.seed)
        spectra = simulate_survey(model, options.n_stars, rng, settings).spectra
    return model, spectra.keep_channels(model.trained_channels)


def first_starts(model: XPModel, spectra: Spectra) -> np.ndarray:
    """The best start of every star, shape (n_star, n_parameter)."""
    starts = ProfileStarts(model)
    data = fit_data(model, spectra)
    parts = [starts.find(data[i : i + 64], 1)[:, 0] for i in range(0, len(spectra), 64)]
    return np.concatenate(parts)


def descend_with(fitter: Fitter, spectra: Spectra, starts: np.ndarray) -> np.ndarray:
    """Final losses of descents from given starts."""

    def losses(rows):
        stars, row = fitter.engine.load(fitter.data(spectra[rows])), np.arange(len(starts[rows]))
        descents = stars.begin(row, starts[rows])
        stars.finish(descents, row, fitter.settings.max_iterations)
        return descents.loss

    prefer = "threads" if fitter.engine.thread_safe else "processes"
    size = max(1, min(STARS_AT_A_TIME, len(spectra) // fitter.n_jobs))
    tasks = (delayed(losses)(slice(i, i + size)) for i in range(0, len(spectra), size))
    return np.concatenate(Parallel(fitter.n_jobs, prefer=prefer)(tasks))


def adam(model: XPModel, spectra: Spectra, starts: np.ndarray, n_steps: int) -> np.ndarray:
    """Final losses of ZGR23's optimiser."""
    data = fit_data(model, spectra)
    objective = Objective(model.forward, model.prior, model.absolute, data)
    halvings = range(ADAM_HALVED_EVERY, n_steps, ADAM_HALVED_EVERY)
    rate = StepSchedule(ADAM_RATE, tuple(halvings), 0.5)
    optimiser, theta = Adam(), starts.copy()
    for step in range(n_steps):
        theta = optimiser.step(theta, gradient(objective, theta), rate(step))
    return objective.evaluate(theta).loss


def gradient(objective: Objective, theta: np.ndarray) -> np.ndarray:
    """Gradient of the loss and nothing else, for a fair comparison."""
    layout, data = objective.forward.layout, objective.data
    k = layout.n_label
    predicted, jacobian = objective.forward.flux_and_jacobian(theta)
    _, d_residual = chi2(data.whitener(predicted - data.flux))
    total = (jacobian @ data.whitener.adjoint(d_residual)[:, :, None])[:, :, 0]
    total[:, :k] -= 2.0 * objective.prior.ln_p_derivatives(theta[:, :k])[1]
    total[:, k] -= 2.0
    if objective.absolute:
        parallax, error = np.exp(theta[:, layout.parallax]), data.parallax_err
        pull = np.where(np.isfinite(error), parallax - data.parallax, 0.0) / error
        total[:, layout.parallax] += 2.0 * pull * parallax / error - 2.0
    return total


def timed(function, *args):
    """Seconds and result."""
    start = time.perf_counter()
    result = function(*args)
    return time.perf_counter() - start, result


def full_rate(fitter: Fitter, spectra: Spectra, repeats: int = 1) -> tuple[float, np.ndarray]:
    """Stars per second of a complete fit, best of several repeats, and final losses."""
    runs = [timed(fitter.fit, spectra, False) for _ in range(repeats)]
    seconds, result = min(runs, key=lambda run: run[0])
    return len(spectra) / seconds, result.loss


def gain_of_workers(fitter: Fitter, model: XPModel, spectra: Spectra) -> float:
    """How many times as fast as one worker all are, each at its best of three."""
    one = Fitter(model, engine=fitter.engine.name, n_jobs=1)
    return full_rate(fitter, spectra, 3)[0] / full_rate(one, spectra, 3)[0]


def from_store(fitter: Fitter, spectra: Spectra) -> float:
    """Stars per second from a file of prepared spectra to results."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spectra.h5"
        write_spectra([spectra], path)
        start = time.perf_counter()
        for part in iterate_spectra(path):
            fitter.fit(part, False)
        return len(spectra) / (time.perf_counter() - start)


def scaling(fitter: Fitter, spectra: Spectra, most: int) -> None:
    """Rates for more and more stars, which are fitted part by part, as files are."""
    print("\nscaling (the same stars again and again, in parts)")
    n = min(1000, len(spectra))
    while n <= most:
        start, done = time.perf_counter(), 0
        while done < n:
            part = spectra[: min(n - done, len(spectra))]
            fitter.fit(part, False)
            done += len(part)
        rate = n / (time.perf_counter() - start)
        print(f"{n:10d} stars {rate:8.0f} stars/s, memory so far {peak_gigabytes():.2f} GB")
        n *= 10


def peak_gigabytes() -> float:
    """Largest resident memory of this process up to now."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=DEFAULT_MODEL, help="default: a model of ZGR23's size")
    parser.add_argument("--input", metavar="FILE", help="spectra to fit; default: simulated ones")
    parser.add_argument("--n-stars", type=int, default=10_000, help="for the fast engines")
    parser.add_argument("--n-array", type=int, default=2000, help="for the array engine")
    parser.add_argument("--n-scipy", type=int, default=100, help="for scipy")
    parser.add_argument("--n-adam", type=int, default=256, help="for ZGR23's optimiser")
    parser.add_argument("--adam-steps", type=int, default=ADAM_STEPS)
    parser.add_argument("--jobs", type=int, default=-1, help="threads or processes")
    parser.add_argument(
        "--device", choices=("cpu", "gpu"), default="cpu", help="of the array engine"
    )
    parser.add_argument("--single", action="store_true", help="array engine in single precision")
    parser.add_argument("--scaling", type=int, metavar="N", help="time 1,000 to N stars too")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object and no table")
    options = parser.parse_args()
    say = (lambda *_: None) if options.json else print

    n_jobs = cpu_count() if options.jobs == -1 else options.jobs
    model, spectra = stars_to_fit(options)
    starts = first_starts(model, spectra)
    say(f"{model}\n{spectra}, {spectra.whitener.kind} whiteners, {n_jobs} workers")
    fitters = {
        "numba": (Fitter(model, engine="numba", n_jobs=n_jobs), options.n_stars),
        "array": (
            Fitter(
                model, engine="array", device=options.device, single=options.single, n_jobs=n_jobs
            ),
            options.n_array,
        ),
        "scipy": (Fitter(model, engine="scipy", n_jobs=n_jobs), options.n_scipy),
    }
    report: dict[str, dict] = {}
    fit_loss, full_loss = {}, {}
    for name, (fitter, n) in fitters.items():
        stars = spectra[: min(n, len(spectra))]
        few = stars[: 4 * n_jobs]
        descend_with(fitter, few, starts[: len(few)])  # compile, start workers
        fitter.fit(few, False)
        seconds, fit_loss[name] = timed(descend_with, fitter, stars, starts[: len(stars)])
        rate, full_loss[name] = full_rate(fitter, stars, 1 if name == "scipy" else 3)
        report[name] = {
            "n_stars": len(stars),
            "stars_per_second_fit": len(stars) / seconds,
            "stars_per_second_full": rate,
        }
    few = spectra[: min(options.n_adam, len(spectra))]
    seconds, fit_loss["adam"] = timed(adam, model, few, starts[: len(few)], options.adam_steps)
    report["adam"] = {"n_stars": len(few), "stars_per_second_fit": len(few) / seconds}
    fitter = fitters["numba"][0]
    report["numba"]["stars_per_second_from_store"] = from_store(fitter, spectra)
    report["numba"]["gain_of_workers"] = gain_of_workers(fitter, model, spectra)
    for name, numbers in report.items():
        n = min(len(fit_loss[name]), min(len(x) for x in fit_loss.values()))
        lowest = np.min([x[:n] for x in fit_loss.values()], axis=0)
        numbers["ratio_to_adam"] = (
            numbers["stars_per_second_fit"] / report["adam"]["stars_per_second_fit"]
        )
        numbers["above_best_of_any_fit"] = int(np.sum(fit_loss[name][:n] > lowest + 0.1))
        if name in full_loss:
            n = min(len(x) for x in full_loss.values())
            lowest = np.min([x[:n] for x in full_loss.values()], axis=0)
            numbers["above_best_of_any_full"] = int(np.sum(full_loss[name][:n] > lowest + 0.1))
    report["common"] = {
        "n_compared_fit": min(len(x) for x in fit_loss.values()),
        "n_compared_full": min(len(x) for x in full_loss.values()),
        "workers": n_jobs,
        "hours_for_220_million": 220e6 / report["numba"]["stars_per_second_from_store"] / 3600,
        "peak_gigabytes": peak_gigabytes(),
    }
    if options.json:
        print(json.dumps(report))
        return
    print_table(report)
    if options.scaling:
        scaling(fitter, spectra, options.scaling)


def print_table(report: dict[str, dict]) -> None:
    """Print what was measured."""
    common = report["common"]
    print(f"\n{'engine':8s} {'stars':>6s} {'fit/s':>9s} {'full/s':>8s} {'x Adam':>8s}", end="")
    print(f"  above the best loss of any by 0.1: fit ({common['n_compared_fit']}), ", end="")
    print(f"full ({common['n_compared_full']})")
    for name in ("scipy", "adam", "array", "numba"):
        numbers = report[name]
        full = numbers.get("stars_per_second_full", float("nan"))
        print(
            f"{name:8s} {numbers['n_stars']:6d} {numbers['stars_per_second_fit']:9.1f} "
            f"{full:8.1f} {numbers['ratio_to_adam']:8.1f}"
            f"  {numbers['above_best_of_any_fit']:4d}"
            f" {numbers.get('above_best_of_any_full', '-'):>4}"
        )
    numba = report["numba"]
    print(f"from the store of prepared spectra: {numba['stars_per_second_from_store']:.0f} stars/s")
    print(f"{common['workers']} workers are {numba['gain_of_workers']:.2f} times as fast as one")
    print(f"220 million stars: {common['hours_for_220_million']:.1f} hours on this machine")
    print(f"largest resident memory: {common['peak_gigabytes']:.2f} GB")


if __name__ == "__main__":
    main()
