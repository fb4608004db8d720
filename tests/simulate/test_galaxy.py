import numpy as np
import pytest
from astropy.table import vstack

from xpfit.simulate.galaxy import DustField, iterate_mock
from xpfit.statistics import robust_width


def test_extinction_is_the_integral_of_the_density(rng):
    dust = DustField()
    for place in rng.uniform(-800.0, 800.0, (20, 3)):
        share = (np.arange(20_000) + 0.5) / 20_000
        sum_ = dust.at(share[:, None] * place).mean() * np.linalg.norm(place)
        assert dust.extinction(place) == pytest.approx(sum_, rel=1e-5)
    in_plane = DustField(clouds=()).extinction(np.array([[300.0, 400.0, 0.0]]))
    np.testing.assert_allclose(in_plane, 500.0 * 2e-4)


def test_estimates_of_a_simulated_catalogue_scatter_by_their_errors(model):
    table = vstack(list(iterate_mock(model, 30_000, np.random.default_rng(2))))
    pull = (table["parallax"] - table["gaia_parallax"]) / np.hypot(
        table["parallax_err"], table["gaia_parallax_error"]
    )
    good = table["quality_flags"] == 0
    width = robust_width(pull[good])
    assert width == pytest.approx(1.0, abs=0.05) and 0.9 < good.mean() < 0.99
    observed = np.isfinite(table["ref_teff"]) & good
    assert 0.03 < observed.mean() < 0.07
    pull = (table["feh"] - table["ref_feh"]) / np.hypot(table["feh_err"], table["ref_feh_err"])
    assert np.std(pull[observed]) == pytest.approx(1.0, abs=0.07)
    assert len(np.unique(table["gdr3_source_id"])) == len(table)
