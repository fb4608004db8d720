"""A model of one release becomes one of another: biases before and after, refusals, the record."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from helpers import simulate
from internal import coefficient_twin

import xpfit
from xpfit.catalogue import result_table
from xpfit.errors import InputError
from xpfit.quality import transfer
from xpfit.quality.common_stars import (
    known_from_catalogue,
    known_from_labels,
)
from xpfit.quality.transfer import TRANSFERS, held_out_stars, transfer_model
from xpfit.read.crosswalk import COLUMNS
from xpfit.statistics import robust_width

LABEL_ERR = np.array([0.03, 0.04, 0.05])
EXTINCTION_ERR = 0.02
OLD_ID, NEW_ID = COLUMNS["DR3"], COLUMNS["DR4"]

NEW_IDS = 10**6
"""Added to the ids of the old release."""


def ln_distortion(model):
    """ln of a flux that differs by 2 %, in the blue by 5 %, but in no photometric band."""
    x = (model.wavelength - 392.0) / 600.0
    smooth = 0.02 * np.sin(6.0 * x) + 0.05 * np.exp(-((x / 0.15) ** 2))
    return np.where(model.space.is_band, 0.0, smooth)


def labelled(model, n_star, seed):
    """Stars of the old release, with labels and estimates of extinction, and the truth."""
    rng = np.random.default_rng(seed)
    truth, spectra = simulate(model, n_star, rng, relative_error=0.01)
    measured = truth[:, :3] + LABEL_ERR * rng.standard_normal((n_star, 3))
    names = model.label_names
    spectra = spectra.replace(
        labels=dict(zip(names, measured.T, strict=True)),
        label_err={n: np.full(n_star, e) for n, e in zip(names, LABEL_ERR, strict=True)},
        extinction=truth[:, 3] + EXTINCTION_ERR * rng.standard_normal(n_star),
        extinction_err=np.full(n_star, EXTINCTION_ERR),
        preparation=model.preparation,
    )
    return truth, spectra


def in_new_release(model, spectra, rng):
    """The same stars with another calibration and other noise."""
    noise = np.where(np.isfinite(spectra.flux_err), spectra.flux_err, 0.0)
    noise = 0.5 * noise * rng.standard_normal(noise.shape)
    return spectra.replace(flux=(spectra.flux + noise) * np.exp(ln_distortion(model)))


def pulls(model, spectra, truth):
    """(fitted - true) / error of labels and extinction."""
    fit = model.fit(spectra, progress=False)
    return (fit.parameters[:, :4] - truth[:, :4]) / fit.errors[:, :4]


@pytest.fixture(scope="module")
def common(model):
    """Stars in common as the new release has them."""
    _, spectra = labelled(model, 500, 1)
    return spectra.replace(flux=spectra.flux * np.exp(ln_distortion(model)))


@pytest.fixture(scope="module")
def transferred(model, common):
    return transfer_model(model, common)


@pytest.fixture(scope="module")
def other_pulls(model, transferred):
    """Pulls of other stars of the new release by the old and the new model."""
    truth, spectra = labelled(model, 300, 2)
    spectra = spectra.replace(flux=spectra.flux * np.exp(ln_distortion(model)))
    return tuple(pulls(m, spectra, truth) for m in (model, transferred[0]))


def test_blind_fits_are_biased_by_more_than_two_sigma_and_transferred_ones_are_not(other_pulls):
    before, after = other_pulls
    assert np.max(np.abs(np.median(before, axis=0))) > 2.0
    assert np.max(np.abs(np.median(after, axis=0))) < 0.25


def test_pulls_are_well_calibrated_after_the_transfer(other_pulls):
    width = robust_width(other_pulls[1], axis=0)
    assert np.all((width > 0.85) & (width < 1.15)), width


def test_the_factor_is_the_distortion_within_its_error(model, transferred):
    _, report = transferred
    expected = ln_distortion(model)[np.isin(model.wavelength, report.wavelength)]
    off = np.log(report.factor) - expected
    # The amplitudes are free, and so is a constant.
    assert np.std(off) < 0.004 and np.all(report.error < 0.02)


def test_the_report_says_what_held_out_stars_say(common, transferred):
    _, report = transferred
    held_out = held_out_stars(common.source_id, 1)
    assert report.n_held_out <= held_out.sum() and 0.12 < held_out.mean() < 0.28
    assert report.before.chi2_per_dof > report.after.chi2_per_dof > 0.8
    assert report.after.mean_bias < 0.3 < report.before.mean_bias
    assert np.max(np.abs(report.residual[1])) < np.max(np.abs(report.residual[0]))
    assert f"{report.n_held_out} held out" in str(report) and "extinction" in str(report)


def test_held_out_stars_do_not_change_the_model(model, common, transferred):
    rng = np.random.default_rng(3)
    held_out = held_out_stars(common.source_id, 1)
    noisy = common.flux * (1.0 + 0.002 * rng.standard_normal(common.flux.shape))
    changed = common.replace(flux=np.where(held_out[:, None], noisy, common.flux))
    new, report = transfer_model(model, changed)
    np.testing.assert_array_equal(new.forward.parameters, transferred[0].forward.parameters)
    assert report.after.chi2_per_dof != transferred[1].after.chi2_per_dof


def test_other_stars_are_held_out_with_another_seed_and_all_spectra_of_one_together(common):
    ids = np.concatenate([common.source_id, common.source_id])
    first, again = np.split(held_out_stars(ids, 1), 2)
    np.testing.assert_array_equal(first, again)
    assert np.any(held_out_stars(common.source_id, 2) != first)


def test_the_new_model_is_an_ordinary_one_with_the_error_of_the_factor(
    model, transferred, tmp_path
):
    new, report = transferred
    new.save(tmp_path / "new.h5")
    read = xpfit.load_model(tmp_path / "new.h5")
    assert read.fingerprint == new.fingerprint != model.fingerprint
    variance = np.diag(read.covariance.matrix())[np.isin(model.wavelength, report.wavelength)]
    np.testing.assert_allclose(np.sqrt(variance), report.error)
    (record,) = read.training[TRANSFERS]
    assert record["from"] == model.fingerprint and record["n_stars"] == report.n_stars
    assert record["after"]["bias"] == report.after.bias
    window = (model.wavelength >= 592) & (model.wavelength <= 782)
    factor = read.diagnostics["recalibration/ln_factor"]
    assert abs(factor[window & model.trained_channels].mean()) < 1e-12


def test_the_error_of_the_factor_is_added_to_that_of_the_emulator(transferred):
    loaded = xpfit.load_model()
    n = loaded.space.n_obs
    root = np.zeros((n, 2))
    root[10:20] = 0.01
    found = replace(transferred[1].recalibration, ln_factor=np.zeros(n), root=root)
    new = transfer.recalibrated_model(loaded, found, "DR4")
    added = new.covariance.matrix() - loaded.covariance.matrix()
    np.testing.assert_allclose(added, root @ root.T, atol=1e-12)
    assert new.luminosity_error is loaded.luminosity_error


def test_a_second_transfer_is_recorded_beside_the_first(model, common, transferred):
    again, report = transfer_model(transferred[0], common)
    assert [r["from"] for r in again.training[TRANSFERS]] == [
        model.fingerprint, transferred[0].fingerprint
    ]  # fmt: skip
    assert np.std(np.log(report.factor)) < 0.004


def test_fits_of_the_old_spectra_do_instead_of_labels_through_a_crosswalk(model):
    rng = np.random.default_rng(5)
    truth, old = labelled(model, 400, 4)
    catalogue = result_table(model, old, model.fit(old, progress=False))
    new_id = old.source_id + NEW_IDS
    crosswalk = Table({OLD_ID: old.source_id[::-1], NEW_ID: new_id[::-1]})
    crosswalk.add_row((int(old.source_id[7]), int(new_id[0])))  # two counterparts
    new = in_new_release(model, old, rng)
    spectra = replace(new, source_id=new_id, labels={}, label_err={})
    known, usable = known_from_catalogue(model, spectra.source_id, catalogue, crosswalk)
    assert not usable[[0, 7]].any() and usable.sum() > 350
    _, report = transfer_model(model, spectra, (known, usable))
    expected = ln_distortion(model)[np.isin(model.wavelength, report.wavelength)]
    assert np.std(np.log(report.factor) - expected) < 0.004
    off = (known.values - truth)[usable][:, :4]
    variance = np.linalg.pinv(known.information[usable], hermitian=True)
    width = robust_width(off / np.sqrt(np.diagonal(variance, axis1=1, axis2=2)[:, :4]), axis=0)
    assert np.all((width > 0.85) & (width < 1.15)), width
    assert np.all(known.information[:, 4] == 0.0)  # the amplitude is free


def test_the_prior_of_fits_is_removed_from_what_is_known(absolute_model):
    """Of a normal likelihood and a normal prior the mean is weighted with both."""
    model = absolute_model
    _, spectra = labelled(model, 20, 6)
    spectra = spectra.replace(parallax=np.full(20, 5.0), parallax_err=np.full(20, 0.5))
    fit = model.fit(spectra, progress=False)
    known, usable = known_from_catalogue(
        model, spectra.source_id, result_table(model, spectra, fit)
    )
    covariance = np.linalg.inv(known.information[usable])
    moved = np.linalg.solve(covariance, (fit.parameters[usable] - known.values[usable])[:, :, None])
    values = fit.parameters[usable]
    slope = model.prior.ln_p_derivatives(values[:, :3])[1]
    expected = np.column_stack([slope, 1.0 / values[:, 3], 1.0 / values[:, 4]])
    np.testing.assert_allclose(moved[:, :, 0], expected, rtol=1e-5, atol=1e-5)


def test_known_labels_have_their_errors_and_those_outside_the_range_are_not_used(absolute_model):
    model = absolute_model
    _, spectra = labelled(model, 4, 7)
    teff = spectra.labels["teff"].copy()
    teff[0], teff[1] = 20.0, np.nan
    spectra = spectra.replace(
        labels={**spectra.labels, "teff": teff},
        parallax=np.full(4, 2.0),
        parallax_err=np.full(4, 0.1),
        extinction_err=np.array([0.02, 0.02, 0.02, np.inf]),
    )
    known, usable = known_from_labels(model, spectra)
    assert usable.tolist() == [False, False, True, True]
    expected = np.array([*LABEL_ERR, EXTINCTION_ERR, 0.1]) ** -2.0
    np.testing.assert_allclose(np.diag(known.information[2]), expected)
    assert known.information[3, 3, 3] == 0.0


def test_too_few_stars_are_refused(model, common):
    with pytest.raises(InputError, match="at least 300 are needed"):
        transfer_model(model, common[:299])


@pytest.mark.parametrize(
    ("sign", "dust", "message"),
    [(-1.0, 0.0, "stars chi2 is higher"), (1.0, 0.3, "stars .*labels are more biased")],
)
def test_a_transfer_that_makes_held_out_stars_worse_is_refused(
    model, common, monkeypatch, sign, dust, message
):
    right = transfer.recalibrate

    def wrong(*arguments):
        found = right(*arguments)
        return replace(
            found, ln_factor=sign * found.ln_factor - dust * model.forward.extinction_curve
        )

    monkeypatch.setattr(transfer, "recalibrate", wrong)
    with pytest.raises(InputError, match=message):
        transfer_model(model, common)


def test_models_on_coefficients_are_refused(model, common):
    with pytest.raises(InputError, match="works on coefficients"):
        transfer_model(coefficient_twin(model), common)


@pytest.mark.parametrize("case", ["labels", "catalogue", "columns", "crosswalk", "counterparts"])
def test_missing_labels_columns_and_stars_are_refused_by_name(model, common, case):
    catalogue = Table({"source_id": common.source_id})
    other = Table({"source_id": common.source_id + NEW_IDS})
    with pytest.raises(InputError) as error:
        if case == "labels":
            transfer_model(model, common.replace(labels={}, label_err={}))
        elif case == "catalogue":
            known_from_catalogue(model, common.source_id, other)
        elif case == "columns":
            known_from_catalogue(model, common.source_id, catalogue)
        else:
            columns = {OLD_ID: other["source_id"]}
            if case == "counterparts":
                columns[NEW_ID] = other["source_id"]
            known_from_catalogue(model, common.source_id, catalogue, Table(columns))
    expected = {
        "labels": "have no labels teff, feh, logg: attach them",
        "catalogue": "none of the 500 stars is in this catalogue",
        "columns": "no column teff, feh",
        "crosswalk": f"no column {NEW_ID}",
        "counterparts": f"none of the 500 stars is in column {NEW_ID}",
    }
    assert expected[case] in str(error.value)
