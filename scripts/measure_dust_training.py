"""What training loses where the extinction of the stars is known from a dust map only, or not.

Simulates a LAMOST-like survey in a field of dust and trains on it: with an E of each star; with E
from a dust map with errors of 15 % (positions and parallaxes as 'xpfit prepare --dust-map' uses
them); with no E and no map. Prints, for each, how far the learned R(lambda) and ln f_abs are from
those that the survey was simulated with, and R(lambda) from that of the first.

    python scripts/measure_dust_training.py --n 4000
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from xpfit import train_model
from xpfit.model.store import load_model
from xpfit.prepare import attach_dust, read_spectra
from xpfit.train import Recipe, TrainingIO
from xpfit.train.recipe_file import load_recipe

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))  # the map and the survey are those of the tests
from dust_survey import (  # noqa: E402
    FIELD,
    NoisyMap,
    curve_ratio,
    dusty_survey,
    flux_error,
    without_estimates,
)


def main() -> None:
    """Simulate, train, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=4000, help="number of stars")
    parser.add_argument("--model", default=None, help="model of the survey")
    parser.add_argument("--types", help="spectra whose labels are the stars' types")
    parser.add_argument("--recipe", help="recipe file (default: xpfit's own recipe)")
    parser.add_argument("--cases", default="given,map,none")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    model, types = load_model(options.model), None
    if options.types:
        labels = read_spectra(options.types).labels
        types = np.column_stack([labels[name] for name in model.label_names])
    survey = dusty_survey(model, options.n, np.random.default_rng(options.seed), types)
    true = survey.truth["extinction"]
    quantiles = np.quantile(true, (0.1, 0.5, 0.9))
    print(f"{options.n} stars; 10, 50, 90 % of E: {' '.join(f'{q:.3f}' for q in quantiles)} mag")
    nothing = without_estimates(survey.spectra)
    mapped, counts = attach_dust(nothing, NoisyMap(FIELD, np.random.default_rng(2)))
    print(f"map: {counts}")
    cases = {"given": survey.spectra, "map": mapped, "none": nothing}
    recipe = load_recipe(options.recipe) if options.recipe else Recipe()
    print("case    max |R shape - 1|  R scale  of first  median |ln f error|  left out  seconds")
    first = None
    for name in options.cases.split(","):
        start = time.process_time()
        trained, summary = train_model(
            cases[name],
            model.label_names,
            rng=np.random.default_rng(options.seed),
            recipe=recipe,
            io=TrainingIO(progress=False),
        )
        shape, scale = curve_ratio(trained, model)
        first = first or trained
        known = trained.trained_channels
        relative = trained.forward.extinction_curve[known] / first.forward.extinction_curve[known]
        error = np.median(flux_error(trained, survey))
        print(
            f"{name:7} {np.max(np.abs(shape - 1)):17.3f} {scale:8.3f} "
            f"{np.max(np.abs(relative - 1)):9.3f} {error:20.4f} "
            f"{summary.n_cleaned / summary.n_used:9.3f} {time.process_time() - start:8.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
