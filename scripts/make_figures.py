"""Draw the figures of the README and the documentation with the shipped model.

From the sample; with ``--library`` and ``--parallaxes`` also those of the whole APOGEE-XP library
with measured parallaxes (such as data/library_parallaxes.csv).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import xpfit
from xpfit.plots import residual_figure, spectrum_figure
from xpfit.plots.cmd import cmd_figure
from xpfit.plots.tension import tension_figure
from xpfit.prepare import attach_astrometry
from xpfit.quality import is_reliable
from xpfit.read import read_table
from xpfit.validate import compare
from xpfit.validate.cmd import colour_magnitude
from xpfit.validate.tension import tensions

DATA = Path(__file__).resolve().parents[1] / "data"
EXTINCTION_SHOWN = (0.25, 0.5)
"""mag; the spectrum shown is of a star with visible dust."""


def main() -> None:
    """Draw what there are data for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", help="spectra of the APOGEE-XP library")
    parser.add_argument("--parallaxes", help="table of parallaxes of its stars")
    options = parser.parse_args()
    if options.library and options.parallaxes:
        draw_library(options.library, options.parallaxes)
    else:
        draw_sample()


def draw_library(library: str, parallaxes: str) -> None:
    """Fit the library's stars with measured parallaxes, and draw."""
    model, measured = xpfit.load_model(), read_table(parallaxes)
    spectra = xpfit.read_spectra(library, model=model)
    _, first = np.unique(spectra.source_id, return_index=True)
    spectra = spectra[first[np.isin(spectra.source_id[first], measured["source_id"])]]
    spectra = attach_astrometry(spectra, measured)
    table = xpfit.result_table(model, spectra, model.fit(spectra, n_jobs=-1))
    figures = DATA / "figures"
    cmd_figure(colour_magnitude([table])).savefig(figures / "cmd.png", dpi=90)
    tension_figure(tensions([table])).savefig(figures / "tension.png", dpi=100)
    print(f"wrote {figures}/cmd.png and tension.png ({len(table)} stars)")


def draw_sample() -> None:
    """Fit the sample and draw."""
    figures = DATA / "figures"
    figures.mkdir(exist_ok=True)
    model = xpfit.load_model()
    spectra = xpfit.read_spectra(DATA / "apogee_xp_sample.fits", model=model)
    result = model.fit(spectra, n_jobs=-1)
    table = xpfit.result_table(model, spectra, result)
    residual_figure(compare(table)).savefig(figures / "validation.png", dpi=100)
    reliable = is_reliable(table["quality_flags"], table["fit_flags"])
    low, high = EXTINCTION_SHOWN
    dusty = reliable & (result["extinction"] > low) & (result["extinction"] < high)
    # A typical fit, not the best one.
    rows = np.flatnonzero(dusty)
    row = int(rows[np.argsort(result.chi2[rows])[len(rows) // 2]])
    spectrum_figure(model, spectra, result, row).savefig(figures / "spectrum.png", dpi=110)
    print(f"wrote {figures}/validation.png and spectrum.png (row {row})")


if __name__ == "__main__":
    main()
