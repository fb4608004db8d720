from dataclasses import replace

import numpy as np
import pytest
from epoch_stars import GIANT

from xpfit.epochs import EpochSpectra, study_stars
from xpfit.epochs.simulation import Eclipses, EpochSettings, EpochSimulator
from xpfit.plots.epochs import epochs_figure


@pytest.fixture(scope="module")
def star(model):
    simulator = EpochSimulator(model, EpochSettings(n_epoch=9))
    return simulator.simulate(GIANT, 11.0, np.random.default_rng(2), Eclipses(0.2, duration=0.3))


@pytest.fixture(scope="module")
def studied(star, model):
    ((studied,),) = study_stars(model, [star])
    return studied


def images(figure):
    """Values of the image, (n_epoch, n_wavelength), and all axes but that of the colour bar."""
    axes = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    return axes[0].collections[0].get_array(), axes


def test_residuals_have_unit_variance_where_the_star_is_constant(model):
    simulator = EpochSimulator(model, EpochSettings(n_epoch=60))
    star = simulator.simulate(GIANT, 13.0, np.random.default_rng(3))
    ((constant,),) = study_stars(model, [star])
    values, _ = images(epochs_figure(constant))
    assert values.shape == (60, 61)
    assert np.std(values) == pytest.approx(1.0, abs=0.05)


def test_chi2_and_parameters_stand_beside_the_epochs(studied):
    figure = epochs_figure(studied)
    _, axes = images(figure)
    assert [ax.get_xlabel().split()[-1] for ax in axes] == ["[nm]", "expected", "[K]", "[%]"]
    chi2 = axes[1].lines[-1].get_xdata()
    np.testing.assert_allclose(chi2, studied.comparison.epoch_chi2 / studied.comparison.epoch_dof)
    title = figure.get_suptitle()
    assert "source 1: 9 epochs" in title
    assert f"p = {studied.comparison.p_value:.2g}" in title
    assert "of Teff" in title


def test_without_a_fit_there_is_chi2_alone(studied):
    figure = epochs_figure(replace(studied, fits=None))
    assert len(images(figure)[1]) == 2


def test_values_that_are_missing_are_grey(star, model):
    error = star.spectra.flux_err.copy()
    error[3, :20] = np.inf
    spectra = star.spectra.replace(flux_err=error, whitener=1.0 / error)
    rest = star.covariance, star.calibration
    masked = EpochSpectra(star.source_id, star.time, star.transit_id, spectra, *rest)
    ((studied,),) = study_stars(model, [masked])
    values, _ = images(epochs_figure(studied))
    assert np.ma.getmaskarray(np.ma.masked_invalid(values))[3, :20].all()
    assert np.isfinite(np.ma.filled(values[[0, 1, 2, 4]], np.nan)).all()
