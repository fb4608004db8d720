"""A model between its samples and beyond them: its spectra and its extinction curve.

Both are a known function times a factor. Between neighbouring samples the logarithm of the factor
is linear in ln wavelength, beyond the first and the last sample it is constant. For spectra the
function is Planck's of the star's Teff, as for bolometric fluxes; for the curve it is CCM89 of the
R(V) that is closest to the learned one.
"""

from __future__ import annotations

import numpy as np
from scipy.constants import c, h, k
from scipy.sparse import csr_array

from ..constants import LN_PER_MAG
from ..data import SampledSpace
from ..errors import InputError
from ..model import XPModel, ccm89, r_v_of_curve
from ..model.extinction import CCM_RANGE

GAP = 50.0
"""nm; samples that are further apart are bands, not a spectrum."""


class ContinuedModel:
    """Spectra and extinction curve of a model at any wavelengths between 300 and 5000 nm.

    Parameters
    ----------
    model : XPModel
        In sampled space.

    Attributes
    ----------
    model : XPModel
    wavelength : ndarray, shape (n_sample,)
        nm; the model's trained samples and bands, ascending.
    r_v : float
        R(V) of the CCM89 curve that continues the learned one.

    Raises
    ------
    InputError
        If the model is in coefficient space.
    """

    def __init__(self, model: XPModel):
        if not isinstance(model.space, SampledSpace):
            raise InputError(
                "in-band extinction needs a spectrum by wavelength; this model works on "
                "coefficients: give one in sampled space"
            )
        self.model = model
        known = np.flatnonzero(model.trained_grid)
        self._samples = known[np.argsort(model.wavelength[known])]
        self.wavelength = model.wavelength[self._samples]
        learned = model.forward.extinction_curve[self._samples]
        inside = self._in_ccm_range(self.wavelength)
        self.r_v = float(r_v_of_curve(self.wavelength[inside], learned[None, inside])[0])

    @staticmethod
    def _in_ccm_range(wavelength: np.ndarray) -> np.ndarray:
        return (wavelength >= CCM_RANGE[0]) & (wavelength <= CCM_RANGE[1])

    @property
    def spectrum_range(self) -> tuple[float, float]:
        """First and last wavelength (nm) of the samples that make up a spectrum."""
        far = np.flatnonzero(np.diff(self.wavelength) > GAP)
        last = far[0] if len(far) else len(self.wavelength) - 1
        return float(self.wavelength[0]), float(self.wavelength[last])

    def interpolation(self, wavelength: np.ndarray) -> csr_array:
        """Matrix from values at the samples to values at other wavelengths, (n, n_sample)."""
        at, knots = np.log(wavelength), np.log(self.wavelength)
        lower = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 2)
        share = np.clip((at - knots[lower]) / (knots[lower + 1] - knots[lower]), 0.0, 1.0)
        rows = np.arange(len(at))
        return csr_array(
            (
                np.concatenate([1.0 - share, share]),
                (np.concatenate([rows, rows]), np.concatenate([lower, lower + 1])),
            ),
            shape=(len(at), len(knots)),
        )

    def ln_curve(self, wavelength: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The extinction curve.

        Parameters
        ----------
        wavelength : ndarray, shape (n,)
            nm.

        Returns
        -------
        ln_curve, variation : ndarray, shape (n,)
            ln of A(lambda) / mag for unit E at xi = 0, and its change with xi, which is zero for
            models whose curve does not vary.

        Raises
        ------
        InputError
            If a wavelength is outside 300-5000 nm, where CCM89 ends.
        """
        wavelength = np.asarray(wavelength, dtype=float)
        if not self._in_ccm_range(wavelength).all():
            raise InputError(
                f"wavelengths must lie between {CCM_RANGE[0]:g} and {CCM_RANGE[1]:g} nm, where "
                f"the curve can be continued; got {wavelength.min():g} to {wavelength.max():g}"
            )
        forward, matrix = self.model.forward, self.interpolation(wavelength)
        shape = np.log(ccm89(np.clip(self.wavelength, *CCM_RANGE), self.r_v))
        factor = forward.ln_curve[self._samples] - np.log(LN_PER_MAG) - shape
        curve = np.log(ccm89(wavelength, self.r_v)) + matrix @ factor
        if not forward.curve_varies:
            return curve, np.zeros(len(wavelength))
        return curve, matrix @ forward.variation[self._samples]

    def ln_flux(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Spectra at the samples, without dust.

        Parameters
        ----------
        labels : ndarray, shape (n_star, n_label)

        Returns
        -------
        ln_flux : ndarray, shape (n_star, n_sample)
        derivatives : ndarray, shape (n_star, n_label, n_sample)
            With respect to the labels.
        """
        forward = self.model.forward
        theta = np.zeros((len(labels), forward.n_stellar))
        theta[:, forward.layout.labels] = labels
        theta[:, forward.layout.extinction] = -np.inf  # E = 0
        flux, jacobian = forward.flux_and_jacobian(theta)
        slopes = jacobian[:, forward.layout.labels] / flux[:, None, :]
        return np.log(flux[:, self._samples]), slopes[:, :, self._samples]

    def ln_planck(self, wavelength: np.ndarray, labels: np.ndarray) -> tuple:
        """Ln of Planck's function of the stars' Teff, but for a constant, and its slope in kK.

        Parameters
        ----------
        wavelength : ndarray, shape (n,)
            nm.
        labels : ndarray, shape (n_star, n_label)

        Returns
        -------
        value, slope : ndarray, shape (n_star, n)
        """
        teff = labels[:, self.model.label_names.index("teff"), None]
        x = h * c / (k * 1e-9 * wavelength * 1e3 * teff)
        rest = -np.expm1(-x)
        return -5.0 * np.log(wavelength) - x - np.log(rest), x / rest / teff
