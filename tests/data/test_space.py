import numpy as np
import pytest

from xpfit import InputError
from xpfit.constants import BANDS, WAVELENGTH
from xpfit.data.space import CoefficientSpace, SampledSpace, as_space, space_from_datasets
from xpfit.prepare import coefficient_space, sampled_space

SPACES = {"sampled": SampledSpace(WAVELENGTH), "coefficient": coefficient_space()}


@pytest.fixture(params=SPACES.values(), ids=SPACES.keys())
def space(request):
    return request.param


def test_adjoints_are_transposes(space, rng):
    grid, values = rng.standard_normal((3, space.n_grid)), rng.standard_normal((3, space.n_obs))
    for there, back, x, y in (
        (space.observe, space.observe_adjoint, grid, values),
        (space.spectrum, space.spectrum_adjoint, values, grid),
    ):
        np.testing.assert_allclose(
            np.sum(there(x) * y, axis=1), np.sum(x * back(y), axis=1), rtol=1e-10
        )


def test_data_vector_to_spectrum_and_back(space, rng):
    values = rng.standard_normal((2, 4, space.n_obs)) * 10.0 ** rng.uniform(-3, 4, space.n_obs)
    round_trip = space.observe(space.spectrum(values))
    scale = np.linalg.norm(values, axis=-1, keepdims=True)
    np.testing.assert_allclose(round_trip / scale, values / scale, atol=1e-9)


def test_bases_are_well_conditioned_and_gaia_s():
    space = SPACES["coefficient"]
    assert np.linalg.cond(space.bp_basis) == pytest.approx(1.40, abs=0.01)
    assert np.linalg.cond(space.rp_basis) == pytest.approx(1.22, abs=0.01)
    assert (space.n_obs, space.n_grid, space.n_bands) == (115, 247, 5)


def test_too_few_pseudo_wavelengths_are_refused():
    space = SPACES["coefficient"]
    keep = np.arange(121) % 4 == 0
    with pytest.raises(InputError, match="condition number"):
        CoefficientSpace(
            space.wavelength[:67],
            space.covered[:67],
            space.bp_basis[:, keep],
            space.rp_basis[:, keep],
        )
    with pytest.raises(InputError, match="67 wavelengths for 242"):
        CoefficientSpace(space.wavelength[:67], space.covered[:67], space.bp_basis, space.rp_basis)


def test_wavelengths_of_the_pseudo_wavelengths_run_as_the_bands_do():
    space = SPACES["coefficient"]
    bp, rp = space.wavelength[:121], space.wavelength[121:242]
    assert np.all(np.diff(bp) < 0) and np.all(np.diff(rp) > 0)
    seen = bp[space.covered[:121]]
    assert 325 < seen.min() < 335 and 635 < seen.max() < 650
    seen = rp[space.covered[121:242]]
    assert 630 < seen.min() < 640 and 1005 < seen.max() < 1025


def test_bands_end_the_data_vector(space):
    for i, band in enumerate(BANDS):
        assert space.band_channel(band.wavelength) == space.n_obs - 5 + i
    np.testing.assert_array_equal(space.is_band, np.arange(space.n_grid) >= space.n_grid - 5)
    with pytest.raises(InputError, match="no photometric band at 500 nm"):
        space.band_channel(500.0)


def test_spaces_without_bands_have_none():
    assert SampledSpace([500.0, 600.0]).n_bands == 0
    assert SampledSpace([1235.0, 2159.0]).n_bands == 2


def test_one_coefficient_needs_the_whole_band():
    space = SPACES["coefficient"]
    channels = np.zeros((2, 115), dtype=bool)
    channels[0, 60] = channels[1, 112] = True
    grid = space.grid_channels(channels)
    np.testing.assert_array_equal(grid[0], (np.arange(247) >= 121) & (np.arange(247) < 242))
    np.testing.assert_array_equal(np.flatnonzero(grid[1]), [244])


def test_spaces_are_made_again_from_their_arrays(space):
    again = space_from_datasets(space.name, space.datasets())
    assert again.matches(space) and type(again) is type(space)
    assert not SPACES["sampled"].matches(SPACES["coefficient"])
    assert not SampledSpace(WAVELENGTH[:-1]).matches(SPACES["sampled"])
    with pytest.raises(KeyError, match="'fourier' is not known"):
        space_from_datasets("fourier", space.datasets())


def test_wavelengths_stand_for_sampled_space(space):
    assert as_space(space) is space
    assert as_space([400.0, 500.0]).n_obs == 2


@pytest.mark.parametrize(
    ("grid", "message"),
    [([500.0, 400.0], "increasing"), ([300.0, 400.0], "within 330"), ([], "increasing")],
)
def test_wavelengths_that_gaia_lacks_are_refused(grid, message):
    with pytest.raises(InputError, match=message):
        sampled_space(grid)
