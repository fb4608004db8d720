import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table

from xpfit import InputError
from xpfit.validate.curves import over_continuum, read_extinction_curve


def test_continuum_takes_out_a_polynomial_and_leaves_a_line():
    at = np.linspace(400.0, 900.0, 51)
    smooth = 1.0 + 1e-3 * at + 1e-6 * at**2
    line = 1.0 - 0.2 * np.exp(-0.5 * ((at - 656.0) / 8.0) ** 2)
    np.testing.assert_allclose(over_continuum(at, smooth), 1.0, rtol=1e-9)
    normalised = over_continuum(at, smooth * line)
    assert at[np.argmin(normalised)] == pytest.approx(656.0, abs=8.0)
    assert normalised.min() < 0.9


def test_a_published_curve_is_read_by_path(tmp_path):
    Table({"wl": [0.5, 0.4, 0.6] * u.um, "R": [3.0, 4.0, 2.5]}).write(tmp_path / "zgr23.ecsv")
    wavelength, curve = read_extinction_curve(tmp_path / "zgr23.ecsv")
    np.testing.assert_allclose(wavelength, [400.0, 500.0, 600.0])
    np.testing.assert_allclose(curve, [4.0, 3.0, 2.5])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"wl": [400.0, 500.0]}, "needs a column extinction_curve or"),
        ({"wl": [4000.0, 9900.0], "R": [1.0, 2.0]}, "the median is .* nm"),
        ({"wl": [400.0, 500.0], "R": [0.0, -1.0]}, "holds no extinction curve"),
    ],
)
def test_other_tables_are_no_curves(tmp_path, columns, message):
    Table(columns).write(tmp_path / "c.csv")
    with pytest.raises(InputError, match=message):
        read_extinction_curve(tmp_path / "c.csv")
