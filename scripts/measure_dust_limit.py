"""How well dust can act on coefficients, star by star, and what the second-order term brings.

Dust reddens light before the instrument blurs it; in coefficient space it acts after. This script
reddens the calibrated spectra of real stars, does the same to their coefficients with
M(E) = H+ diag(exp(-E R(u) + E^2 Q(u))) H, samples those, and prints by how much the two differ. R(u)
and Q(u) are fitted to all stars but the one that is tested.

    python scripts/measure_dust_limit.py FILE...    # XP continuous spectra, a few stars at least
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.optimize import least_squares

from xpfit.model import ccm89_curve
from xpfit.prepare import coefficient_space
from xpfit.prepare.bases import sampled_design
from xpfit.read import XP_BANDS, read_continuous
from xpfit.space import CoefficientSpace

GRID = np.arange(400.0, 991.0, 4.0)
"""Wavelengths (nm) of the comparison."""

EXTINCTIONS = (0.1, 0.3, 0.5, 1.0, 1.5, 2.0)
PRIOR_ERROR = (0.5, 0.1)
"""How far R and Q may stray from CCM89 and zero where the stars leave them open."""


def read_coefficients(paths: list[str]) -> np.ndarray:
    """Coefficients of BP and RP, (n_star, 110), of all stars that have both."""
    tables = [table for path in paths for table in read_continuous(path)]
    bands = [
        np.concatenate([np.asarray(table[f"{band}_coefficients"]) for table in tables])
        for band in XP_BANDS
    ]
    coefficients = np.hstack(bands)
    return coefficients[np.isfinite(coefficients).all(axis=1)]


class DustOnCoefficients:
    """Fractional error of M(E) for some stars, as a function of R(u) and Q(u)."""

    def __init__(self, space: CoefficientSpace, coefficients: np.ndarray, second_order: bool):
        self.n_u = 2 * space.bp_basis.shape[1]
        self.second_order = second_order
        design = sampled_design(GRID)
        self.sampling = np.zeros((space.n_obs, len(GRID)))
        self.sampling[: len(coefficients[0])] = np.vstack([design.bp, design.rp])
        padded = np.pad(coefficients, ((0, 0), (0, space.n_bands)))
        self.flux, self.spectrum = padded @ self.sampling, space.spectrum(padded)[:, : self.n_u]
        self.to_flux = space.observe(np.eye(space.n_grid))[: self.n_u] @ self.sampling
        self.curve = ccm89_curve(GRID)

    def error(self, parameters: np.ndarray, extinction: float) -> tuple[np.ndarray, np.ndarray]:
        """Fractional error (n_star, n_wavelength), and its derivative with respect to R and Q."""
        first, second = np.split(parameters, 2)
        transmission = np.exp(-extinction * first + extinction**2 * second * self.second_order)
        dimmed = self.spectrum * transmission
        reddened = self.flux * np.exp(-extinction * self.curve)
        slope = dimmed[:, None, :] * self.to_flux.T / reddened[:, :, None]
        both = (-extinction * slope, extinction**2 * slope * self.second_order)
        return (dimmed @ self.to_flux) / reddened - 1.0, np.concatenate(both, axis=2)

    def fit(self, start: np.ndarray) -> np.ndarray:
        """R and Q that make the error smallest over all extinctions."""
        prior = np.repeat(PRIOR_ERROR, self.n_u) * 100.0

        def residual(parameters):
            errors = [self.error(parameters, e)[0].ravel() for e in EXTINCTIONS]
            return np.concatenate([*errors, (parameters - start) / prior])

        def jacobian(parameters):
            slopes = [self.error(parameters, e)[1].reshape(-1, len(start)) for e in EXTINCTIONS]
            return np.concatenate([*slopes, np.diag(1.0 / prior)])

        return least_squares(residual, start, jacobian, x_scale="jac", max_nfev=30).x


def main() -> None:
    """Print the errors."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("files", nargs="+", metavar="FILE")
    coefficients = read_coefficients(parser.parse_args().files)
    space = coefficient_space()
    n_u = 2 * space.bp_basis.shape[1]
    start = np.concatenate([ccm89_curve(space.wavelength[:n_u]), np.zeros(n_u)])
    print(f"{len(coefficients)} stars; fractional error of the flux, each star left out in turn")
    print(f"{'E':>5}  {'Q = 0':>18}  {'with Q':>18}\n" + f"{'':5}" + "       median  worst" * 2)
    columns = []
    for second_order in (False, True):
        errors = {extinction: [] for extinction in EXTINCTIONS}
        for left_out in range(len(coefficients)):
            others = np.delete(coefficients, left_out, axis=0)
            parameters = DustOnCoefficients(space, others, second_order).fit(start)
            star = DustOnCoefficients(space, coefficients[left_out : left_out + 1], second_order)
            for extinction in EXTINCTIONS:
                errors[extinction].append(np.abs(star.error(parameters, extinction)[0][0]))
        columns.append(errors)
    for extinction in EXTINCTIONS:
        cells = [
            f"{np.median(errors[extinction]):12.2%} {np.max(errors[extinction]):7.2%}"
            for errors in columns
        ]
        print(f"{extinction:5.1f}" + "".join(cells))


if __name__ == "__main__":
    main()
