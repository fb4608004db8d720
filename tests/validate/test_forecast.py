import numpy as np
import pytest
from helpers import numerical_gradient, picture_size
from internal import coefficient_twin

from xpfit import InputError
from xpfit.cli import main
from xpfit.constants import LN_PER_MAG
from xpfit.plots.forecast import forecast_figure
from xpfit.simulate.noise import XPNoise, g_magnitude, gaia_parallax_err
from xpfit.validate.forecast import MAGNITUDE_ERR, _types, fisher_forecast

G, E = 14.0, 0.2


@pytest.fixture(scope="module")
def forecast(absolute_model):
    return fisher_forecast(absolute_model, g=G, extinction=E, n_bins=(12, 10))


def test_errors_are_those_of_the_fisher_matrix_worked_out_by_hand(absolute_model, forecast):
    model = absolute_model
    types, cells, _ = _types(model, (12, 10), np.random.default_rng(1))
    row = len(types) // 2
    known = model.trained_channels
    level = np.nan_to_num(model.predict(types[[row]], E, 1.0, extrapolate=True), nan=1.0)
    parallax = np.exp(0.5 * LN_PER_MAG * (g_magnitude(model.wavelength, level)[0] - G))
    linear = np.array([*types[row], E, parallax])

    def flux(p):
        return model.predict(p[None, :3], p[3], p[4], extrapolate=True)[0, known]

    jacobian = numerical_gradient(flux, linear)
    n_xp = 61
    whole = np.nan_to_num(model.predict(types[[row]], E, parallax, extrapolate=True))
    covariance = np.zeros((66, 66))
    covariance[:n_xp, :n_xp] = XPNoise(model.wavelength[:n_xp]).covariance(whole[:, :n_xp])[0]
    bands = np.arange(n_xp, 66)
    covariance[bands, bands] = (LN_PER_MAG * MAGNITUDE_ERR * whole[0, bands]) ** 2
    fisher = jacobian.T @ np.linalg.solve(covariance[np.ix_(known, known)], jacobian)
    fisher[4, 4] += 1.0 / gaia_parallax_err(np.array([G]))[0] ** 2
    expected = np.linalg.inv(fisher)
    found = forecast.covariance[tuple(cells[row])]
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose(found / scale, expected / scale, atol=2e-3)


def test_parallaxes_and_brightness_help(absolute_model, forecast):
    without = fisher_forecast(absolute_model, g=G, extinction=E, n_bins=(12, 10), parallax=False)
    faint = fisher_forecast(absolute_model, g=17.0, extinction=E, n_bins=(12, 10))
    known = np.isfinite(forecast.error("logg"))
    assert known.sum() > 20
    for name in forecast.parameter_names:
        assert np.all(without.error(name)[known] >= 0.999 * forecast.error(name)[known]), name
        assert np.all(faint.error(name)[known] > forecast.error(name)[known]), name
    correlation = forecast.correlation("teff", "extinction")[known]
    assert np.all(np.abs(correlation) <= 1.0) and np.median(correlation) > 0.3


def test_models_on_coefficients_are_refused(model):
    with pytest.raises(InputError, match="sampled space"):
        fisher_forecast(coefficient_twin(model))


def test_forecast_from_the_command_line(absolute_model, tmp_path):
    absolute_model.save(tmp_path / "m.h5")
    command = ["plot", "forecast", str(tmp_path / "m.h5"), "--output-dir", str(tmp_path)]
    assert main([*command, "--g", "16"]) == 0
    assert picture_size(tmp_path / "forecast.png") == (14.5, 6.2)


def test_forecast_figure_has_units_and_both_cases(absolute_model):
    figure = forecast_figure(absolute_model, g=G, extinction=E)
    panels = [ax for ax in figure.axes if ax.get_xlabel()]
    assert len(panels) == 2 * 5
    assert {ax.get_xlabel() for ax in panels} == {r"$T_{\rm eff}$ [K]"}
    assert [ax.get_title() for ax in panels[::5]] == ["without parallax", "with parallax"]
    bars = [ax.get_ylabel() for ax in figure.axes if ax not in panels]
    assert bars[0] == r"error of $T_{\rm eff}$ [K]" and bars.count("error of E [mag]") == 2
    low, high = panels[0].collections[0].get_clim()
    assert 1.0 < low < high < 5000.0  # K, not kK
