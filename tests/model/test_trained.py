import numpy as np
import pytest
from helpers import with_luminosities, with_variation
from internal import coefficient_twin

from xpfit import InputError
from xpfit.model.covariance import ModelCovariance


def test_predict_is_nan_where_the_model_never_saw_data(model):
    flux = model.predict([[4.8, -0.2, 2.5]])
    np.testing.assert_array_equal(np.isnan(flux[0]), ~model.trained_channels)


def test_predict_without_dust_is_the_absolute_flux(model):
    labels = np.array([[4.8, -0.2, 2.5]])
    expected = np.exp(model.forward.ln_absolute_flux(labels))
    np.testing.assert_allclose(model.predict(labels)[:, :64], expected[:, :64], rtol=1e-12)


def test_flux_falls_with_the_square_of_distance(model):
    labels = [[4.8, -0.2, 2.5]]
    near, far = model.predict(labels, 0.2, 10.0), model.predict(labels, 0.2, 5.0)
    np.testing.assert_allclose(near[:, :64] / far[:, :64], 4.0, rtol=1e-12)


def test_labels_outside_the_trained_range_are_refused_by_name(model):
    with pytest.raises(InputError, match=r"star 1: teff = 5772 is outside.*kK.*extrapolate"):
        model.predict([[4.8, -0.2, 2.5], [5772.0, 0.0, 4.4]])


def test_extrapolation_is_possible_when_asked(model):
    assert np.isfinite(model.predict([[8.0, 0.0, 4.0]], extrapolate=True)[:, :64]).all()


def test_wrong_number_of_labels_is_refused(model):
    with pytest.raises(InputError, match="teff, feh, logg"):
        model.predict([[4.8, -0.2]])


@pytest.mark.parametrize(("extinction", "parallax"), [(-0.1, 1.0), (0.1, 0.0), (np.nan, 1.0)])
def test_impossible_extinction_or_parallax_is_refused(model, extinction, parallax):
    with pytest.raises(InputError, match="must"):
        model.predict([[4.8, -0.2, 2.5]], extinction, parallax)


def test_repr_says_what_the_model_is(model):
    assert "shapes only" in repr(model) and "teff, feh, logg" in repr(model)


def test_luminosities_that_were_added_are_taken_out_again(model, rng):
    bright = with_luminosities(model, rng)
    labels = model.prior.sample(50, rng)
    factor = bright.predict(labels, extrapolate=True) / model.predict(labels, extrapolate=True)
    assert np.nanstd(np.log(factor[:, 0])) > 0.1
    before = bright.forward.parameters.copy()
    shapes = bright.shapes_only()
    assert not shapes.absolute and "shapes only" in repr(shapes)
    np.testing.assert_allclose(
        shapes.predict(labels, 0.3, 2.0, extrapolate=True),
        model.predict(labels, 0.3, 2.0, extrapolate=True),
        rtol=1e-11,
    )
    assert bright.absolute
    np.testing.assert_array_equal(bright.forward.parameters, before)


@pytest.mark.parametrize("kind", [with_variation, coefficient_twin])
def test_shapes_of_any_absolute_model_are_the_same_without_luminosities(kind, model, rng):
    bright = kind(with_luminosities(model, rng))
    labels = model.prior.sample(20, rng)
    xi = 0.5 * bright.forward.curve_varies
    before, after = (
        m.predict(labels, 0.3, xi=xi, extrapolate=True) for m in (bright, bright.shapes_only())
    )
    used = bright.trained_channels
    factor = np.sum(after[:, used] * before[:, used], axis=1) / np.sum(before[:, used] ** 2, axis=1)
    expected = factor[:, None] * before[:, used]
    np.testing.assert_allclose(after[:, used], expected, atol=1e-10 * np.abs(expected).max())
    assert np.std(np.log(factor)) > 0.1


def test_a_model_without_luminosities_is_its_own_shapes(model):
    assert model.shapes_only() is model and model.fingerprints == (model.fingerprint,)


def test_shapes_know_whose_they_are_and_drop_what_rests_on_parallaxes(model, rng):
    n = model.space.n_obs
    bright = with_luminosities(model, rng)
    bright.covariance = ModelCovariance(np.ones((n, 2)), np.ones(n))
    bright.diagnostics = {"solar_type/width": np.ones(1), "history/loss": np.ones(3)}
    shapes = bright.shapes_only()
    assert shapes.fingerprints == (shapes.fingerprint, bright.fingerprint)
    assert list(shapes.diagnostics) == ["history/loss"]
    np.testing.assert_array_equal(shapes.covariance.loadings, bright.covariance.loadings)


def test_xi_moves_r_v_and_flux_where_the_curve_varies(varying_model):
    assert varying_model.parameter_names[-1] == "xi"
    labels = [[5.0, 0.0, 4.0]] * 3
    flux = varying_model.predict(labels, 0.5, xi=[-1.0, 0.0, 1.0])
    # A higher R(V) at the same A(Ks) is a greyer curve: less extinction in the blue.
    assert np.all(np.diff(flux[:, 0]) > 0)
    r_v = varying_model.r_v([-1.0, 0.0, 1.0])
    np.testing.assert_allclose(np.diff(r_v), 0.3, atol=0.1)


def test_xi_is_refused_where_there_is_one_curve(model):
    with pytest.raises(InputError, match="one extinction curve"):
        model.predict([[5.0, 0.0, 4.0]], xi=1.0)
    with pytest.raises(InputError, match="one extinction curve"):
        model.r_v([0.0])
