import numpy as np
import pytest
from helpers import simulated_catalogue
from internal import coefficient_twin, simulate_coefficients

from xpfit.plots import residual_figure, spectrum_figure
from xpfit.prepare import continuous_spectra
from xpfit.validate import compare


def test_residual_figure_has_a_panel_of_residuals_and_of_pulls_per_label(rng):
    figure = residual_figure(compare(simulated_catalogue(rng, 300)))
    assert len(figure.axes) == 6
    for axes in figure.axes:
        assert axes.get_xlabel() and axes.get_ylabel() and axes.get_legend()


@pytest.mark.parametrize("n", [1, 3])
def test_residual_figure_of_few_stars_can_be_drawn(rng, n, tmp_path):
    residual_figure(compare(simulated_catalogue(rng, n))).savefig(tmp_path / "few.png")


def test_spectrum_figure_shows_data_model_and_residuals(model, sample, tmp_path):
    spectra = sample[:1]
    result = model.fit(spectra, progress=False, n_starts=1)
    figure = spectrum_figure(model, spectra, result, 0)
    top, bottom = figure.axes
    assert str(spectra.source_id[0]) in top.get_title()
    residual = bottom.lines[1].get_ydata()
    assert len(residual) == 64
    assert np.sum(residual**2) == pytest.approx(result.chi2[0], rel=1e-6)
    figure.savefig(tmp_path / "star.png")


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
