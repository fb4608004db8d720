import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from xpfit import InputError
from xpfit.data import FitFlag
from xpfit.validate import attach_reference


@pytest.fixture
def fitted():
    return Table({"source_id": [30, 10, 20, 40], "teff": [1.0, 2.0, 3.0, 4.0]})


@pytest.fixture
def reference():
    return Table(
        {
            "gaiaedr3_source_id": [10, 20, 30, 99],
            "teff": [5010.0, 5020.0, 5030.0, 5099.0],
            "teff_err": [1.0, 2.0, 3.0, 9.0],
            "fe_h": MaskedColumn([0.1, 0.2, 0.3, 0.9], mask=[0, 1, 0, 0]),
            "logg": [1.0, 2.0, 3.0, 9.0],
        }
    )


def test_labels_are_joined_by_id_and_no_row_is_lost(fitted, reference):
    joined = attach_reference(fitted, reference)
    np.testing.assert_array_equal(joined["source_id"], fitted["source_id"])
    np.testing.assert_array_equal(joined["ref_teff"].filled(-1), [5030, 5010, 5020, -1])
    np.testing.assert_array_equal(joined["ref_teff_err"].filled(-1), [3, 1, 2, -1])
    np.testing.assert_array_equal(joined["ref_feh"].mask, [False, False, True, True])


def test_labels_that_the_catalogue_had_are_replaced(fitted, reference):
    fitted["ref_teff"] = 1.0
    fitted["ref_alpha_m"] = 1.0
    joined = attach_reference(fitted, reference)
    assert joined["ref_teff"][0] == 5030.0 and "ref_alpha_m" not in joined.colnames


def test_repeated_reference_is_told(fitted, reference):
    reference.add_row(reference[0])
    reference["teff"][-1] = 4444.0
    with pytest.warns(UserWarning, match="1 rows of the reference table repeat"):
        joined = attach_reference(fitted, reference)
    assert joined["ref_teff"][1] == 5010.0


def test_no_overlap_is_an_error(fitted, reference):
    reference["gaiaedr3_source_id"] += 1000
    with pytest.raises(InputError, match="no source of the catalogue"):
        attach_reference(fitted, reference)


@pytest.mark.parametrize("column", ["teff", "fe_h", "logg"])
def test_missing_label_is_named(fitted, reference, column):
    reference.remove_column(column)
    with pytest.raises(InputError, match=f"no column .*{column}"):
        attach_reference(fitted, reference)


def test_reference_without_integer_ids_is_refused(fitted, reference):
    reference["gaiaedr3_source_id"] = reference["gaiaedr3_source_id"].astype(float)
    with pytest.raises(InputError, match="64-bit integer ids"):
        attach_reference(fitted, reference)


def test_names_and_flags_of_apogee_s_file(fitted):
    """Of a star's rows that of highest S/N; rows with STAR_BAD are not used."""
    allstar = Table(
        {
            "APOGEE_ID": ["a", "b", "c", "d"],
            "GAIAEDR3_SOURCE_ID": [10, 10, 20, 30],
            "TEFF": np.array([5000, 5100, 4000, 4500], dtype=">f4"),
            "TEFF_ERR": [10.0, 11.0, 12.0, 13.0],
            "FE_H": [0.1, 0.2, 0.3, -9999.99],
            "LOGG": [4.0, 4.1, 4.2, 4.3],
            "SNR": [50.0, 90.0, 80.0, 70.0],
            "ASPCAPFLAG": [0, 0, 1 << 23, 0],
        }
    )
    with pytest.warns(UserWarning, match="repeat a source id"):
        joined = attach_reference(fitted, allstar)
    np.testing.assert_array_equal(joined["ref_teff"].filled(-1), [4500, 5100, -1, -1])
    np.testing.assert_array_equal(joined["ref_feh"].filled(-1), [-1, 0.2, -1, -1])
    np.testing.assert_array_equal(joined["ref_snr"].filled(-1), [70, 90, -1, -1])


@pytest.mark.parametrize("value", [-9999.0, 9.99, 99.9, -9.99, 999.0, 30.0])
@pytest.mark.filterwarnings("ignore:the reference table")
def test_labels_that_are_not_measured_are_left_out(fitted, reference, value):
    reference["feh_err"] = [0.1, 0.1, value, 0.1]
    reference["teff_err"][0] = -9999.0
    reference["fe_h"][0] = value
    joined = attach_reference(fitted, reference)
    assert joined["ref_feh"].mask.all()
    np.testing.assert_array_equal(joined["ref_teff"].mask, [False, True, False, True])


@pytest.fixture
def lamost():
    """With ids of DR2, which are not used: the stars 30 and 10, 0.5 arcsec and 2 arcsec off."""
    return Table(
        {
            "obsdate": ["2013-01-01"] * 2, "planid": ["P"] * 2, "spid": [1, 2], "fiberid": [1, 2],
            "gaia_source_id": [20, 40],
            "ra": [50.0, 60.0], "dec": [0.5 / 3600, 2.0 / 3600],
            "teff": [5000.0, 6000.0], "feh": [0.0, 0.1], "logg": [4.0, 4.1], "snrr": [40.0, 50.0],
        }
    )  # fmt: skip


def test_tables_without_ids_are_joined_by_position(fitted, lamost):
    fitted["ra"], fitted["dec"] = [50.0, 60.0, 70.0, 80.0], np.zeros(4)
    joined = attach_reference(fitted, lamost)
    np.testing.assert_array_equal(joined["ref_teff"].filled(-1), [5000, -1, -1, -1])
    assert joined["ref_snr"][0] == 40.0
    fitted["pmra"], fitted["pmdec"] = np.zeros(4), [0.0, -125.0, 0.0, 0.0]  # mas a year, since 2000
    joined = attach_reference(fitted, lamost)
    np.testing.assert_array_equal(joined["ref_teff"].filled(-1), [5000, 6000, -1, -1])
    lamost["ref_epoch"] = 2016.0
    assert attach_reference(fitted, lamost)["ref_teff"].mask[1]


def test_positions_must_be_measured(fitted, lamost):
    with pytest.raises(InputError, match="the catalogue no ra and dec to join by"):
        attach_reference(fitted, lamost)
    fitted["ra"], fitted["dec"] = [50.0, 60.0, 70.0, 80.0], np.zeros(4)
    fitted["fit_flags"] = int(FitFlag.APPROXIMATE_POSITION)
    with pytest.raises(InputError, match="fit with --astrometry"):
        attach_reference(fitted, lamost)
    fitted["fit_flags"] = 0
    lamost["ra"] += 1.0
    with pytest.raises(InputError, match=r"no source of the catalogue .*position within 1 arcsec"):
        attach_reference(fitted, lamost)


def test_ids_of_gaia_dr3_that_a_user_has_added_are_used(fitted, lamost):
    lamost["source_id"] = [30, 10]
    joined = attach_reference(fitted, lamost)
    np.testing.assert_array_equal(joined["ref_teff"].filled(-1), [5000, 6000, -1, -1])
