"""Optimum and Fisher errors against samples of the posterior."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.table import Table

from ..fit.sampling import PosteriorSample
from ..quantities import factors, quantity
from ..releases import DR3

MAX_OFFSET = 0.3
"""Fisher errors away from the optimum, up to which a median counts as equal to it."""

MAX_WIDTH_CHANGE = 0.25
"""Relative difference of widths, up to which they count as equal."""

BIMODAL = 5.0 / 9.0
"""Sarle's bimodality coefficient of a uniform distribution; two modes give more."""


def posterior_table(samples: Sequence[PosteriorSample], *, absolute: bool = True) -> Table:
    """Compare Fisher errors with sampled posteriors, and measure skewness and bimodality.

    Parameters
    ----------
    samples : sequence of PosteriorSample
        Of the same model.
    absolute : bool
        Whether the model has luminosities; otherwise `parallax` is the square root of the
        spectrum's amplitude, which has no unit.

    Returns
    -------
    astropy.table.Table
        One row per star: for each parameter the optimum (`NAME`, `NAME_err`), the quantiles of the
        posterior (`NAME_median`, `NAME_lower`, `NAME_upper`: 50, 16, 84 %), `NAME_offset` (median
        minus optimum, in Fisher errors), `NAME_width` (half of the 16-84 % range over the Fisher
        error), `NAME_skewness`, `NAME_bimodality` (Sarle's coefficient); then `n_steps`,
        `converged`, `autocorrelation` (the longest time) and `acceptance`. In K, dex, mag, mas;
        the columns have these units, but for dex.
    """
    rows = [_row(sample) for sample in samples]
    if not rows:
        return Table()
    table = Table(rows, names=list(rows[0]))
    for name in samples[0].parameter_names:
        if name != "parallax" or absolute:
            for suffix in ("", "_err", "_median", "_lower", "_upper"):
                table[name + suffix].unit = quantity(name).table_unit
    return table


def _row(sample: PosteriorSample) -> dict:
    """One row of `posterior_table`."""
    from scipy import stats

    row: dict = {DR3.id_column: sample.source_id}
    scale = factors(sample.parameter_names)
    flat, best, error = (x * scale for x in (sample.flat, sample.best, sample.error))
    lower, median, upper = np.quantile(flat, [0.16, 0.5, 0.84], axis=0)
    skewness, kurtosis = stats.skew(flat), stats.kurtosis(flat, fisher=False)
    for i, name in enumerate(sample.parameter_names):
        row |= {
            name: best[i],
            f"{name}_err": error[i],
            f"{name}_median": median[i],
            f"{name}_lower": lower[i],
            f"{name}_upper": upper[i],
            f"{name}_offset": (median[i] - best[i]) / error[i],
            f"{name}_width": 0.5 * (upper[i] - lower[i]) / error[i],
            f"{name}_skewness": skewness[i],
            f"{name}_bimodality": (skewness[i] ** 2 + 1.0) / kurtosis[i],
        }
    return row | {
        "n_steps": sample.n_steps,
        "converged": sample.converged,
        "autocorrelation": float(np.max(sample.autocorrelation)),
        "acceptance": sample.acceptance,
    }


def posterior_shares(table: Table, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """How often medians, widths and shapes of posteriors agree with optimum and Fisher errors.

    Parameters
    ----------
    table : astropy.table.Table
        From `posterior_table`.
    names : sequence of str
        Parameters.

    Returns
    -------
    dict of str to dict
        By parameter: fractions of the stars with `median` within 0.3 Fisher errors of the optimum,
        `width` within 25 % of the Fisher error, `skew` (beyond 0.5) and `bimodal` posteriors.
    """
    fractions = {}
    for name in names:
        offset, width = np.abs(table[f"{name}_offset"]), table[f"{name}_width"]
        fractions[name] = {
            "median": float(np.mean(offset < MAX_OFFSET)),
            "width": float(np.mean(np.abs(width - 1.0) < MAX_WIDTH_CHANGE)),
            "skew": float(np.mean(np.abs(table[f"{name}_skewness"]) > 0.5)),
            "bimodal": float(np.mean(table[f"{name}_bimodality"] > BIMODAL)),
        }
    return fractions
