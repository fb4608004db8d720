"""How well dust can act on coefficients, star by star, and what the second-order term brings.

Dust reddens light before the instrument blurs it; in coefficient space it acts after. This script
reddens the calibrated spectra of real stars, does the same to their coefficients with
M(E) = H+ diag(exp(-E R(u) + E^2 Q(u))) H, samples those, and prints by how much the two differ.
R(u), near CCM89, and Q(u) are smooth curves, fitted to all stars but the one that is tested.

    python scripts/measure_dust_limit.py FILE...    # XP continuous spectra, a few stars at least
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.interpolate import BSpline
from scipy.optimize import least_squares

from xpfit.data.space import CoefficientSpace
from xpfit.model import ccm89_curve
from xpfit.prepare import coefficient_space
from xpfit.prepare.bases import sampled_design
from xpfit.read import XP_BANDS, read_continuous

GRID = np.arange(400.0, 991.0, 4.0)
"""Wavelengths (nm) of the comparison."""

EXTINCTIONS = (0.1, 0.3, 0.5, 1.0, 1.5, 2.0)
N_SPLINES = 12
"""Cubic B-splines that make up R - CCM89, and Q, in each band."""

FAINTEST = 0.02
"""Flux, as a fraction of a star's brightest sample, below which errors are not counted."""


def read_coefficients(paths: list[str]) -> np.ndarray:
    """Coefficients of BP and RP, (n_star, 110), of all stars that have both."""
    tables = [table for path in paths for table in read_continuous(path)]
    bands = [
        np.concatenate([np.asarray(table[f"{band}_coefficients"]) for table in tables])
        for band in XP_BANDS
    ]
    coefficients = np.hstack(bands)
    return coefficients[np.isfinite(coefficients).all(axis=1)]


def smooth_curves(n_u: int) -> np.ndarray:
    """B-splines on the pseudo-wavelengths of both bands, (2 N_SPLINES, 2 n_u)."""
    knots = np.concatenate([[0.0] * 3, np.linspace(0.0, 60.0, N_SPLINES - 2), [60.0] * 3])
    splines = BSpline.design_matrix(np.linspace(0.0, 60.0, n_u), knots, 3).toarray().T
    return np.kron(np.eye(2), splines)


class DustOnCoefficients:
    """Fractional error of M(E) for given stars, as a function of the splines of R and Q."""

    def __init__(self, space: CoefficientSpace, coefficients: np.ndarray, second_order: bool):
        n_u = space.bp_basis.shape[1]
        self.splines, self.second_order = smooth_curves(n_u), second_order
        design = sampled_design(GRID)
        sampling = np.zeros((space.n_obs, len(GRID)))
        sampling[: coefficients.shape[1]] = np.vstack([design.bp, design.rp])
        padded = np.pad(coefficients, ((0, 0), (0, space.n_bands)))
        self.flux, self.spectrum = padded @ sampling, space.spectrum(padded)[:, : 2 * n_u]
        self.to_flux = space.observe(np.eye(space.n_grid))[: 2 * n_u] @ sampling
        self.start = ccm89_curve(space.wavelength[: 2 * n_u])
        self.counted = self.flux > FAINTEST * self.flux.max(axis=1, keepdims=True)

    def error(self, parameters: np.ndarray, extinction: float) -> np.ndarray:
        """Fractional error where it counts, shape (n_counted,)."""
        first, second = (part @ self.splines for part in np.split(parameters, 2))
        ln_transmission = -extinction * (self.start + first)
        if self.second_order:
            ln_transmission += extinction**2 * second
        sampled = (self.spectrum * np.exp(ln_transmission)) @ self.to_flux
        return (sampled / (self.flux * np.exp(-extinction * ccm89_curve(GRID))) - 1.0)[self.counted]

    def fit(self) -> np.ndarray:
        """Splines that make the error smallest over all extinctions, robustly."""
        found = least_squares(
            lambda x: np.concatenate([*(self.error(x, e) for e in EXTINCTIONS), 1e-3 * x]),
            np.zeros(2 * len(self.splines)),
            loss="soft_l1",
            f_scale=0.02,
        )
        return found.x


def main() -> None:
    """Print the errors."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("files", nargs="+", metavar="FILE")
    coefficients = read_coefficients(parser.parse_args().files)
    space = coefficient_space()
    print(f"{len(coefficients)} stars; fractional error of the flux, each star left out in turn")
    print(f"{'E':>5}{'Q = 0':>24}{'with Q':>24}\n{'':5}" + f"{'median':>12}{'90 %':>12}" * 2)
    columns = []
    for second_order in (False, True):
        errors = {extinction: [] for extinction in EXTINCTIONS}
        for left_out in range(len(coefficients)):
            others = np.delete(coefficients, left_out, axis=0)
            parameters = DustOnCoefficients(space, others, second_order).fit()
            star = DustOnCoefficients(space, coefficients[left_out : left_out + 1], second_order)
            for extinction in EXTINCTIONS:
                errors[extinction].append(np.abs(star.error(parameters, extinction)))
        columns.append(errors)
    for extinction in EXTINCTIONS:
        pooled = [np.concatenate(errors[extinction]) for errors in columns]
        cells = [f"{np.median(e):12.2%}{np.quantile(e, 0.9):12.2%}" for e in pooled]
        print(f"{extinction:5.1f}" + "".join(cells))


if __name__ == "__main__":
    main()
