"""Stellar types in an auto-encoder's latent space (Laroche & Speagle 2024, sections 4 and 5).

It is trained without labels: where stars along a sequence of labels are in order in latent space,
it has learned about the labels from the spectra alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import numpy as np
from astropy.table import Table

from ..companion import ScatterAutoencoder
from ..data import Spectra
from ..errors import InputError
from ..simulate.stars import giant_branch_teff, main_sequence_logg

MIN_PER_BIN = 8
"""Stars without which there is no point on a track."""

HIGH_ALPHA = 0.15
"""[alpha/M] that divides the sequences of giants in APOGEE DR17 at -1 < [M/H] < 0."""

ALPHA_TEFF, ALPHA_LOGG, ALPHA_FEH = (3.7, 5.0), (0.5, 3.6), (-1.0, 0.0)
"""Teff (kK), log g and [Fe/H] of the giants that are classified: cool, and of both sequences."""

TEST_SHARE = 0.1

PUBLISHED = {
    "[Fe/H]": (0.68, 0.40, 0.79),
    "labels": (0.70, 0.15, 0.91),
    "labels and colours": (0.70, 0.15, 0.92),
    "latent variables": (0.84, 0.58, 0.93),
}
"""Table 1 of Laroche & Speagle: accuracy, and what they call high- and low-alpha predictive value.

The latter are recalls. All four are of the same stars, of which a share a is truly high; of recalls
the accuracy is a x high + (1 - a) x low, with a = 0.28, 0.28, 0.29, 0.26: one value within the
rounding. If they were precisions, the share called high would be these, and a of the same stars
0.26, 0.11, 0.10, 0.20.
"""

SHARES = ("high_recall", "low_recall", "high_precision", "low_precision")

COUNTS = ("said_high_is_high", "said_high_is_low", "said_low_is_high", "said_low_is_low")


@dataclass(frozen=True)
class LatentTrack:
    """A sequence of stars.

    Attributes
    ----------
    name : str
    axes : tuple of str
        Labels in which it is drawn.
    along : str
        Label that it follows.
    labels : dict of str to ndarray, shape (n_bin,)
        Means of the stars in each bin.
    latent : ndarray, shape (n_bin, n_latent)
    used : ndarray of bool, shape (n_star,)
        The stars.
    """

    name: str
    axes: tuple[str, str]
    along: str
    labels: dict[str, np.ndarray]
    latent: np.ndarray
    used: np.ndarray

    def changes(self, scatter: np.ndarray) -> np.ndarray:
        """Range of each latent variable along the track, over the scatter of all: (n_latent,)."""
        return np.ptp(self.latent, axis=0) / scatter

    def directions(self, scatter: np.ndarray) -> np.ndarray:
        """The two latent variables that change most along the track, over the scatter of all."""
        return np.sort(np.argsort(self.changes(scatter))[-2:])


def latent_tracks(latent: np.ndarray, labels: dict[str, np.ndarray]) -> list[LatentTrack]:
    """Main sequence, giant branch, metallicity of giants and dwarfs, alpha, binned (figs. 10-13).

    Parameters
    ----------
    latent : ndarray, shape (n_star, n_latent)
    labels : dict of str to ndarray
        Teff (kK), log g, [Fe/H], and [alpha/M] if known.

    Returns
    -------
    list of LatentTrack
        Those with stars in at least two bins.
    """
    teff, logg, feh = (labels[name] for name in ("teff", "logg", "feh"))
    solar = np.abs(feh) < 0.2
    sequence = np.abs(logg - main_sequence_logg(teff)) < 0.25
    dwarfs = sequence & (logg > 3.9) & (np.abs(teff - 5.5) < 0.4)
    clump = (np.abs(logg - 2.4) < 0.4) & (np.abs(teff - 4.75) < 0.25)
    plans = [
        ("main sequence", ("teff", "logg"), "teff", np.arange(3.5, 7.6, 0.4),
         solar & sequence & (logg > 3.7)),
        ("giant branch", ("teff", "logg"), "logg", np.arange(0.5, 3.8, 0.4),
         solar & (np.abs(teff - giant_branch_teff(logg)) < 0.25) & (logg < 3.8)),
        ("metallicity of giants", ("teff", "feh"), "feh", np.arange(-1.6, 0.5, 0.2), clump),
        ("metallicity of dwarfs", ("teff", "feh"), "feh", np.arange(-1.6, 0.5, 0.2), dwarfs),
    ]  # fmt: skip
    if "alpha_m" in labels:
        metal = np.abs(feh + 0.4) < 0.1
        plans.append(("alpha at [Fe/H] = -0.4", ("feh", "alpha_m"), "alpha_m",
                      np.arange(-0.02, 0.32, 0.04), metal & clump))  # fmt: skip
    tracks = []
    for name, axes, along, edges, used in plans:
        used = used & np.isfinite(latent).all(axis=1)
        bins = np.where(used, np.digitize(labels[along], edges), 0)
        rows = [np.flatnonzero(bins == i) for i in range(1, len(edges))]
        rows = [row for row in rows if len(row) >= MIN_PER_BIN]
        if len(rows) >= 2:
            means = {k: np.array([np.nanmean(v[row]) for row in rows]) for k, v in labels.items()}
            points = np.array([latent[row].mean(axis=0) for row in rows])
            tracks.append(LatentTrack(name, axes, along, means, points, used))
    return tracks


def alpha_classifiers(
    network: ScatterAutoencoder, spectra: Spectra, rng: np.random.Generator
) -> Table:
    """Classify giants as high- or low-alpha by [Fe/H], labels, colours, or latent variables.

    Parameters
    ----------
    network : ScatterAutoencoder
    spectra : Spectra
        With labels, [alpha/M] among them.
    rng : numpy.random.Generator
        Of the split and of the forests.

    Returns
    -------
    astropy.table.Table
        For each of four random forests, on the tenth of the giants that they were not trained on:
        the accuracy, the recall of each sequence (share of its stars that are said to be of it),
        the precision (share of the stars said to be of it that are), and the counts behind them.

    Notes
    -----
    Laroche & Speagle's table 1; its accuracy and recalls are `PUBLISHED`.

    Raises
    ------
    InputError
        If labels are missing, or one of the sequences has hardly any stars.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import accuracy_score, confusion_matrix, precision_score, recall_score

    labels = known_labels(spectra)
    if "alpha_m" not in labels:
        raise InputError("the spectra have no labels alpha_m")
    out = network.predict(spectra)
    limits = {"teff": ALPHA_TEFF, "logg": ALPHA_LOGG, "feh": ALPHA_FEH}
    used = np.isfinite(out.latent).all(axis=1) & np.isfinite(labels["alpha_m"])
    for name, (low, high) in limits.items():
        used &= (labels[name] >= low) & (labels[name] <= high)
    rows = np.flatnonzero(used)
    high = labels["alpha_m"][rows] > HIGH_ALPHA
    if min(high.sum(), (~high).sum()) < 50:
        raise InputError(
            f"{high.sum()} high- and {(~high).sum()} low-alpha giants are too few to classify"
        )
    three = np.column_stack([labels[name][rows] for name in limits])
    inputs = {"[Fe/H]": three[:, 2:], "labels": three}
    if spectra.space.n_bands:
        bands = spectra.flux[rows][:, -spectra.space.n_bands :]
        colours = np.diff(np.log(np.maximum(bands, 1e-300)), axis=1)
        inputs["labels and colours"] = np.column_stack([three, colours])
    inputs["latent variables"] = out.latent[rows]
    test = rng.random(len(rows)) < TEST_SHARE
    seed = int(rng.integers(2**31))
    table_rows = []
    for name, x in inputs.items():
        forest = RandomForestClassifier(300, random_state=seed).fit(x[~test], high[~test])
        said, true = forest.predict(x[test]), high[test]
        order = {"labels": [True, False]}
        shares = (
            score(true, said, **order, average=None, zero_division=np.nan)
            for score in (recall_score, precision_score)
        )
        counts = confusion_matrix(said, true, **order)
        table_rows.append((name, accuracy_score(true, said), *chain(*shares), *counts.ravel()))
    return Table(rows=table_rows, names=("inputs", "accuracy", *SHARES, *COUNTS))


def known_labels(spectra: Spectra) -> dict[str, np.ndarray]:
    """Labels of the spectra; an `InputError` if Teff, log g or [Fe/H] are missing."""
    missing = [name for name in ("teff", "logg", "feh") if name not in (spectra.labels or {})]
    if missing:
        raise InputError(f"the spectra have no labels {', '.join(missing)}")
    return dict(spectra.labels)
