"""XP continuous spectra in sampled space: flux and covariance at some wavelengths."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from ..read import XP_BANDS
from .bases import sampled_design
from .coefficients import DataVectors, XPSettings, band_sizes, inflate, read_band
from .corrections import FluxCorrection


def sample_continuous(
    table: Table,
    wavelength: np.ndarray,
    settings: XPSettings | None = None,
    correction: FluxCorrection | None = None,
) -> DataVectors:
    """Sample XP continuous spectra.

    Parameters
    ----------
    table : astropy.table.Table
        From `xpfit.read.read_continuous`.
    wavelength : ndarray, shape (n_obs,)
        nm, increasing, 330 to 1050.
    settings : XPSettings, optional
    correction : FluxCorrection, optional
        Applied to the flux and its covariance before the terms of `settings`.

    Returns
    -------
    DataVectors
        Of a source without BP or RP, the wavelengths that the other band covers alone. A source
        whose numbers cannot be right is masked whole, with its `problem`.

    Notes
    -----
    f = c_BP D_BP m_BP + c_RP D_RP m_RP; C = D^T C_c D plus the terms of ZGR23's eq. 2. With the
    merged design matrix this is the exact covariance, in the overlap of BP and RP too.
    """
    settings = settings or XPSettings()
    design = sampled_design(wavelength, *(n or 55 for n in band_sizes(table)))
    shape = (len(table), len(design.wavelength))
    problem = np.array(table["problem"], dtype=object)
    covariance, mask = np.zeros((*shape, shape[1])), np.zeros(shape, dtype=bool)
    parts = []
    for band in XP_BANDS:
        matrix = getattr(design, band)
        data = read_band(table, band, len(matrix), settings, problem)
        parts.append(data.coefficients @ matrix)
        used = matrix.any(axis=0)
        sampled = matrix.T[used] @ data.covariance @ matrix[:, used]
        covariance[np.ix_(data.good, used, used)] += 0.5 * (sampled + np.swapaxes(sampled, 1, 2))
        mask |= data.absent[:, None] & used
    if correction:
        factor = correction.factor(design.wavelength, sum(parts), table)
        parts = [factor * part for part in parts]
        covariance *= factor[:, :, None] * factor[:, None, :]
    flux = sum(parts)
    mask |= (problem != "")[:, None]
    inflated = inflate(covariance, (settings.independent_error * flux) ** 2, parts, settings)
    return DataVectors(flux, covariance, inflated, mask, problem.astype(str))
