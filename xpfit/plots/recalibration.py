"""The factor between the fluxes of two releases, and what it does to residuals."""

from __future__ import annotations

from matplotlib.figure import Figure

from ..constants import AMPLITUDE_WINDOW
from ..quality.transfer import TransferReport
from .style import BLUE, VERMILION, subplots, wavelength_axis

LOW, HIGH = AMPLITUDE_WINDOW
TICKS = (400, 500, 600, 700, 800, 900, 1000)


def recalibration_figure(report: TransferReport) -> Figure:
    """Factor with its error, and residuals of the held-out stars before and after the transfer.

    Parameters
    ----------
    report : TransferReport

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, (top, bottom) = subplots(2, 1, sharex=True, size=(7.0, 5.5))
    x, factor, error = report.wavelength, report.factor, report.factor * report.error
    for n_sigma, shade in ((2, 0.25), (1, 0.45)):
        low, high = factor - n_sigma * error, factor + n_sigma * error
        label = rf"{n_sigma} $\sigma$"
        top.fill_between(x, low, high, color=BLUE, alpha=shade, lw=0, label=label)
    top.plot(x, factor, color=BLUE, lw=1.2, label="factor")
    top.axhline(1.0, color="0.6", lw=0.8)
    window = "" if report.absolute else f"\nrelative to {LOW:g}-{HIGH:g} nm"
    top.set(ylabel=f"flux, new / old{window}")
    top.set_title(f"{report.n_stars} stars in common", fontsize=10)
    for residual, colour, label in zip(
        report.residual, (VERMILION, BLUE), ("before", "after"), strict=True
    ):
        bottom.plot(x, residual, ".-", ms=3, lw=1, color=colour, label=label)
    bottom.axhline(0.0, color="0.6", lw=0.8)
    bottom.set(ylabel="(observed - fitted) / fitted")
    bottom.set_title(f"median of {report.n_held_out} stars that were held out", fontsize=10)
    wavelength_axis(bottom, TICKS)
    for axes in (top, bottom):
        axes.legend(fontsize=8)
    return figure
