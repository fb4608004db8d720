import numpy as np
import pytest
from astropy.table import Table

from xpfit import InputError, Spectra
from xpfit.prepare import attach_luminosities, read_luminosities


@pytest.fixture
def spectra():
    ones = np.ones((3, 2))
    labels = {"teff": np.full(3, 5.0)}
    return Spectra([3, 1, 2], [500.0, 600.0], ones, ones, labels=labels, label_err=labels)


@pytest.fixture
def table():
    return Table(
        {
            "source_id": [1, 2, 9],
            "ln_luminosity": [0.5, np.nan, 1.0],
            "ln_luminosity_err": [0.1, np.nan, 0.2],
        }
    )


def test_luminosities_join_by_id_beside_the_other_labels(spectra, table):
    joined = attach_luminosities(spectra, table)
    np.testing.assert_array_equal(joined.labels["ln_luminosity"], [np.nan, 0.5, np.nan])
    np.testing.assert_array_equal(joined.label_err["ln_luminosity"], [np.nan, 0.1, np.nan])
    np.testing.assert_array_equal(joined.labels["teff"], spectra.labels["teff"])


def test_values_without_a_positive_error_are_unknown(spectra, table):
    table["ln_luminosity_err"][0] = 0.0
    assert np.isnan(attach_luminosities(spectra, table).labels["ln_luminosity"]).all()


def test_tables_without_errors_are_refused(spectra, table, tmp_path):
    table.remove_column("ln_luminosity_err")
    with pytest.raises(InputError, match="lacks ln_luminosity_err"):
        attach_luminosities(spectra, table)
    table.write(tmp_path / "l.fits")
    with pytest.raises(InputError, match=r"l\.fits.*ln_luminosity_err"):
        read_luminosities(tmp_path / "l.fits")
