"""Basis functions that the installed GaiaXPy knows: the only module that imports it.

GaiaXPy's functions are linear in the coefficients, so that unit coefficient vectors give the
matrices.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from io import StringIO

import numpy as np

from ...constants import BANDS, FLUX_UNIT_SI
from ...data.space import CoefficientSpace
from ...errors import InputError
from ...read import XP_BANDS
from ...releases import DR3, RELEASES, Release
from .base import Basis, SampledDesign

PSEUDO_WAVELENGTH = np.linspace(0.0, 60.0, 121)
"""Grid of pseudo-wavelengths u on which Gaia's internal spectra are represented."""


@dataclass(frozen=True)
class GaiaXPyBasis(Basis):
    """The functions that GaiaXPy takes for spectra of so many coefficients.

    Parameters
    ----------
    n_bp, n_rp : int
    """

    n_bp: int = DR3.n_coefficients[0]
    n_rp: int = DR3.n_coefficients[1]

    @property
    def identifier(self) -> str:
        release = self._release()
        return f"GaiaXPy {release.name if release else f'{self.n_bp} + {self.n_rp}'}"

    def design(self, wavelength: np.ndarray) -> SampledDesign:
        grid = np.array(wavelength, dtype=float)
        with self._asking() as (gaiaxpy, spectra):
            found, _ = gaiaxpy.calibrate(spectra, sampling=grid, truncation=False, save_file=False)
        flux = np.stack(found["flux"].to_numpy()) / FLUX_UNIT_SI
        flux.flags.writeable = grid.flags.writeable = False
        return SampledDesign(grid, flux[: self.n_bp], flux[self.n_bp :])

    def space(self) -> CoefficientSpace:
        u = PSEUDO_WAVELENGTH
        with self._asking() as (gaiaxpy, spectra):
            found, _ = gaiaxpy.convert(spectra, sampling=u, truncation=False, save_file=False)
            wavelength, covered = [], []
            for band in XP_BANDS:
                wavelength.append(gaiaxpy.pwl_to_wl(band, u))
                low, high = sorted(gaiaxpy.pwl_range(band))
                covered.append((low <= u) & (high >= u))
        by_band = {
            band: np.stack(rows.sort_values("source_id")["flux"].to_numpy())
            for band, rows in found.groupby(found["xp"].str.lower())
        }
        return CoefficientSpace(
            np.concatenate([*wavelength, [band.wavelength for band in BANDS]]),
            np.concatenate([*covered, np.ones(len(BANDS), dtype=bool)]),
            by_band["bp"][: self.n_bp],
            by_band["rp"][self.n_bp :],
        )

    def _release(self) -> Release | None:
        """The release with these numbers of coefficients."""
        numbers = (self.n_bp, self.n_rp)
        return next((r for r in RELEASES.values() if r.n_coefficients == numbers), None)

    @contextmanager
    def _asking(self) -> Iterator:
        """GaiaXPy and unit spectra; what it says of numbers that it does not know is explained."""
        release = self._release()
        ids = (release and release.basis_ids) or DR3.basis_ids
        try:
            with _quiet_gaiaxpy() as gaiaxpy:
                yield gaiaxpy, _unit_spectra(self.n_bp, self.n_rp, ids)
        except (LookupError, ValueError) as error:
            if release is DR3:
                raise
            raise InputError(
                f"GaiaXPy {version('gaiaxpy')}, which is installed, has no basis functions for "
                f"{self.n_bp} + {self.n_rp} coefficients"
                f"{f' (Gaia {release.name}?)' if release else ''}; upgrade GaiaXPy, or give a "
                "basis file (--basis FILE)"
            ) from error


@contextmanager
def _quiet_gaiaxpy():
    """GaiaXPy, without its side effects.

    It prints to standard output (whose stream it takes on import), switches matplotlib to LaTeX,
    and warns of its own use of other packages.
    """
    from matplotlib import rc_context

    with redirect_stdout(StringIO()), rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import gaiaxpy

        yield gaiaxpy


def _unit_spectra(n_bp: int, n_rp: int, basis_ids):
    """Spectra with one coefficient of one band set to one, as GaiaXPy takes them."""
    import pandas as pd

    rows = []
    for i in range(n_bp + n_rp):
        unit = np.zeros(n_bp + n_rp)
        unit[i] = 1.0
        row = {"source_id": i + 1}
        for band, coefficients in (("bp", unit[:n_bp]), ("rp", unit[n_bp:])):
            n = len(coefficients)
            row |= {
                f"{band}_basis_function_id": basis_ids[band],
                f"{band}_n_parameters": n,
                f"{band}_coefficients": coefficients,
                f"{band}_coefficient_errors": np.ones(n),
                f"{band}_coefficient_correlations": np.zeros(n * (n - 1) // 2),
                f"{band}_n_relevant_bases": n,
                f"{band}_relative_shrinking": 1.0,
                f"{band}_standard_deviation": 1.0,
            }
        rows.append(row)
    return pd.DataFrame(rows)
