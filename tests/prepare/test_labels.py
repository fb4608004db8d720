import numpy as np
import pytest
from archive import archive_sources, write_archive
from astropy.table import Table

import xpfit
from xpfit import InputError, Spectra
from xpfit.cli import main
from xpfit.prepare import Additions, TrainingCuts, attach_labels, matched_table, training_cuts

IDS = np.array([11, 12, 13, 14], dtype=np.int64)


@pytest.fixture
def spectra():
    return Spectra(IDS, [500.0, 600.0], np.ones((4, 2)), np.ones((4, 2)))


@pytest.fixture
def labels():
    return Table(
        {
            "teff": [5000.0, 6000.0, 7000.0], "teff_err": [50.0, 60.0, 70.0],
            "feh": [0.0, 0.1, 0.2], "feh_err": [0.1] * 3, "logg": [4.0, 4.1, 4.2],
            "logg_err": [0.1] * 3, "snrg": [30.0, 30.0, 5.0], "snrr": [30.0] * 3,
            "snri": [30.0] * 3, "snr": [30.0] * 3,
            "ra": [10.0, 20.0, 30.0], "dec": [0.0, 1.0, 2.0],
        }
    )  # fmt: skip


@pytest.fixture
def gaia():
    return Table(
        {
            "source_id": IDS[::-1],
            "ra": [40.0, 30.0, 20.0, 10.0], "dec": [5.0, 2.0, 1.0, 0.0],
            "pmra": [0.0] * 4, "pmdec": [0.0] * 4,
            "parallax": [1.0] * 4, "parallax_error": [0.1] * 4,
            "fidelity_v2": [0.9] * 4, "phot_bp_rp_excess_factor": [1.1] * 4,
            "phot_g_mean_mag": [14.0] * 4, "nu_eff_used_in_astrometry": [1.5] * 4,
            "pseudocolour": [np.nan] * 4, "ecl_lat": [10.0] * 4,
            "astrometric_params_solved": [31] * 4,
        }
    )  # fmt: skip


def check(joined):
    np.testing.assert_allclose(joined.labels["teff"], [5.0, 6.0, 7.0, np.nan])
    np.testing.assert_allclose(joined.label_err["teff"], [0.05, 0.06, 0.07, np.nan])
    np.testing.assert_allclose(joined.labels["logg"], [4.0, 4.1, 4.2, np.nan])
    np.testing.assert_allclose(joined.snr, [30.0, 30.0, 30.0, np.nan])


def test_labels_are_joined_by_id(spectra, labels):
    labels["source_id"] = IDS[:3]
    check(attach_labels(spectra, labels))


def test_labels_without_ids_are_joined_by_position(spectra, labels, gaia):
    check(attach_labels(spectra, labels, gaia))
    with pytest.raises(InputError, match="--astrometry"):
        attach_labels(spectra, labels)


def test_stars_that_are_not_in_the_table_have_no_labels(spectra, labels):
    labels["source_id"] = IDS[:3] + 100
    assert np.isnan(attach_labels(spectra, labels).labels["teff"]).all()


def test_labels_of_any_name_with_a_column_of_errors_are_attached(spectra, labels):
    labels["source_id"] = IDS[:3]
    labels["c_fe"], labels["mg_fe"], labels["mg_fe_err"] = [0.1] * 3, [0.2] * 3, [0.05] * 3
    labels["distance"], labels["distance_err"], labels["fibre"] = 1.0, 0.1, 7.0
    joined = attach_labels(spectra, labels)
    assert list(joined.labels) == ["teff", "feh", "logg", "c_fe", "mg_fe"]
    np.testing.assert_array_equal(joined.labels["mg_fe"], [0.2, 0.2, 0.2, np.nan])
    np.testing.assert_array_equal(joined.label_err["mg_fe"], [0.05, 0.05, 0.05, np.nan])
    assert np.isnan(joined.label_err["c_fe"]).all()


def test_extinction_estimates_travel_along(spectra, labels):
    labels["source_id"] = IDS[:3]
    labels["extinction"], labels["extinction_err"] = [0.1, 0.2, np.nan], [0.01, 0.02, 0.03]
    joined = attach_labels(spectra, labels)
    np.testing.assert_allclose(joined.extinction, [0.1, 0.2, np.nan, np.nan])
    np.testing.assert_allclose(joined.extinction_err, [0.01, 0.02, np.inf, np.inf])


def test_training_cuts_on_the_joined_tables(spectra, labels, gaia):
    keep, removed = training_cuts(matched_table(spectra, labels, gaia))
    np.testing.assert_array_equal(keep, [True, True, False, False])
    assert removed["snrg > 20"] == 2 and removed["phot_bp_rp_excess_factor < 1.3"] == 0


def test_surveys_with_one_signal_to_noise_ratio_are_cut_by_that(spectra, labels, gaia):
    labels.remove_columns(["snrg", "snrr", "snri"])
    keep, removed = training_cuts(matched_table(spectra, labels, gaia))
    np.testing.assert_array_equal(keep, [True, True, True, False])
    assert removed["snr > 20"] == 1


def test_additions_attach_everything_and_count_what_they_cut(spectra, labels, gaia):
    extra = Additions(astrometry=gaia, labels=labels, cuts=TrainingCuts())
    parts = [extra.apply(spectra[:3]), extra.apply(spectra[3:])]
    assert [len(part) for part in parts] == [2, 0]
    assert extra.removed["snrg > 20"] == 2
    assert np.all(parts[0].parallax > 1.0)  # the zero point is negative
    with pytest.raises(InputError, match="astrometry and of labels"):
        Additions(labels=labels, cuts=TrainingCuts())


def test_prepare_with_labels_from_the_command_line(rng, labels, gaia, tmp_path, capsys):
    sources = archive_sources(4, rng)
    path = write_archive(sources, tmp_path / "s.csv", "csv (a, b)")
    gaia["source_id"] = np.asarray(sources["source_id"])[::-1]
    gaia.write(tmp_path / "gaia.fits")
    labels.write(tmp_path / "labels.fits")
    arguments = ["prepare", str(path), "--labels", str(tmp_path / "labels.fits"), "--astrometry",
                 str(tmp_path / "gaia.fits"), "--training-cuts"]  # fmt: skip
    assert main([*arguments, "--output", str(tmp_path / "t.h5")]) == 0
    out = capsys.readouterr().out
    assert "3 stars with labels" in out and "1 left out: snr > 20" in out
    read = xpfit.read_spectra(tmp_path / "t.h5")
    np.testing.assert_allclose(read.labels["teff"], [5.0, 6.0, 7.0])
    np.testing.assert_allclose(read.parallax_err, 0.1)


@pytest.mark.filterwarnings("always")
def test_no_match_at_all_is_announced(rng, labels, tmp_path, capsys):
    path = write_archive(archive_sources(2, rng), tmp_path / "s.csv", "csv (a, b)")
    labels["source_id"] = IDS[:3]
    labels.write(tmp_path / "labels.fits")
    arguments = ["--labels", str(tmp_path / "labels.fits"), "--output", str(tmp_path / "o.h5")]
    assert main(["prepare", str(path), *arguments]) == 0
    assert "warning: none of these stars" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--hot-payne", "h.fits"], "with --labels"),
        (["--survey", "apogee", "--labels", "t", "--label-columns", "teff=T"], "another survey"),
        (["--labels", "a=t", "--labels", "b=t", "--label-columns", "teff=T"], "another survey"),
        (["--labels", "a=t", "--labels", "b=t", "--survey", "apogee"], "--labels NAME=TABLE"),
        (["--labels", "t", "--reference-survey", "apogee"], "go with several"),
        (["--labels", "t", "--label-scales", "d"], "go with several"),
        (["--label-columns", "teff=T"], "with --labels"),
        (["--training-cuts"], "astrometry and of labels"),
        (["--space", "coefficient", "--wavelength", "400:900:10"], "for sampled space"),
    ],
)
def test_options_that_contradict_each_other_are_refused(rng, tmp_path, capsys, options, message):
    path = write_archive(archive_sources(1, rng), tmp_path / "s.csv", "csv (a, b)")
    assert main(["prepare", str(path), "--output", str(tmp_path / "o.h5"), *options]) == 1
    assert message in capsys.readouterr().err


def test_any_wavelength_grid_from_the_command_line(rng, tmp_path):
    path = write_archive(archive_sources(2, rng), tmp_path / "s.csv", "csv (a, b)")
    out = tmp_path / "o.parquet"
    assert main(["prepare", str(path), "--output", str(out), "--wavelength", "400:500:20"]) == 0
    np.testing.assert_allclose(
        xpfit.read_spectra(out).wavelength[:-5], [400, 420, 440, 460, 480, 500]
    )
