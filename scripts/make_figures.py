"""Draw the figures of the README from the sample and the shipped model."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import xpfit
from xpfit.plots import residual_figure, spectrum_figure
from xpfit.quality import is_reliable
from xpfit.validate import compare

DATA = Path(__file__).resolve().parents[1] / "data"
EXTINCTION_SHOWN = (0.25, 0.5)
"""mag; the spectrum shown is of a star with visible dust."""


def main() -> None:
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
