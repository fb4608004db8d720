import numpy as np
import pytest
from helpers import random_full_whiteners

from xpfit import InputError, Spectra
from xpfit.data import Diagonal, Triangular


def make(n=3, d=4, **changes):
    arguments = {
        "source_id": np.arange(1, n + 1),
        "space": np.arange(d) + 400.0,
        "flux": np.ones((n, d)),
        "flux_err": np.full((n, d), 0.1),
    }
    return Spectra(**{**arguments, **changes})


def test_whitener_defaults_to_the_inverse_error():
    np.testing.assert_allclose(make().whitener.array, 10.0)


def test_infinite_error_means_no_weight_and_no_value():
    flux, error = np.ones((3, 4)), np.full((3, 4), 0.1)
    flux[1, 2], error[1, 2] = np.nan, np.inf
    spectra = make(flux=flux, flux_err=error)
    assert spectra.flux[1, 2] == 0.0 and spectra.whitener.array[1, 2] == 0.0
    np.testing.assert_array_equal(spectra.n_obs, [4, 3, 4])


def test_what_is_unknown_is_nan_with_infinite_error():
    spectra = make()
    assert np.isnan(spectra.parallax).all() and np.isinf(spectra.parallax_err).all()
    assert np.isnan(spectra.extinction).all() and np.isinf(spectra.extinction_err).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flux": np.ones((3, 5))}, r"flux has shape \(3, 5\); expected \(3, 4\)"),
        ({"parallax": np.ones(2)}, r"parallax has shape \(2,\)"),
        ({"labels": {"teff": np.ones(3)}}, "an error for every label"),
        ({"source_id": np.array([1.0, 2.0, 3.0])}, "64-bit integers"),
        ({"source_id": np.ones((3, 1), dtype=int)}, "one dimension"),
        ({"whitener": np.ones((3, 4, 5))}, "whitener has shape"),
        ({"flux_err": np.zeros((3, 4))}, r"source 1 \(row 0\) is not positive"),
        ({"flux": np.full((3, 4), np.nan)}, r"source 1 \(row 0\).*not finite"),
        ({"whitener": np.full((3, 4), np.inf)}, "not finite"),
        ({"whitener": np.full((3, 4, 4), np.nan)}, "not finite"),
        ({"parallax_err": np.full(3, np.nan)}, r"source 1 \(row 0\): parallax nan"),
        ({"parallax_err": np.array([np.inf, -1.0, 1.0])}, r"source 2 \(row 1\)"),
    ],
)
def test_bad_arrays_are_refused_on_construction_and_on_replacement(changes, message):
    with pytest.raises(InputError, match=message):
        make(**changes)
    if "source_id" not in changes:
        with pytest.raises(InputError, match=message):
            make().replace(**changes)


def test_spectra_cannot_be_changed():
    spectra = make(labels={"teff": [4.0, 5.0, 6.0]}, label_err={"teff": [0.1, 0.2, 0.3]})
    with pytest.raises(AttributeError):
        spectra.flux = np.zeros((3, 4))
    arrays = (spectra.flux, spectra.whitener.array, spectra.parallax, spectra.labels["teff"])
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


def test_a_replacement_shares_all_else():
    spectra = make()
    with_parallax = spectra.replace(parallax=[1.0, 2.0, 3.0], parallax_err=[0.1, 0.1, np.inf])
    assert with_parallax.flux is spectra.flux and with_parallax.whitener is spectra.whitener
    assert np.isnan(spectra.parallax).all()
    np.testing.assert_array_equal(with_parallax.parallax, [1.0, 2.0, 3.0])


@pytest.mark.parametrize("rows", [slice(1, 3), [2, 0], np.array([True, False, True]), 1])
def test_subsets_keep_every_column_in_step(rows):
    spectra = make(labels={"teff": [4.0, 5.0, 6.0]}, label_err={"teff": [0.1, 0.2, 0.3]})
    index = np.atleast_1d(np.arange(3)[rows])
    part = spectra[rows]
    np.testing.assert_array_equal(part.source_id, index + 1)
    np.testing.assert_array_equal(part.labels["teff"], spectra.labels["teff"][index])
    assert part.space is spectra.space


def test_dropping_channels_marginalises_over_them(rng):
    covariance, whitener = random_full_whiteners(np.full((3, 8), 0.3), rng)
    keep = np.array([1, 1, 0, 1, 0, 1, 1, 1], dtype=bool)
    spectra = make(3, 8, flux_err=np.full((3, 8), 0.3), whitener=whitener)
    dropped = spectra.keep_channels(keep)
    residual = rng.standard_normal((3, 8))
    value = np.sum(dropped.whitener(residual) ** 2, axis=1)
    for i in range(3):
        marginal = covariance[i][np.ix_(keep, keep)]
        assert value[i] == pytest.approx(
            residual[i, keep] @ np.linalg.solve(marginal, residual[i, keep]), rel=1e-8
        )
    np.testing.assert_array_equal(dropped.n_obs, 6)


def test_dropping_channels_without_weight_loses_nothing(rng):
    whitener = np.zeros((1, 4, 4))
    whitener[0, :2, :2] = rng.standard_normal((2, 2))
    error = np.array([[0.1, 0.1, 0.1, np.inf]])
    spectra = make(1, 4, flux_err=error, flux=np.ones((1, 4)), whitener=whitener)
    dropped = spectra.keep_channels(np.array([True, True, False, False]))
    inverse = dropped.whitener.array[0].T @ dropped.whitener.array[0]
    np.testing.assert_allclose(inverse, whitener[0].T @ whitener[0], atol=1e-12)


def test_slices_share_their_arrays_and_index_arrays_do_not():
    spectra = Spectra(np.arange(4), [500.0, 600.0], np.ones((4, 2)), np.ones((4, 2)))
    part, copied = spectra[1:3], spectra[[1, 2]]
    assert np.shares_memory(part.whitener.array, spectra.whitener.array)
    assert not np.shares_memory(copied.whitener.array, spectra.whitener.array)


def test_parts_join_to_the_whole_with_the_more_general_kind_of_whitener(rng):
    spectra = make()
    _, whitener = random_full_whiteners(np.full((3, 4), 0.1), rng)
    assert isinstance(spectra.whitener, Diagonal)
    joined = Spectra.concatenate([spectra, spectra.replace(whitener=whitener)])
    assert isinstance(joined.whitener, Triangular) and len(joined) == 6
    np.testing.assert_allclose(joined.whitener.array[:3], 10.0 * np.tile(np.eye(4), (3, 1, 1)))
