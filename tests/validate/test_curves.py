import numpy as np
import pytest

from xpfit.validate.curves import over_continuum


def test_continuum_takes_out_a_polynomial_and_leaves_a_line():
    at = np.linspace(400.0, 900.0, 51)
    smooth = 1.0 + 1e-3 * at + 1e-6 * at**2
    line = 1.0 - 0.2 * np.exp(-0.5 * ((at - 656.0) / 8.0) ** 2)
    np.testing.assert_allclose(over_continuum(at, smooth), 1.0, rtol=1e-9)
    normalised = over_continuum(at, smooth * line)
    assert at[np.argmin(normalised)] == pytest.approx(656.0, abs=8.0)
    assert normalised.min() < 0.9
