import astropy.units as u
import numpy as np
import pytest

from xpfit import InputError
from xpfit.extinction import published_curve
from xpfit.extinction.curves import PUBLISHED
from xpfit.model import ccm89


def test_curves_are_of_unit_reddening():
    for r_v in (2.5, 3.1, 4.0):
        curve = published_curve("CCM89", r_v)(np.array([440.0, 549.45]))
        np.testing.assert_allclose(curve[1], r_v, rtol=1e-3)
        np.testing.assert_allclose(curve, r_v * ccm89(np.array([440.0, 549.45]), r_v))


def test_curves_of_the_package_agree_with_ours():
    pytest.importorskip("dust_extinction")
    wavelength = np.linspace(400.0, 3000.0, 50)
    averages = pytest.importorskip("dust_extinction.parameter_averages")
    expected = 3.1 * averages.CCM89(Rv=3.1)(wavelength * u.nm)
    np.testing.assert_allclose(published_curve("CCM89")(wavelength), expected, rtol=2e-4)
    for name in PUBLISHED:
        np.testing.assert_allclose(published_curve(name)(np.array([550.0])), 3.1, rtol=0.03)


@pytest.mark.parametrize(
    ("name", "r_v", "problem"),
    [("SMC", 3.1, "no extinction curve 'SMC'"), ("CCM89", -1.0, "must be positive")],
)
def test_impossible_curves_are_refused(name, r_v, problem):
    with pytest.raises(InputError, match=problem):
        published_curve(name, r_v)


def test_ranges_of_curves_are_told():
    with pytest.raises(InputError, match="CCM89 is not given between 200 and 500 nm"):
        published_curve("CCM89")(np.array([200.0, 500.0]))
    pytest.importorskip("dust_extinction")
    with pytest.raises(InputError, match="the curve G23"):
        published_curve("G23", 9.0)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "dust_extinction.parameter_averages", None)
    with pytest.raises(InputError, match=r'pip install "xpfit\[curves\]"'):
        published_curve("F99")
