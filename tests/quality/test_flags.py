from copy import copy
from dataclasses import fields, replace

import numpy as np
import pytest
from helpers import simulate

from xpfit import FitResult, FitStatus
from xpfit.data.flags import UNRELIABLE, FitFlag, InputFlag, QualityFlag, has_flag
from xpfit.nn import classifier_network
from xpfit.quality import (
    Confidence,
    confidence_features,
    fit_flags,
    is_basic,
    is_reliable,
    quality_flags,
)

CONFIDENT = np.ones((6, 3))


@pytest.fixture(scope="module")
def fitted(model):
    truth, spectra = simulate(model, 60, np.random.default_rng(2), relative_error=0.01)
    spectra = spectra[np.argsort(model.prior.ln_p(truth[:, :3]))[-6:]]  # far from every edge
    return spectra, model.fit(spectra, progress=False)


def of_luminosities(result):
    """As of an absolute model whose spectra alone give the parallax, independent of all else."""
    inverse = result.inverse_covariance.copy()
    inverse[:, 4] = inverse[:, :, 4] = 0.0
    inverse[:, 4, 4] = 1e9
    return replace(result, absolute=True, inverse_covariance=inverse)


def test_good_fits_carry_no_flag(model, fitted):
    spectra, result = fitted
    assert not quality_flags(model, spectra, result, CONFIDENT).any()
    assert not fit_flags(model, spectra, result).any()


def test_bits_are_those_of_table_2():
    assert [int(flag) for flag in QualityFlag] == [1, 2, 4, 8, 16, 32]


# Written out by hand from ZGR23's table 2: confidence in Teff, [Fe/H], log g; chi2 per degree of
# freedom; ln_prior above the threshold; parallax pull; flags; whether eqs. 24-26 keep the star.
TABLE_2 = [
    (0.9, 0.9, 0.9, 1.0, +2.0, 1.0, 0, True),
    (0.49, 0.9, 0.9, 1.0, +2.0, 1.0, 1, True),
    (0.9, 0.49, 0.9, 1.0, +2.0, 1.0, 2, True),
    (0.9, 0.9, 0.49, 1.0, +2.0, 1.0, 4, True),
    (0.1, 0.2, 0.3, 1.99, +0.01, 9.9, 7, True),
    (0.5, 0.5, 0.5, 2.01, +2.0, 1.0, 8, False),
    (0.9, 0.9, 0.9, 1.0, -0.01, 1.0, 16, False),
    (0.9, 0.9, 0.9, 1.0, +2.0, 10.1, 32, False),
    (0.9, 0.9, 0.9, 1.0, +2.0, -10.1, 32, False),
    (0.0, 0.0, 0.0, 9.0, -9.0, 99.0, 63, False),
]


def test_flags_are_those_of_table_2_bit_for_bit(absolute_model, fitted):
    rows = np.arange(len(TABLE_2)) % 6
    spectra, result = fitted[0][rows], copy(of_luminosities(fitted[1]))
    for field in fields(result):
        value = getattr(result, field.name)
        if isinstance(value, np.ndarray):
            setattr(result, field.name, value[rows])
    teff, feh, logg, chi2, above, pull, flags, kept = np.array(TABLE_2).T
    result.chi2 = chi2 * result.dof
    result.ln_prior = absolute_model.ln_prior_threshold + above
    error = np.full(len(rows), 0.2)
    spectra = replace(spectra, parallax=result["parallax"] - pull * error, parallax_err=error)
    confidence = np.column_stack([teff, feh, logg])
    found = quality_flags(absolute_model, spectra, result, confidence)
    np.testing.assert_array_equal(found, flags)
    np.testing.assert_array_equal(found < 8, kept.astype(bool))


def test_unknown_confidence_is_no_confidence(model, fitted):
    spectra, result = fitted
    np.testing.assert_array_equal(quality_flags(model, spectra, result), 7)
    partly = np.where(np.arange(18).reshape(6, 3) == 4, np.nan, 0.9)
    np.testing.assert_array_equal(quality_flags(model, spectra, result, partly), [0, 2, 0, 0, 0, 0])


def test_stars_without_a_fit_do_not_pass_the_basic_cut(model, fitted):
    spectra, _ = fitted
    empty = FitResult.empty(model, spectra)
    np.testing.assert_array_equal(quality_flags(model, spectra, empty), 7 + 8 + 16)


def test_chi2_above_two_per_degree_of_freedom_is_flagged(model, fitted):
    spectra, result = fitted
    chi2 = result.dof * np.array([0.5, 1.99, 2.01, 9.0, np.nan, 1.0])
    flags = quality_flags(model, spectra, replace(result, chi2=chi2), CONFIDENT)
    np.testing.assert_array_equal(flags, [0, 0, 8, 8, 8, 0])
    assert flags.dtype == np.uint8


def test_stellar_types_outside_the_prior_s_mass_are_flagged(model, fitted):
    spectra, result = fitted
    ln_prior = model.ln_prior_threshold + np.array([1.0, 0.01, -0.01, -50.0, np.nan, 5.0])
    flags = quality_flags(model, spectra, replace(result, ln_prior=ln_prior), CONFIDENT)
    np.testing.assert_array_equal(flags, [0, 0, 16, 16, 16, 0])


def test_parallax_ten_sigma_off_is_flagged(model, absolute_model, fitted):
    spectra, result = fitted[0], of_luminosities(fitted[1])
    error = np.array([0.1, 0.1, np.inf, 0.1, 0.1, 0.1])
    offset = np.array([0.0, 0.99, 5.0, -1.01, 1.01, 0.5])
    observed = replace(spectra, parallax=result["parallax"] + offset, parallax_err=error)
    flags = quality_flags(absolute_model, observed, result, CONFIDENT)
    np.testing.assert_array_equal(flags, [0, 0, 0, 32, 32, 0])
    np.testing.assert_array_equal(quality_flags(model, observed, fitted[1], CONFIDENT), 0)


def test_bad_and_weak_parallaxes_are_flagged_where_they_are_used(model, fitted):
    spectra, result = fitted
    observed = spectra.replace(
        parallax=np.array([9.0, 9.0, 9.0, 4.9, -3.0, np.nan]),
        parallax_err=np.array([1.0, 1.0, 1.0, 1.0, 1.0, np.inf]),
        gaia={"ruwe": np.array([1.39, 1.41, np.nan, 1.0, 5.0, 5.0])},
    )
    flags = fit_flags(model, observed, replace(result, absolute=True))
    bad, weak = int(FitFlag.HIGH_RUWE), int(FitFlag.WEAK_PARALLAX)
    np.testing.assert_array_equal(flags, [0, bad, 0, weak, bad + weak, 0])
    assert not fit_flags(model, observed, result).any()
    assert not int(UNRELIABLE) & (bad + weak)


def test_flags_fit_into_their_columns():
    assert sum(FitFlag) <= np.iinfo(np.int32).max and sum(QualityFlag) <= 255


def test_status_range_and_input_each_have_their_bit(model, fitted):
    spectra, result = fitted
    status = result.status.copy()
    status[0], status[1] = FitStatus.NOT_CONVERGED, FitStatus.NOT_FITTED
    parameters = result.parameters.copy()
    parameters[1] = np.nan
    edge = model.label_ranges[0, 1]
    parameters[2, 0] = edge - 0.9 * result.error("teff")[2]
    parameters[3, 0] = edge - 1.1 * result.error("teff")[3]
    flags_in = np.array([0, 0, 0, InputFlag.MASKED_SAMPLES, InputFlag.MISSING_BAND,
                         InputFlag.MISSING_ID | InputFlag.DUPLICATE_ID])  # fmt: skip
    flags = fit_flags(
        model,
        replace(spectra, input_flags=flags_in),
        replace(result, status=status, parameters=parameters),
    )
    np.testing.assert_array_equal(flags, [1, 4, 2, 32, 8, 64 + 128])


def test_second_mode_that_is_nearly_as_good_is_flagged(model, fitted):
    spectra, result = fitted
    depth = np.array([np.nan, 0.0, 1.9, 2.1, 50.0, np.nan])
    flags = fit_flags(model, spectra, replace(result, second_mode=depth))
    np.testing.assert_array_equal(flags & FitFlag.SECOND_MODE, [0, 256, 256, 0, 0, 0])


def test_refused_spectrum_is_bad_input_even_if_its_photometry_was_fitted(model, fitted):
    spectra, result = fitted
    refused = np.array([InputFlag.BAD_COEFFICIENTS, 0, 0, 0, 0, 0])
    flags = fit_flags(model, replace(spectra, input_flags=refused), result)
    np.testing.assert_array_equal(flags, [FitFlag.BAD_INPUT, 0, 0, 0, 0, 0])


def test_basic_is_the_paper_s_cut_and_reliable_is_basic_without_a_serious_fit_flag():
    quality = np.array([0, 7, 8, 16, 0, 0, 0, 0], dtype=np.uint8)
    fit = np.array([0, 0, 0, 0, FitFlag.NOT_CONVERGED, FitFlag.OUT_OF_RANGE, FitFlag.BAD_INPUT,
                    FitFlag.MISSING_BAND | FitFlag.DUPLICATE_ID])  # fmt: skip
    np.testing.assert_array_equal(is_reliable(quality, fit), [1, 1, 0, 0, 0, 0, 0, 1])
    np.testing.assert_array_equal(is_basic(quality), [1, 1, 0, 0, 1, 1, 1, 1])


def test_confidence_in_fits_that_must_not_be_used_is_below_one_half(model, fitted):
    spectra, result = fitted
    features = confidence_features(model, spectra, result)
    names = tuple(features)
    network = classifier_network(len(names), (4,), dropout=0.0)
    certain = np.zeros((3, network.n_parameters))
    certain[:, -1] = 9.0  # the bias of the output
    ones = np.ones(len(names))
    confidence = Confidence(model.fingerprint, names, 0 * ones, ones, (4,), certain)
    assert (confidence.of_fit(model, spectra, result)[0] > 0.99).all()
    chi2 = np.where(np.arange(6) == 1, 3.0, 1.0) * result.dof
    status = np.where(np.arange(6) == 2, FitStatus.NOT_CONVERGED, result.status)
    emission = np.where(np.arange(6) == 3, 1.5, 0.0)
    wrong = replace(result, chi2=chi2, status=status, emission=emission)
    found, _ = confidence.of_fit(model, spectra, wrong)
    np.testing.assert_array_equal((found < 0.5).all(axis=1), [0, 1, 1, 1, 0, 0])
    quality = quality_flags(model, spectra, wrong, found)
    np.testing.assert_array_equal(quality == 0, [1, 0, 0, 0, 1, 1])


def test_what_a_classifier_finds_unlike_the_training_set_is_flagged_and_not_reliable(model, fitted):
    spectra, result = fitted
    unlike = np.arange(6) == 4
    flags = fit_flags(model, spectra, result, unlike)
    np.testing.assert_array_equal(has_flag(flags, FitFlag.UNLIKE_TRAINING), unlike)
    np.testing.assert_array_equal(is_reliable(np.zeros(6), flags), ~unlike)
