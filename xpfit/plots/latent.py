"""Figures of an auto-encoder's latent variables (Laroche & Speagle 2024, sections 4 and 5)."""

from __future__ import annotations

import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure

from ..companion import ScatterAutoencoder
from ..data import Spectra
from ..errors import InputError
from ..quantities import quantity
from ..validate.latent import COUNTS, PUBLISHED, SHARES, known_labels, latent_tracks
from .style import SEQUENTIAL, subplots


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
    labels, latent = known_labels(spectra), network.predict(spectra).latent
    tracks = latent_tracks(latent, labels)
    if not tracks:
        raise InputError(f"{len(spectra)} stars are too few for tracks")
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
