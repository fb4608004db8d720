"""A simulated survey in a field of dust, and a map of that with errors."""

import numpy as np
from astropy_healpix import HEALPix

from xpfit.dust import DustMap
from xpfit.simulate import simulate_survey
from xpfit.simulate.galaxy import DustField

FIELD = DustField(density=8e-4)
"""Dense enough that a tenth of the stars have E > 0.4."""


class NoisyMap(DustMap):
    """The map of a field of dust, wrong by a fraction that is the same within a HEALPix cell."""

    name = "mock"

    def __init__(self, field, rng, rms=0.15, nside=64):
        self.field, self.rms = field, rms
        self.cells = HEALPix(nside)
        self.error = rms * rng.standard_normal(self.cells.npix)

    def reliable(self, position):
        return np.zeros(len(position)), np.full(len(position), 20_000.0)

    def at(self, place):
        galactic = place.galactic
        true = self.field.extinction(galactic.cartesian.xyz.to_value("pc").T)
        error = self.error[self.cells.lonlat_to_healpix(galactic.l, galactic.b)]
        return true * (1.0 + error), self.rms * true


def dusty_survey(model, n_star, rng, types=None):
    """Stars whose E is that of `FIELD` where they are."""
    return simulate_survey(model, n_star, rng, types=types, dust=FIELD)


def without_estimates(spectra):
    """The same stars, nothing known of E."""
    n = len(spectra)
    return spectra.replace(extinction=np.full(n, np.nan), extinction_err=np.full(n, np.inf))


def curve_ratio(trained, model):
    """Learned over true R(lambda) in the trained channels: shape (median 1), and scale."""
    known = trained.trained_channels
    ratio = trained.forward.extinction_curve[known] / model.forward.extinction_curve[known]
    return ratio / np.median(ratio), np.median(ratio)


def flux_error(trained, survey):
    """|ln f_abs - truth| (n_star, n_channel)."""
    known = trained.trained_channels
    learned = trained.forward.ln_absolute_flux(survey.truth["labels"])[:, known]
    return np.abs(learned - survey.truth["ln_absolute_flux"][:, known])
