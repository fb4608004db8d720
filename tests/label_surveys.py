"""Simulated surveys with label systems of their own, and tables of the forms that surveys have."""

import numpy as np
from astropy.table import Table

OFFSETS = {"teff": 80.0, "feh": 0.08, "logg": 0.1}
SLOPES = {"teff": 0.03, "feh": -0.05, "logg": 0.04}
SCATTER = {"teff": 40.0, "feh": 0.05, "logg": 0.06}
ERRORS = {"teff": (25.0, 60.0), "feh": (0.03, 0.06), "logg": (0.04, 0.1)}
PIVOT = {"teff": 5200.0, "feh": -0.2, "logg": 3.5}


def true_labels(n, rng):
    """Labels of giants and dwarfs."""
    giant = rng.random(n) < 0.4
    return {
        "teff": np.where(giant, rng.normal(4700, 250, n), rng.normal(5900, 450, n)),
        "feh": rng.normal(-0.25, 0.35, n),
        "logg": np.where(giant, rng.normal(2.5, 0.4, n), rng.normal(4.3, 0.25, n)),
    }


def measured(truth, rows, rng, *, offsets=None, slopes=None, scatter=None, outliers=0.0):
    """A survey's table of some stars: `offsets` and so on are zero by default."""
    table = Table({"source_id": 2**60 + np.asarray(rows, dtype=np.int64)})
    for name, (low, high) in ERRORS.items():
        x, error = truth[name][rows], rng.uniform(low, high, len(rows))
        pivot, slope = PIVOT[name], (slopes or {}).get(name, 0.0)
        y = pivot + (offsets or {}).get(name, 0.0) + (1 + slope) * (x - pivot)
        noise = np.hypot(error, (scatter or {}).get(name, 0.0))
        y += noise * rng.standard_normal(len(rows))
        wrong = rng.random(len(rows)) < outliers
        y[wrong] += 30 * high * rng.standard_normal(wrong.sum())
        table[name], table[f"{name}_err"] = y, error
    table["snr"] = rng.uniform(20, 200, len(rows))
    return table


def true_offset(name, pivot, offsets=OFFSETS, slopes=SLOPES):
    """Offset at another pivot."""
    return offsets[name] + slopes[name] * (pivot - PIVOT[name])
