"""Figures of an auto-encoder's latent variables (Laroche & Speagle 2024, sections 4 and 5)."""

from __future__ import annotations

import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure

from ..companion import ScatterAutoencoder
from ..data import Spectra
from ..errors import InputError
from ..quantities import quantity
from ..validate.latent import (
    COUNTS,
    PUBLISHED,
    SHARES,
    LatentTrack,
    known_labels,
    latent_tracks,
)
from .style import BLUE, SEQUENTIAL, subplots


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
    labels, latent, tracks = _tracks(network, spectra)
    scatter = np.nanstd(latent, axis=0)
    figure, grid = subplots(len(tracks), 2, squeeze=False, size=(8.0, 3.1 * len(tracks)))
    for track, (left, right) in zip(tracks, grid, strict=True):
        x, y, along = (quantity(name) for name in (*track.axes, track.along))
        i, j = track.directions(scatter)
        for ax, stars, points in (
            (left, *([q.factor * v[q.name] for q in (x, y)] for v in (labels, track.labels))),
            (right, *(v[:, [i, j]].T for v in (latent, track.latent))),
        ):
            ax.plot(*stars, ",", color="0.8", rasterized=True)
            ax.plot(*points, "-", color="0.4", lw=1)
            colour = along.factor * track.labels[along.name]
            drawn = ax.scatter(*points, c=colour, cmap=SEQUENTIAL, s=30, zorder=3)
        left.set(xlabel=x.axis_label, ylabel=y.axis_label, title=track.name)
        if track.axes == ("teff", "logg"):
            left.set(xlim=(8000.0, 3000.0), ylim=(5.5, 0.0))
        # Nearly all stars: a few far away would leave no room for the others.
        xlim, ylim = np.nanquantile(latent[:, [i, j]], [0.002, 0.998], axis=0).T
        right.set(xlabel=f"latent {i + 1}", ylabel=f"latent {j + 1}", xlim=xlim, ylim=ylim)
        figure.colorbar(drawn, ax=right, label=along.axis_label)
    return figure


def dimensions_figure(network: ScatterAutoencoder, spectra: Spectra) -> Figure:
    """All latent variables along each track (fig. 15), with their changes over the scatter of all.

    Parameters
    ----------
    network, spectra
        As for `latent_figure`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        As `latent_figure`.
    """
    _, latent, tracks = _tracks(network, spectra)
    scatter, n_latent = np.nanstd(latent, axis=0), latent.shape[1]
    size = (1.6 * n_latent + 0.6, 1.7 * len(tracks))
    figure, grid = subplots(len(tracks), n_latent, squeeze=False, size=size, sharey="col")
    for track, row in zip(tracks, grid, strict=True):
        along = quantity(track.along)
        spread = [latent[track.used, i] for i in range(n_latent)]
        x = along.factor * track.labels[along.name]
        for i, (ax, change) in enumerate(zip(row, track.changes(scatter), strict=True)):
            low, high = np.quantile(spread[i], [0.16, 0.84])
            ax.axhspan(low, high, color="0.92")
            ax.plot(x, track.latent[:, i], "o-", color=BLUE, ms=3, lw=1)
            ax.set_title(f"{change:.1f} sigma", fontsize=7)
            ax.tick_params(labelsize=6)
        row[0].set_ylabel(track.name.replace(" of ", "\nof ").replace(" at ", "\nat "), fontsize=7)
        for ax in row:
            ax.set_xlabel(along.axis_label, fontsize=7)
    for i, ax in enumerate(grid[0]):
        ax.set_title(f"latent {i + 1}\n{ax.get_title()}", fontsize=7)
    return figure


def alpha_figure(table: Table) -> Figure:
    """Confusion matrices of the classifiers (fig. 14), with the numbers of table 1.

    Recalls and precisions are of high, then of low [alpha/M]; in brackets are the paper's accuracy
    and recalls.

    Parameters
    ----------
    table : astropy.table.Table
        From `alpha_classifiers`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = subplots(1, len(table), squeeze=False, size=(2.8 * len(table), 3.6))
    for row, ax in zip(table, axes[0], strict=True):
        counts = np.array([row[name] for name in COUNTS[::-1]]).reshape(2, 2)
        fraction = counts / counts.sum(axis=0)
        ax.imshow(fraction, cmap=SEQUENTIAL, vmin=0.0, vmax=1.0, origin="lower")
        for (i, j), value in np.ndenumerate(fraction):
            colour = "black" if value > 0.5 else "white"
            ax.text(j, i, f"{value:.2f}\n({counts[i, j]})", ha="center", va="center", color=colour)
        ax.set_xticks((0, 1), ("low", "high"))
        ax.set_yticks((0, 1), ("low", "high"))
        ax.set(xlabel=f"true {quantity('alpha_m').symbol}", ylabel="classified as")
        ours = [row[name] for name in ("accuracy", *SHARES)]
        theirs = (f"{value:.2f}" for value in PUBLISHED.get(row["inputs"], ()))
        title = (
            f"{row['inputs']}\naccuracy {ours[0]:.2f}\nrecalls {ours[1]:.2f}, {ours[2]:.2f}"
            f"\nprecisions {ours[3]:.2f}, {ours[4]:.2f}\n(paper: {', '.join(theirs)})"
        )
        ax.set_title(title, fontsize=8)
    return figure


def _tracks(
    network: ScatterAutoencoder, spectra: Spectra
) -> tuple[dict[str, np.ndarray], np.ndarray, list[LatentTrack]]:
    """Labels, latent variables and tracks of the stars."""
    labels, latent = known_labels(spectra), network.predict(spectra).latent
    tracks = latent_tracks(latent, labels)
    if not tracks:
        raise InputError(f"{len(spectra)} stars are too few for tracks")
    return labels, latent, tracks
