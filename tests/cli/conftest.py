"""Twelve real stars, as users have them in a file."""

import pytest
from astropy.io import fits


@pytest.fixture
def stars(sample_path, tmp_path):
    """Twelve real stars in a file of their own."""
    path = tmp_path / "stars.fits"
    with fits.open(sample_path) as hdus:
        fits.BinTableHDU(hdus[1].data[:12]).writeto(path)
    return path
