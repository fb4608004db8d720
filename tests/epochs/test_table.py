"""Files of epoch spectra -> tables and figures, through the commands."""

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from archive import archive_sources, write_archive
from astropy.table import vstack
from epoch_stars import GIANT, epoch_rows

import xpfit
from xpfit import InputError, read_catalogue
from xpfit.cli import main
from xpfit.epochs import (
    EpochFlag,
    compare_epochs,
    iterate_epochs,
    read_epochs,
    star_table,
    study_stars,
)
from xpfit.epochs.simulation import EpochSettings, EpochSimulator, TeffSwing
from xpfit.prepare import coefficient_space

N_EPOCH = 6
THREE_LABELS = str(Path(__file__).resolve().parents[1] / "data/three_labels.h5")


@pytest.fixture(scope="module")
def rows():
    """A constant star, and one of which two epochs are fainter."""
    rng = np.random.default_rng(1)
    sources = archive_sources(2, rng)
    constant = epoch_rows(sources[:1], N_EPOCH, rng)
    dips = np.array([1.0, 0.9, 1.0, 1.0, 0.9, 1.0])
    return vstack([constant, epoch_rows(sources[1:], N_EPOCH, rng, dips)])


@pytest.fixture(scope="module")
def path(rows, tmp_path_factory):
    return write_archive(rows, tmp_path_factory.mktemp("epochs") / "e.csv", "csv (a, b)")


@pytest.mark.parametrize("style", ["csv [a, b]", "bulk csv.gz", "fits", "votable binary", "hdf5"])
def test_stars_and_times_are_those_of_the_file(rows, model, tmp_path, style):
    path = write_archive(rows, tmp_path / "e", style)
    stars = list(iterate_epochs(path, model))
    assert [star.source_id for star in stars] == list(dict.fromkeys(rows["source_id"].tolist()))
    assert [len(star) for star in stars] == [N_EPOCH, N_EPOCH]
    np.testing.assert_array_equal(stars[1].time, rows["obs_time"][N_EPOCH:])
    np.testing.assert_array_equal(stars[1].transit_id, rows["transit_id"][N_EPOCH:])
    assert stars[0].used[:, :61].all()


def test_epochs_of_another_release_than_the_model_s_are_refused(path, model):
    with pytest.raises(InputError, match="are of Gaia DR3, the model was trained on Gaia DR4"):
        preparation = {**model.preparation.to_dict(), "release": "DR4"}
        next(iterate_epochs(path, replace(model, preparation=preparation)))


def test_zipped_text_is_read(path, model, tmp_path):
    with zipfile.ZipFile(tmp_path / "e.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "e.csv")
    assert len(list(iterate_epochs(tmp_path / "e.zip", model))) == 2


def test_epochs_come_in_order_of_time(rows, model, tmp_path):
    path = write_archive(rows[[2, 0, 1]], tmp_path / "e.csv", "csv (a, b)")
    (star,) = iterate_epochs(path, model)
    assert np.all(np.diff(star.time) > 0)
    np.testing.assert_array_equal(star.transit_id, [17, 18, 19])


def test_covariance_is_that_of_the_measurement(path, model):
    star = next(iterate_epochs(path, model))
    exact = xpfit.XPSettings(independent_error=0.0, zero_point_error=0.0, band_error=0.0)
    alone = xpfit.read_spectra(path, slice(0, N_EPOCH), exact, space=model.space)
    single = np.diagonal(star.covariance, axis1=1, axis2=2)[:, :61]
    np.testing.assert_allclose(np.sqrt(single), alone.flux_err[:, :61], rtol=1e-6)
    total = np.sqrt(single + np.diag(star.calibration)[:61])
    np.testing.assert_allclose(total, star.spectra.flux_err[:, :61], rtol=0.05)


def test_coefficients_are_compared_as_samples_are(path, model):
    """In either space it is the same question: chi2 of constant stars is about its mean."""

    class Coefficients:
        space, preparation, release = coefficient_space(), model.preparation, model.release

    star = next(iterate_epochs(path, Coefficients))
    comparison = compare_epochs(star)
    assert comparison.dof == (N_EPOCH - 1) * 110
    assert abs(comparison.chi2 - comparison.dof) < 4.0 * np.sqrt(2.0 * comparison.dof)


def test_a_missing_band_is_compared_as_far_as_it_goes(rows, model, tmp_path):
    cells = {name: list(rows[:N_EPOCH][name]) for name in rows.colnames}
    for name in ("coefficients", "coefficient_errors", "coefficient_correlations"):
        cells[f"bp_{name}"][3] = None
    table = {"colnames": rows.colnames, **cells}
    path = write_archive(_Cells(table), tmp_path / "e.csv", "csv (a, b)")
    (star,) = iterate_epochs(path, model)
    assert star.used[3].sum() < star.used[2].sum()
    (studied,) = study_stars(model, [star])
    (row,) = star_table(studied)
    assert row["flags"] & EpochFlag.INCOMPLETE
    assert row["p_value"] > 1e-4


class _Cells:
    """A table whose cells may be None."""

    def __init__(self, cells):
        self.colnames = cells.pop("colnames")
        self._cells = cells

    def __iter__(self):
        for values in zip(*self._cells.values(), strict=True):
            yield dict(zip(self._cells, values, strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.remove_column("obs_time"), "no column obs_time or time"),
        (lambda t: t["source_id"].__setitem__(slice(None, None, 2), 5), "not together; sort"),
        (lambda t: t["source_id"].__setitem__(0, 0), "row has no source_id"),
    ],
)
def test_files_that_are_not_of_epochs_are_refused(rows, model, tmp_path, change, message):
    table = rows.copy()
    change(table)
    path = write_archive(table, tmp_path / "e.csv", "csv (a, b)")
    with pytest.raises(InputError, match=message):
        list(iterate_epochs(path, model))
    with pytest.raises(InputError, match="source 3 is not in this file"):
        read_epochs(write_archive(rows, tmp_path / "f.csv", "csv (a, b)"), model, 3)


def test_command_finds_the_star_that_varies(path, rows, tmp_path, capsys):
    output, epochs = tmp_path / "o.fits", tmp_path / "epochs.ecsv"
    command = ["epochs", str(path), "--model", THREE_LABELS]
    assert main([*command, "--output", str(output), "--epoch-table", str(epochs)]) == 0
    assert "wrote 2 stars" in capsys.readouterr().out
    table, each = read_catalogue(output), read_catalogue(epochs)
    assert list(table["n_epochs"]) == [N_EPOCH, N_EPOCH]
    assert table["p_value"][0] > 1e-3 > table["p_value"][1]
    assert not table["flags"][0] & EpochFlag.VARIABLE
    assert table["flags"][1] & EpochFlag.VARIABLE
    assert table["p_brightness"][1] < 1e-10
    assert np.all(each["source_id"] == rows["source_id"])
    second = each[N_EPOCH:]
    assert set(np.argsort(second["chi2"])[-2:]) == {1, 4}
    assert {"teff", "teff_err", "amplitude", "amplitude_err"} <= set(each.colnames)
    np.testing.assert_allclose(each["chi2"].reshape(2, -1).sum(axis=1), table["chi2"], rtol=1e-9)


def test_both_tables_are_written_or_none(path, tmp_path, capsys):
    command = ["epochs", str(path), "--model", THREE_LABELS, "--quiet"]
    command += ["--epoch-table", str(tmp_path / "e.ecsv"), "--output", str(tmp_path / "o.fits")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("astropy.io.fits.open", _fails)
        assert main(command) == 1
    assert "no space" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    for option, value, text in (
        ("--free", "mass", "choose among"),
        ("--false-alarms", "2", "above 0, below 1"),
        ("--epoch-table", str(tmp_path / "o.fits"), "two outputs"),
    ):
        assert main([*command, option, value]) == 1
        assert text in capsys.readouterr().err


def _fails(*arguments, **options):
    raise OSError(28, "no space left on device")


def test_scatter_of_simulated_stars_is_found(model, rng):
    simulator = EpochSimulator(model, EpochSettings(n_epoch=20))
    stars = [
        simulator.simulate(GIANT, 12.0, rng, variation, source_id=i)
        for i, variation in enumerate([None, TeffSwing(0.3)])
    ]
    (studied,) = study_stars(model, stars)
    constant, swinging = star_table(studied)
    assert swinging["flags"] == EpochFlag.VARIABLE
    assert swinging["p_teff"] < 1e-6
    assert swinging["teff_scatter"] == pytest.approx(300 / np.sqrt(8), rel=0.25)
    assert constant["teff_scatter"] < 10.0


def test_one_epoch_is_too_few(model, rng):
    simulator = EpochSimulator(model, EpochSettings(n_epoch=1))
    (studied,) = study_stars(model, [simulator.simulate(GIANT, 12.0, rng)])
    (row,) = star_table(studied)
    assert row["flags"] & EpochFlag.TOO_FEW
    assert not row["flags"] & EpochFlag.VARIABLE
    assert np.isnan(row["p_variable"])


def test_figure_shows_every_epoch(path, rows, tmp_path):
    source_id = str(rows["source_id"][-1])
    command = ["plot", "epochs", str(path), "--source-id", source_id, "--quiet"]
    command += ["--model", THREE_LABELS, "--output-dir", str(tmp_path / "p")]
    assert main(command) == 0
    assert (tmp_path / "p" / f"epochs-{source_id}.png").stat().st_size > 20_000


def test_plot_asks_for_the_star(path, tmp_path, capsys):
    assert main(["plot", "epochs", str(path), "--output-dir", str(tmp_path / "p")]) == 1
    assert "--source-id" in capsys.readouterr().err
