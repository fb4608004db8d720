"""Recipes of training side by side, on simulated surveys whose truth is known.

For every recipe: processor time, chi2 per degree of freedom of the stars that are
kept; how many good single stars self-cleaning drops, and how many of the twins (binaries of nearly
equal masses) and of the stars with wrong labels it finds; errors of the learned extinction curve
(relative, median of the channels) and of ln absolute flux (median of stars and channels); and the
same of other stars' fits: bias and scatter of Teff, and its pulls, of reliable single stars.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import xpfit
from xpfit.fit import Fitter
from xpfit.quality import is_reliable
from xpfit.quality.flags import fit_flags, quality_flags
from xpfit.simulate import Survey, SurveySettings, simulate_survey
from xpfit.statistics import robust_width
from xpfit.train import TrainingIO, load_recipe, train_model

ROWS = (
    ("time (s)", ".0f"), ("median chi2/dof", ".2f"),
    ("good stars dropped (%)", ".1f"), ("twins found (%)", ".0f"),
    ("wrong labels found (%)", ".0f"),
    ("|R/R_true - 1| (%)", ".1f"), ("|error of ln f_abs|", ".4f"),
    ("fits: Teff bias (K)", ".0f"), ("fits: Teff scatter (K)", ".0f"), ("fits: Teff pulls", ".2f"),
)  # fmt: skip


def measure(truth_model: xpfit.XPModel, survey: Survey, test: Survey, name: str, options) -> list:
    """Numbers of one recipe, in the order of `ROWS`."""
    recipe, started = load_recipe(name), time.process_time()
    rng = np.random.default_rng(options.seed)
    io = TrainingIO(progress=not options.quiet)
    model, summary = train_model(
        survey.spectra, truth_model.label_names, rng=rng, recipe=recipe, io=io
    )
    seconds = time.process_time() - started
    order = np.searchsorted(model.source_ids, survey.spectra.source_id)
    dropped = model.clean_flags[order] > 0
    truth = survey.truth
    wrong, twin = truth["wrong_label"], truth["mass_ratio"] > 0.95
    good = ~wrong & (truth["mass_ratio"] == 0)
    known = model.trained_channels
    curve = model.forward.extinction_curve[known] / truth_model.forward.extinction_curve[known]
    flux = model.forward.ln_absolute_flux(truth["labels"]) - truth["ln_absolute_flux"]
    return [
        seconds,
        summary.median_chi2,
        *(100.0 * np.mean(dropped[stars]) for stars in (good, twin, wrong)),
        100.0 * np.median(np.abs(curve - 1.0)),
        np.median(np.abs(flux[good][:, known])),
        *fitted_temperatures(model, test),
    ]


def fitted_temperatures(model: xpfit.XPModel, test: Survey) -> tuple[float, float, float]:
    """Bias and scatter (K) of Teff, and width of its pulls, of single stars with reliable fits."""
    fit = Fitter(model).fit(test.spectra, progress=False)
    flags = quality_flags(model, test.spectra, fit), fit_flags(model, test.spectra, fit)
    use = is_reliable(*flags) & (test.truth["mass_ratio"] == 0)
    error = fit.parameters[use, 0] - test.truth["labels"][use, 0]
    pull = error / fit.errors[use, 0]
    return 1e3 * np.median(error), 1e3 * robust_width(error), robust_width(pull)


def main() -> None:
    """Simulate, train, and print one column per recipe."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=5000, help="stars (default: %(default)s)")
    parser.add_argument("--n-test", type=int, default=1000, help="other stars, to be fitted")
    parser.add_argument("--recipes", nargs="+", default=["default", "zgr23"])
    parser.add_argument("--model", default="data/simulated_model.h5", help="of the simulation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args()
    truth_model = xpfit.load_model(options.model)
    rng = np.random.default_rng(options.seed)
    settings = SurveySettings(binary_fraction=0.1, wrong_label_fraction=0.02)
    survey = simulate_survey(truth_model, options.n, rng, settings)
    test = simulate_survey(truth_model, options.n_test, rng, SurveySettings(binary_fraction=0.0))
    columns = [measure(truth_model, survey, test, name, options) for name in options.recipes]
    print(f"{options.n} stars".ljust(28) + "".join(f"{name:>12}" for name in options.recipes))
    for (name, form), values in zip(ROWS, zip(*columns, strict=True), strict=True):
        print(name.ljust(28) + "".join(f"{value:{form}}".rjust(12) for value in values))


if __name__ == "__main__":
    main()
