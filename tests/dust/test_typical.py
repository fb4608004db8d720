import numpy as np

from xpfit.dust import typical_extinction
from xpfit.dust.typical import PLANE_DENSITY, SCALE_HEIGHT


def test_typical_extinction_is_the_integral_of_the_disc():
    for latitude, distance in ((0.0, 500.0), (30.0, 200.0), (-60.0, 1500.0)):
        step = np.linspace(0.0, distance, 20_001)
        density = PLANE_DENSITY * np.exp(-step * abs(np.sin(np.radians(latitude))) / SCALE_HEIGHT)
        integral = np.trapezoid(density, step)
        found = typical_extinction(np.array([latitude]), np.array([distance]))
        np.testing.assert_allclose(found, integral, rtol=1e-4)


def test_unknown_distances_have_the_whole_column():
    found = typical_extinction(np.array([90.0, 30.0, np.nan]), np.array([np.nan, np.nan, 10.0]))
    np.testing.assert_allclose(found[:2], PLANE_DENSITY * SCALE_HEIGHT * np.array([1.0, 2.0]))
    assert np.isnan(found[2])
