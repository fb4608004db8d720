import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from xpfit import InputError
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
    reference["teff"][-1] = 1.0
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
