import numpy as np
import pytest
from internal import coefficient_twin, simulate_coefficients

from xpfit.plots import spectrum_figure
from xpfit.prepare import continuous_spectra


def test_spectrum_figure_shows_data_model_and_residuals(model, sample):
    spectra = sample[:1]
    result = model.fit(spectra, progress=False, n_starts=1)
    figure = spectrum_figure(model, spectra, result, 0)
    top, bottom = figure.axes
    assert str(spectra.source_id[0]) in top.get_title()
    teff, error = (1000.0 * x[0] for x in (result["teff"], result.error("teff")))
    assert rf"$T_{{\rm eff}}$ = {teff:.0f} $\pm$ {error:.0f} K" in top.get_title()
    assert "[Fe/H] = " in top.get_title() and " mag" in top.get_title()
    assert top.get_ylabel() == r"flux [$10^{-18}$ W m$^{-2}$ nm$^{-1}$]"
    assert bottom.get_xlabel() == "wavelength [nm]"
    residual = bottom.lines[1].get_ydata()
    assert len(residual) == 64
    assert np.sum(residual**2) == pytest.approx(result.chi2[0], rel=1e-6)


def test_spectrum_figure_in_coefficient_space(model):
    rng = np.random.default_rng(2)
    twin = coefficient_twin(model)
    _, stars = simulate_coefficients(twin, 1, rng)
    spectra = continuous_spectra([stars], twin.space)
    result = twin.fit(spectra, progress=False)
    top, bottom = spectrum_figure(twin, spectra, result, 0).axes
    observed, fitted = (line.get_ydata() for line in top.lines[:2])
    assert len(observed) == 242
    assert np.median(np.abs(fitted - observed)) < 0.02 * observed.max()
    residuals = bottom.lines[-1].get_ydata()
    assert len(residuals) == 110 and np.std(residuals) < 2.0
