"""A model applied to another release whose flux differs smoothly, before and after transfer.

Stars are simulated by the shipped model. The flux of the new release differs by 2 %, in the blue by
5 %. Part of the stars are in common and transfer the model; biases and pulls are against the truth
of others, in sigma of their fits, of single stars with reliable fits.

By default the emulator is exact, in simulation and fits, and the errors are those of the
measurements. With --emulator-error the stars have the errors that the model claims for itself, of
its flux and luminosities, and fits allow for them.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

import xpfit
from xpfit.fit import FitResult, Fitter
from xpfit.quality import is_reliable
from xpfit.quality.flags import fit_flags, quality_flags
from xpfit.quality.transfer import transfer_model
from xpfit.simulate import Survey, simulate_survey
from xpfit.statistics import robust_width

GROUPS = {
    "all": lambda g, teff, logg: g > 0,
    "G < 11": lambda g, teff, logg: g < 11,
    "G 11-13": lambda g, teff, logg: (g >= 11) & (g < 13),
    "G > 13": lambda g, teff, logg: g >= 13,
    "giants < 4500 K": lambda g, teff, logg: (logg < 3.8) & (teff < 4.5),
    "giants > 4500 K": lambda g, teff, logg: (logg < 3.8) & (teff >= 4.5),
    "dwarfs < 5500 K": lambda g, teff, logg: (logg >= 3.8) & (teff < 5.5),
    "dwarfs > 5500 K": lambda g, teff, logg: (logg >= 3.8) & (teff >= 5.5),
}
"""By G and by the true Teff (kK) and log g."""


def ln_distortion(model: xpfit.XPModel) -> np.ndarray:
    """ln flux of the new release over the old: 2 %, 5 % in the blue; photometry is the same."""
    x = (model.wavelength - 362.0) / 636.0
    smooth = 0.02 * np.sin(2.0 * np.pi * x) + 0.05 * np.exp(-((x / 0.12) ** 2))
    return np.where(model.space.is_band, 0.0, smooth)


def new_release(
    model: xpfit.XPModel, survey: Survey, ln_factor: np.ndarray, rng: np.random.Generator
) -> xpfit.Spectra:
    """The survey's spectra with the errors that the model claims, and another calibration."""
    n_star, spectra = len(survey.spectra), survey.spectra
    if model.covariance is None:
        return spectra.replace(flux=spectra.flux * np.exp(ln_factor))
    relative = rng.standard_normal((n_star, model.space.n_obs)) @ model.covariance.root().T
    luminosity = model.luminosity_error(survey.truth["labels"]) * rng.standard_normal(n_star)
    factor = (1.0 + relative) * np.exp(luminosity[:, None] + ln_factor)
    return spectra.replace(flux=spectra.flux * factor)


def report(model: xpfit.XPModel, spectra: xpfit.Spectra, fit: FitResult, truth: dict) -> None:
    """Print medians and widths of (fitted - true) / error, by magnitude and type."""
    names = [*model.label_names, "extinction", "parallax"]
    true = np.column_stack([truth["labels"], truth["extinction"], truth["parallax"]])
    good = is_reliable(quality_flags(model, spectra, fit), fit_flags(model, spectra, fit))
    good &= truth["mass_ratio"] == 0
    pull = (fit.parameters[:, : len(names)] - true) / fit.errors[:, : len(names)]
    chi2 = np.median(fit.chi2[good] / fit.dof[good])
    print(f"{good.sum()} of {len(good)} reliable, chi2 per degree of freedom {chi2:.3f}")
    print(f"{'':16s}{'n':>6s}" + "".join(f"{name:>16s}" for name in names))
    teff, logg = (true[:, names.index(name)] for name in ("teff", "logg"))
    for name, chosen in GROUPS.items():
        rows = good & chosen(spectra.gaia["phot_g_mean_mag"], teff, logg)
        cells = [f"{np.median(p):+9.2f}{robust_width(p):7.2f}" for p in pull[rows].T]
        print(f"{name:16s}{rows.sum():6d}" + "".join(cells))


def main() -> None:
    """Simulate, fit, transfer, fit again."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--common", type=int, default=2000, help="stars in common")
    parser.add_argument("--others", type=int, default=2000, help="stars to test with")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--emulator-error", action="store_true", help="stars differ from the model")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    model, rng = xpfit.load_model(), np.random.default_rng(options.seed)
    if not options.emulator_error:
        model = replace(model, covariance=None)
    ln_factor = ln_distortion(model)
    common = simulate_survey(model, options.common, rng)
    others = simulate_survey(model, options.others, rng)
    state = rng.bit_generator.state
    spectra = new_release(model, others, ln_factor, rng)
    rng.bit_generator.state = state
    same = new_release(model, others, np.zeros_like(ln_factor), rng)
    new, found = transfer_model(
        model, new_release(model, common, ln_factor, rng), seed=options.seed, n_jobs=options.jobs
    )
    print(found)
    off = np.log(found.factor) - ln_factor[np.isin(model.wavelength, found.wavelength)]
    print(f"factor off by {off.min():+.4f} to {off.max():+.4f}")
    for what, used, data in (
        ("old model, old release", model, same),
        ("old model, new release", model, spectra),
        ("transferred model, new release", new, spectra),
    ):
        print(f"\n{what}: median and width of (fitted - true) / sigma")
        fit = Fitter(used, n_jobs=options.jobs).fit(data, progress=False)
        report(used, data, fit, others.truth)


if __name__ == "__main__":
    main()
