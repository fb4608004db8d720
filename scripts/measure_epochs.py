"""How well constant stars are told from variable ones by their epoch spectra.

Simulates stars with types from the model's prior. Prints whether chi2 of constant stars has its
distribution (p values of Kolmogorov-Smirnov tests), and which fraction of stars whose temperature
swings is found at 1 % false alarms: by chi2 of all values, and by the tests for changes of Teff and
brightness that 'xpfit epochs' flags by.

    python scripts/measure_epochs.py --model tests/data/three_labels.h5
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy import stats

from xpfit.epochs import EpochSpectra, compare_epochs, fit_means, mean_spectra, variability
from xpfit.epochs.simulation import (
    Constant,
    Eclipses,
    EpochSettings,
    EpochSimulator,
    TeffSwing,
    Variation,
)
from xpfit.epochs.table import FALSE_ALARMS
from xpfit.model import XPModel
from xpfit.model.store import load_model

BATCH = 32
"""Stars whose means are fitted together."""

BLACK_BODY = 3.7
"""d ln flux / d ln Teff at 592-782 nm of a star of constant radius at 5800 K."""

TESTS = ("all values", "brightness", "Teff", "either")
"""What is printed: chi2 of all values, the two tests, and the one by which stars are flagged."""


class Experiment:
    """Simulated stars of a model, and the p values of all tests."""

    def __init__(self, model: XPModel, n_epoch: int, seed: int):
        self.model, self.rng = model, np.random.default_rng(seed)
        self.simulator = EpochSimulator(model, EpochSettings(n_epoch=n_epoch))

    def types(self, n: int) -> np.ndarray:
        """Types of cool stars from the prior, (n, n_label)."""
        drawn = self.model.prior.sample(20 * n, self.rng)
        likely = self.model.prior.ln_p(drawn) > self.model.ln_prior_threshold
        cool = (drawn[:, 0] > 4.2) & (drawn[:, 0] < 7.0)
        return drawn[likely & cool & self.model.in_range(drawn).all(axis=1)][:n]

    def p_values(self, n: int, g: float, variation) -> np.ndarray:
        """p values of `TESTS`, (n, 4); `variation` makes one from a phase and a type."""
        found = []
        for types in np.array_split(self.types(n), -(-n // BATCH)):
            found.append(self._of(types, g, variation))
        return np.concatenate(found)

    def _of(self, types: np.ndarray, g: float, variation) -> np.ndarray:
        """p values of a few stars."""
        stars: list[EpochSpectra] = []
        for labels in types:
            own: Variation = variation(self.rng.random(), labels[0])
            stars.append(self.simulator.simulate(labels, g, self.rng, own))
        channels, shapes = self.model.trained_channels, self.model.shapes_only()
        compared = [compare_epochs(star, channels) for star in stars]
        theta = fit_means(self.model, mean_spectra(stars, compared)).theta
        rows = []
        for comparison, at in zip(compared, theta, strict=True):
            known = np.isfinite(at).all()
            tests = variability(comparison, shapes, at if known else None)
            brightness = tests.brightness.p_value
            rows.append([comparison.p_value, brightness, tests.p_teff, tests.p_value])
        return np.array(rows)


def variations(swing: float) -> dict:
    """Stars of a temperature swing (kK), by what else changes."""
    return {
        "shape of the spectrum only": lambda phase, teff: TeffSwing(swing, 5.4, phase),
        "radius constant": lambda phase, teff: TeffSwing(swing, 5.4, phase, BLACK_BODY, teff),
    }


def print_constant(experiment: Experiment, n: int, g: float) -> None:
    """Print whether the p values of constant stars are uniform, and the false alarms."""
    p = experiment.p_values(n, g, lambda phase, teff: Constant())
    print(f"{n} constant stars at G = {g:g}: KS p value, false alarms at {FALSE_ALARMS:.0%}")
    for name, values in zip(TESTS, p.T, strict=True):
        values = values[np.isfinite(values)]
        alarms = np.mean(values < FALSE_ALARMS)
        print(f"  {name:12} {stats.kstest(values, 'uniform').pvalue:6.3f} {alarms:7.2%}")


def print_found(experiment: Experiment, name: str, g: float, n: int, variation) -> None:
    """Print the fractions of variable stars that are found."""
    found = np.mean(experiment.p_values(n, g, variation) < FALSE_ALARMS, axis=0)
    print(f"  G = {g:<4g} {name:16}" + "".join(f"{x:12.1%}" for x in found), flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="in sampled space (default: xpfit's own)")
    parser.add_argument("--n-constant", type=int, default=2000)
    parser.add_argument("--n-variable", type=int, default=200, help="for each point of a curve")
    parser.add_argument("--n-epoch", type=int, default=30)
    parser.add_argument("--g", type=float, nargs="+", default=[11.0, 13.0, 15.0])
    parser.add_argument("--swings", type=float, nargs="+", default=[10, 20, 50, 100, 200, 500])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    model = load_model(options.model)
    experiment = Experiment(model, options.n_epoch, options.seed)
    print_constant(experiment, options.n_constant, 13.0)
    head = " " * 25 + "".join(f"{name:>12}" for name in TESTS)
    for kind in variations(1.0):
        print(f"found, Teff swings from coolest to hottest, {kind}\n{head}")
        for g in options.g:
            for swing in options.swings:
                own = variations(1e-3 * swing)[kind]
                print_found(experiment, f"{swing:g} K", g, options.n_variable, own)
    print(f"found, eclipses for a tenth of the time\n{head}")
    for g in options.g:
        for depth in (0.01, 0.03, 0.1):
            print_found(
                experiment,
                f"{depth:.0%} deep",
                g,
                options.n_variable,
                lambda phase, teff, depth=depth: Eclipses(depth, phase=phase),
            )


if __name__ == "__main__":
    main()
