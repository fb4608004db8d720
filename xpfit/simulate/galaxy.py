"""Simulated catalogues of any size: estimates with correct errors in a known dust field.

No spectra are simulated and nothing is fitted, so that ten million stars take minutes. Maps and
reports can be tested on such catalogues, since what they should show is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table, vstack
from scipy.special import erf

from ..catalogue import REFERENCE_PREFIX, STELLAR_PARAMETERS, add_column
from ..catalogue.describe import describe
from ..errors import InputError
from ..healpix import first_source_id
from ..model import XPModel
from ..quality import QualityFlag
from ..quantities import BASIC_LABELS, quantity
from ..releases import DR3
from .noise import G_ZERO_POINT, gaia_parallax_err
from .stars import ln_luminosity

CHUNK = 50_000
"""Stars drawn at a time; a catalogue's numbers depend on it."""

DISC_SCALE = (1500.0, 300.0)
"""pc; mean distance in the plane and mean height of the stars."""

FAINTEST = 17.65
"""G of the faintest sources with published XP spectra."""

G_EXTINCTION = 2.4
"""A(G) over E(B-V), roughly."""

BAD_SHARE = 0.03
"""Fraction of stars that are not single: their chi2 is high, their estimates are wrong."""

SURVEY_SHARE = 0.05
"""Fraction of stars with labels of a spectroscopic survey."""

REFERENCE_ERR = {"teff": 0.03, "feh": 0.04, "logg": 0.05, "alpha_m": 0.02}
"""Errors of that survey's labels, in kK and dex."""

N_OBS = 66


@dataclass(frozen=True)
class Cloud:
    """A round cloud of dust, with a Gaussian profile.

    Attributes
    ----------
    place : tuple of float
        Galactic Cartesian coordinates about the Sun (pc): to the Galactic centre, along its
        rotation, to the north.
    radius : float
        pc, one standard deviation.
    density : float
        mag / pc at the centre.
    """

    place: tuple[float, float, float]
    radius: float
    density: float


@dataclass(frozen=True)
class DustField:
    """A disc of dust, exponential in height, and clouds.

    Attributes
    ----------
    density : float
        mag / pc in the plane.
    height : float
        pc, over which the disc falls by e.
    clouds : tuple of Cloud
    """

    density: float = 2e-4
    height: float = 100.0
    clouds: tuple[Cloud, ...] = (
        Cloud((-150.0, 40.0, -40.0), 25.0, 6e-3),
        Cloud((130.0, -10.0, 35.0), 20.0, 6e-3),
        Cloud((-350.0, -150.0, -130.0), 40.0, 5e-3),
        Cloud((200.0, 350.0, 30.0), 70.0, 3e-3),
        Cloud((700.0, 300.0, 0.0), 150.0, 1.5e-3),
        Cloud((100.0, 1300.0, 20.0), 200.0, 1.5e-3),
        Cloud((-900.0, 900.0, 0.0), 200.0, 1e-3),
        Cloud((-800.0, -900.0, -30.0), 200.0, 1e-3),
        Cloud((900.0, -1000.0, 0.0), 220.0, 1e-3),
    )

    def at(self, place: np.ndarray) -> np.ndarray:
        """Density dE/dr (mag / pc) at places of shape (..., 3), pc."""
        density = self.density * np.exp(-np.abs(place[..., 2]) / self.height)
        for cloud in self.clouds:
            squared = np.sum((place - np.array(cloud.place)) ** 2, axis=-1)
            density = density + cloud.density * np.exp(-0.5 * squared / cloud.radius**2)
        return density

    def extinction(self, place: np.ndarray) -> np.ndarray:
        """E (mag) from the Sun to places of shape (..., 3), pc: the exact integral of `at`."""
        distance = np.linalg.norm(place, axis=-1)
        along = np.maximum(distance, 1e-9)
        depth = np.maximum(np.abs(place[..., 2]) / self.height, 1e-12)
        total = self.density * distance * -np.expm1(-depth) / depth
        for cloud in self.clouds:
            centre, width = np.array(cloud.place), cloud.radius
            nearest = place @ centre / along
            squared = np.maximum(np.sum(centre**2) - nearest**2, 0.0)
            column = erf((distance - nearest) / (width * np.sqrt(2.0)))
            column = column + erf(nearest / (width * np.sqrt(2.0)))
            peak = cloud.density * width * np.sqrt(0.5 * np.pi)
            total = total + peak * np.exp(-0.5 * squared / width**2) * column
        return total


def iterate_mock(
    model: XPModel, n_star: int, rng: np.random.Generator, dust: DustField | None = None
) -> Iterator[Table]:
    """A simulated catalogue, part by part.

    Parameters
    ----------
    model : XPModel
        Stars are drawn from its prior; luminosities follow from log g.
    n_star : int
    rng : numpy.random.Generator
    dust : DustField, optional

    Yields
    ------
    astropy.table.Table
        The columns of ZGR23's table 2, each parameter by name, magnitudes, and for one star in
        twenty labels of a survey. Estimates scatter about the truth by their errors, except for 3 %
        of the stars, whose estimates are wrong and whose chi2 is high.

    Raises
    ------
    InputError
        If `n_star` is less than one.
    """
    if n_star < 1:
        raise InputError(f"a catalogue needs at least one star, got {n_star}")
    for first in range(0, n_star, CHUNK):
        yield _draw(model, min(CHUNK, n_star - first), first, rng, dust or DustField())


def _draw(model, n, first, rng, dust) -> Table:
    """One part of a catalogue."""
    truth = Table()
    while len(truth) < n:
        drawn = _stars(model, n, rng, dust)
        truth = vstack([truth, drawn[drawn["g"] < FAINTEST]])
    return _observe(model, {name: truth[name].data[:n] for name in truth.colnames}, first, rng)


def _stars(model, n, rng, dust) -> Table:
    """Stars of the Galactic disc, of any magnitude."""
    labels = np.empty((0, len(model.label_names)))
    while len(labels) < n:
        drawn = model.prior.sample(n, rng)
        labels = np.concatenate([labels, drawn[model.in_range(drawn).all(axis=1)]])
    labels = labels[:n]
    radius, angle = rng.gamma(2.0, 0.5 * DISC_SCALE[0], n), rng.uniform(0.0, 2.0 * np.pi, n)
    place = np.column_stack(
        [radius * np.cos(angle), radius * np.sin(angle), rng.laplace(0.0, DISC_SCALE[1], n)]
    )
    extinction = dust.extinction(place)
    distance = np.linalg.norm(place, axis=1)
    ln_flux = ln_luminosity(labels, model.label_names) - 2.0 * np.log(distance / 1000.0)
    g = -2.5 / np.log(10.0) * (ln_flux - np.log(G_ZERO_POINT))
    stars = Table(labels, names=model.label_names)
    stars["extinction"], stars["parallax"] = extinction, 1000.0 / distance
    stars["g"] = g + G_EXTINCTION * extinction
    stars["longitude"] = np.degrees(np.arctan2(place[:, 1], place[:, 0])) % 360.0
    stars["latitude"] = np.degrees(np.arcsin(place[:, 2] / distance))
    stars["ln_prior"] = model.prior.ln_p(labels)
    return stars


def _errors(g: np.ndarray, parallax: np.ndarray) -> dict[str, np.ndarray]:
    """Typical errors of fits to stars of given magnitudes, in kK, dex, mag, mas."""
    noise = 10.0 ** (0.2 * (g - 15.0))
    return {
        "teff": np.hypot(0.03, 0.05 * noise),
        "feh": np.hypot(0.05, 0.10 * noise),
        "logg": np.hypot(0.06, 0.12 * noise),
        "alpha_m": np.hypot(0.02, 0.04 * noise),
        "extinction": np.hypot(0.008, 0.02 * noise),
        "parallax": 1.0 / np.hypot(1.0 / gaia_parallax_err(g), 1.0 / (0.2 * parallax)),
    }


def _observe(model, truth, first, rng) -> Table:
    """The catalogue of simulated stars, numbered from `first`."""
    n, g = len(truth["g"]), truth["g"]
    names = (*model.label_names, "extinction", "parallax")
    errors = _errors(g, truth["parallax"])
    bad = rng.random(n) < BAD_SHARE
    values = {
        name: truth[name] + np.where(bad, 8.0, 1.0) * errors[name] * rng.standard_normal(n)
        for name in names
    }
    for name in ("extinction", "parallax"):
        values[name] = np.maximum(values[name], 0.1 * errors[name])
    dof = N_OBS - len(names)
    chi2 = rng.chisquare(dof, n) * np.where(bad, 4.0, 1.0)
    position = SkyCoord(truth["longitude"] * u.deg, truth["latitude"] * u.deg, frame="galactic")
    ra, dec = position.icrs.ra.deg, position.icrs.dec.deg
    flags = np.where(bad, 7, 0) | np.where(chi2 > 2.0 * dof, int(QualityFlag.HIGH_CHI2), 0)
    flags |= np.where(truth["ln_prior"] < model.ln_prior_threshold, int(QualityFlag.LOW_PRIOR), 0)
    estimate, error = (
        np.column_stack([x[name] for name in STELLAR_PARAMETERS]) for x in (values, errors)
    )
    columns = {
        DR3.id_column: first_source_id(ra, dec) + 1 + first + np.arange(n),
        "ra": ra,
        "dec": dec,
        "stellar_params_est": estimate,
        "stellar_params_err": error,
        "chi2_opt": chi2,
        "ln_prior": truth["ln_prior"],
        **{f"{name}_confidence": np.where(bad, 0.3, 0.95) for name in BASIC_LABELS},
        "quality_flags": flags.astype(np.uint8),
        "stellar_params_icov_triu": _diagonals(error**-2.0),
        "stellar_params_cov_triu": _diagonals(error**2),
    }
    for name in names:
        factor = quantity(name).factor
        columns |= {name: factor * values[name], f"{name}_err": factor * errors[name]}
    columns |= {
        "fit_flags": np.zeros(n, dtype=np.int32),
        "n_obs": np.full(n, N_OBS, dtype=np.int16),
        "status": np.zeros(n, dtype=np.uint8),
    }
    table = Table(meta={"CREATOR": "xpfit simulate --catalogue", "MODELID": model.fingerprint})
    for name, column in (columns | _gaia_columns(truth, rng)).items():
        add_column(table, name, column)
    _add_reference_labels(table, model, truth, rng)
    return table


def _gaia_columns(truth, rng) -> dict[str, np.ndarray]:
    """Gaia's parallaxes and magnitudes, by name."""
    g, parallax_err = truth["g"], gaia_parallax_err(truth["g"])
    colour = (5.04 / truth["teff"] - 0.493) / 0.509 + 1.3 * truth["extinction"]
    return {
        "gaia_parallax": truth["parallax"] + parallax_err * rng.standard_normal(len(g)),
        "gaia_parallax_error": parallax_err,
        "phot_g_mean_mag": g,
        "phot_bp_mean_mag": g + 0.4 * colour,
        "phot_rp_mean_mag": g - 0.6 * colour,
    }


def _add_reference_labels(table, model, truth, rng) -> None:
    """Add labels of a spectroscopic survey, which observed a few of the stars."""
    n = len(table)
    observed = rng.random(n) < SURVEY_SHARE
    for name in model.label_names:
        error, factor = REFERENCE_ERR[name], quantity(name).factor
        measured = truth[name] + error * rng.standard_normal(n)
        for suffix, values in (("", measured), ("_err", np.full(n, error))):
            values = np.where(observed, factor * values, np.nan)
            text = describe(name + suffix, REFERENCE_PREFIX)
            add_column(table, REFERENCE_PREFIX + name + suffix, values, text)
    add_column(table, f"{REFERENCE_PREFIX}snr", np.where(observed, 100.0, np.nan))


def _diagonals(variance: np.ndarray) -> np.ndarray:
    """Upper triangles of diagonal matrices."""
    rows, columns = np.triu_indices(variance.shape[1])
    return np.where(rows == columns, variance[:, rows], 0.0)
