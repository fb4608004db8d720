"""Corner plots of sampled posteriors."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ..fit.sampling import PosteriorSample
from ..quantities import factors, quantity
from .style import BLUE, VERMILION, draw_ellipse

AMPLITUDE_LABEL = r"$\sqrt{\rm amplitude}$"
"""In place of the parallax for models without luminosities."""


def corner_figure(sample: PosteriorSample, *, absolute: bool = True) -> Figure:
    """Corner plot of a posterior, with the optimum and the 1- and 2-sigma Fisher ellipses over it.

    Parameters
    ----------
    sample : PosteriorSample
    absolute : bool
        Whether the model has luminosities, so that there is a parallax.

    Returns
    -------
    matplotlib.figure.Figure
    """
    import corner

    names = sample.parameter_names
    labels = [quantity(name).axis_label for name in names]
    if not absolute:
        labels[names.index("parallax")] = AMPLITUDE_LABEL
    scale = factors(names)
    n = len(names)
    figure = Figure(figsize=(1.7 * n + 0.6, 1.7 * n + 0.6))
    one_and_two_sigma = 1.0 - np.exp(-0.5), 1.0 - np.exp(-2.0)
    corner.corner(
        sample.flat * scale, fig=figure, labels=labels, color=BLUE, levels=one_and_two_sigma,
        quantiles=(0.16, 0.5, 0.84), plot_datapoints=False, smooth=0.7, max_n_ticks=3,
    )  # fmt: skip
    axes = np.array(figure.axes).reshape(n, n)
    best, covariance = sample.best * scale, sample.covariance * scale[:, None] * scale
    for i in range(n):
        axes[i, i].axvline(best[i], color=VERMILION, lw=1)
        for j in range(i):
            draw_ellipse(axes[i, j], best[[j, i]], covariance[np.ix_([j, i], [j, i])])
    title = f"Gaia DR3 {sample.source_id}\nemcee (blue), optimum and Fisher ellipses (orange)"
    figure.suptitle(title, fontsize=10, x=0.98, ha="right")
    return figure
