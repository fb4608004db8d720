"""What an auto-encoder's latent numbers know of the stars (Laroche & Speagle 2024, section 4, 5).

It never saw a label; so where stars along a sequence of labels lie in order in latent space, it has
learned of them from the spectra alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table

from ..companion import ScatterAutoencoder
from ..data.spectra import Spectra
from ..errors import InputError
from .labels import AXIS_LABELS
from .tracks import giant_branch_teff, main_sequence_logg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MIN_PER_BIN = 8
"""Stars without which there is no point on a track."""

HIGH_ALPHA = 0.15
"""[alpha/M] that divides the sequences of giants in APOGEE DR17 at -1 < [M/H] < 0."""

ALPHA_TEFF, ALPHA_LOGG, ALPHA_FEH = (3.7, 5.0), (0.5, 3.6), (-1.0, 0.0)
"""Teff (kK), log g and [Fe/H] of the giants that are told apart: cool, and of both sequences."""

TEST_SHARE = 0.1

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

    def directions(self, scatter: np.ndarray) -> np.ndarray:
        """The two latent numbers that change most along the track, for the scatter of all."""
        return np.sort(np.argsort(np.ptp(self.latent, axis=0) / scatter)[-2:])


def latent_tracks(latent: np.ndarray, labels: dict[str, np.ndarray]) -> list[LatentTrack]:
    """Main sequence, giant branch, metallicity and alpha, binned (figs. 10-13).

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
    clump = (np.abs(logg - 2.4) < 0.4) & (np.abs(teff - 4.75) < 0.25)
    plans = [
        ("main sequence", ("teff", "logg"), "teff", np.arange(3.5, 7.6, 0.4),
         solar & (np.abs(logg - main_sequence_logg(teff)) < 0.25) & (logg > 3.7)),
        ("giant branch", ("teff", "logg"), "logg", np.arange(0.5, 3.8, 0.4),
         solar & (np.abs(teff - giant_branch_teff(logg)) < 0.25) & (logg < 3.8)),
        ("metallicity of giants", ("teff", "feh"), "feh", np.arange(-1.6, 0.5, 0.2), clump),
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
            means = {
                key: np.array([np.nanmean(v[row]) for row in rows]) for key, v in labels.items()
            }
            points = np.array([latent[row].mean(axis=0) for row in rows])
            tracks.append(LatentTrack(name, axes, along, means, points, used))
    return tracks


def latent_figure(network: ScatterAutoencoder, spectra: Spectra) -> Figure:
    """Tracks through label space and the same stars' through latent space (figs. 10, 12, 13).

    Parameters
    ----------
    network : ScatterAutoencoder
    spectra : Spectra
        With labels.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If labels are missing, or there are too few stars for any track.
    """
    from matplotlib.figure import Figure

    labels, latent = _labels(spectra), network.predict(spectra).latent
    tracks = latent_tracks(latent, labels)
    if not tracks:
        raise InputError(f"{len(spectra)} stars are too few for tracks")
    scatter = np.nanstd(latent, axis=0)
    figure = Figure(figsize=(8.0, 3.1 * len(tracks)), layout="constrained")
    grid = figure.subplots(len(tracks), 2, squeeze=False)
    for track, (left, right) in zip(tracks, grid, strict=True):
        unit = {name: 1000.0 if name == "teff" else 1.0 for name in labels}
        x, y = track.axes
        i, j = track.directions(scatter)
        colour = track.labels[track.along] * unit[track.along]
        left.plot(labels[x] * unit[x], labels[y] * unit[y], ",", color="0.8", rasterized=True)
        right.plot(latent[:, i], latent[:, j], ",", color="0.8", rasterized=True)
        for ax, points in (
            (left, (track.labels[x] * unit[x], track.labels[y] * unit[y])),
            (right, (track.latent[:, i], track.latent[:, j])),
        ):
            ax.plot(*points, "-", color="0.4", lw=1)
            drawn = ax.scatter(*points, c=colour, cmap="cividis", s=30, zorder=3)
        left.set(xlabel=AXIS_LABELS[x], ylabel=AXIS_LABELS[y], title=track.name)
        if (x, y) == ("teff", "logg"):
            left.set(xlim=(8000.0, 3000.0), ylim=(5.5, 0.0))
        # Nearly all stars: a few far away would leave no room for the others.
        xlim, ylim = np.nanquantile(latent[:, [i, j]], [0.002, 0.998], axis=0).T
        right.set(xlabel=f"latent {i + 1}", ylabel=f"latent {j + 1}", xlim=xlim, ylim=ylim)
        figure.colorbar(drawn, ax=right, label=AXIS_LABELS[track.along])
    return figure


def alpha_classifiers(
    network: ScatterAutoencoder, spectra: Spectra, rng: np.random.Generator
) -> Table:
    """Tell high- from low-alpha giants by [Fe/H], by labels, with colours, by latent numbers.

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
        For each of four random forests the accuracy, the predictive value of "high" and of "low"
        (Laroche & Speagle, eqs. 13-15 and table 1), and the counts behind them, on a tenth of the
        giants that the forests have not seen.

    Raises
    ------
    InputError
        If labels are missing, or one of the sequences has hardly any stars.
    """
    from sklearn.ensemble import RandomForestClassifier

    labels = _labels(spectra)
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
            f"{high.sum()} high- and {(~high).sum()} low-alpha giants are too few to tell apart"
        )
    bands = spectra.flux[rows][:, -spectra.space.n_bands :] if spectra.space.n_bands else None
    three = np.column_stack([labels[name][rows] for name in ("teff", "logg", "feh")])
    inputs = {"[Fe/H]": three[:, 2:], "labels": three}
    if bands is not None:
        colours = np.diff(np.log(np.maximum(bands, 1e-300)), axis=1)
        inputs["labels and colours"] = np.column_stack([three, colours])
    inputs["latent numbers"] = out.latent[rows]
    test = rng.random(len(rows)) < TEST_SHARE
    seed = int(rng.integers(2**31))
    table = Table(
        names=("inputs", "accuracy", "high_value", "low_value", *COUNTS),
        dtype=("U24", float, float, float, int, int, int, int),
    )
    for name, x in inputs.items():
        forest = RandomForestClassifier(300, random_state=seed).fit(x[~test], high[~test])
        said, true = forest.predict(x[test]), high[test]
        table.add_row(
            (
                name,
                np.mean(said == true),
                np.mean(true[said]) if said.any() else np.nan,
                np.mean(~true[~said]) if (~said).any() else np.nan,
                *(int(np.sum((said == s) & (true == t))) for s in (1, 0) for t in (1, 0)),
            )
        )
    return table


def alpha_figure(table: Table) -> Figure:
    """Confusion matrices of the classifiers (fig. 14), with what table 1 says of them.

    Parameters
    ----------
    table : astropy.table.Table
        From `alpha_classifiers`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.8 * len(table), 3.6), layout="constrained")
    for row, ax in zip(table, figure.subplots(1, len(table), squeeze=False)[0], strict=True):
        counts = np.array(
            [[row["said_low_is_low"], row["said_low_is_high"]],
             [row["said_high_is_low"], row["said_high_is_high"]]]
        )  # fmt: skip
        share = counts / counts.sum(axis=0)
        ax.imshow(share, cmap="cividis", vmin=0.0, vmax=1.0, origin="lower")
        for (i, j), value in np.ndenumerate(share):
            colour = "black" if value > 0.5 else "white"
            ax.text(j, i, f"{value:.2f}\n({counts[i, j]})", ha="center", va="center", color=colour)
        ax.set(xticks=(0, 1), yticks=(0, 1), xticklabels=("low", "high"),
               yticklabels=("low", "high"), xlabel=r"true [$\alpha$/M]", ylabel="said")  # fmt: skip
        ax.set_title(
            f"{row['inputs']}\naccuracy {row['accuracy']:.2f}\npredictive values: high "
            f"{row['high_value']:.2f}, low {row['low_value']:.2f}",
            fontsize=8,
        )
    return figure


def _labels(spectra: Spectra) -> dict[str, np.ndarray]:
    """Labels of the spectra, which must have the three of the Kiel diagram and [Fe/H]."""
    missing = [name for name in ("teff", "logg", "feh") if name not in (spectra.labels or {})]
    if missing:
        raise InputError(f"the spectra have no labels {', '.join(missing)}")
    return dict(spectra.labels)
