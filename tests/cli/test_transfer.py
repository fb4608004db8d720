"""The command that recalibrates a model to another release."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from helpers import picture_size, run_command, simulate

import xpfit
from xpfit.cli import main
from xpfit.prepare import write_spectra
from xpfit.quality.transfer import TRANSFERS

MODEL = "tests/data/three_labels.h5"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A model, and 400 labelled stars of a release whose flux is 3 % higher in the blue."""
    folder, rng = tmp_path_factory.mktemp("transfer"), np.random.default_rng(1)
    model = xpfit.load_model(MODEL)
    truth, spectra = simulate(model, 400, rng, relative_error=0.01)
    tilt = np.where(model.space.is_band, 0.0, 0.03 * (700.0 - model.wavelength) / 300.0)
    error = np.full(400, 0.02)
    labels = {n: v + error * rng.standard_normal(400) for n, v in zip(
        model.label_names, truth[:, :3].T, strict=True)}  # fmt: skip
    old = spectra.replace(preparation=model.preparation)
    write_spectra([old], folder / "old.h5")
    ids = {"dr3_source_id": old.source_id, "dr4_source_id": old.source_id + 10**6}
    Table(ids).write(folder / "crosswalk.csv")
    spectra = spectra.replace(
        flux=spectra.flux * np.exp(tilt),
        labels=labels,
        label_err=dict.fromkeys(labels, error),
        extinction=truth[:, 3] + error * rng.standard_normal(400),
        extinction_err=error,
        preparation=model.preparation,
    )
    write_spectra([spectra], folder / "new.h5")
    write_spectra([spectra[np.arange(200)]], folder / "few.h5")
    ids = spectra.source_id + 10**6
    write_spectra([replace(old, source_id=ids, flux=spectra.flux)], folder / "renumbered.h5")
    return folder


def test_transfer_writes_a_model_and_a_figure_and_says_what_was_found(files, tmp_path, capsys):
    out, plots = tmp_path / "dr4.h5", tmp_path / "plots"
    command = ["transfer", MODEL, str(files / "new.h5"), "--output", str(out)]
    assert main([*command, "--plots", str(plots)]) == 0
    said = capsys.readouterr().out
    assert "held-out stars: chi2 per degree of freedom" in said and f"wrote {out}" in said
    new, old = xpfit.load_model(out), xpfit.load_model(MODEL)
    change = new.forward.ln_absolute_flux(np.array([[5.0, 0.0, 3.0]]))
    change = (change - old.forward.ln_absolute_flux(np.array([[5.0, 0.0, 3.0]])))[0]
    assert change[0] - change[60] == pytest.approx(0.06, abs=0.01)
    assert new.training[TRANSFERS][0]["seed"] == 1
    assert picture_size(plots / "recalibration.png") == (7.0, 5.5)
    assert main(command) == 1
    assert "exists" in capsys.readouterr().err


def test_fits_of_old_spectra_and_a_crosswalk_do_instead_of_labels(files, tmp_path):
    fitted, out = tmp_path / "fitted.fits", tmp_path / "dr4.h5"
    fit = ("fit", files / "old.h5", "--model", MODEL, "--output", fitted, "--quiet")
    assert run_command(*fit) == 0
    words = ("transfer", MODEL, files / "renumbered.h5", "--output", out, "--quiet")
    known = ("--catalogue", fitted, "--crosswalk", files / "crosswalk.csv")
    assert run_command(*words, *known) == 0
    factor = xpfit.load_model(out).diagnostics["recalibration/ln_factor"]
    assert factor[0] - factor[60] == pytest.approx(0.06, abs=0.01)
    assert run_command(*words, *known[:2], "--overwrite") == 1  # ids are others
    assert run_command(*words, "--overwrite") == 1  # no labels


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["{}/few.h5"], "200 of 200 stars are usable"),
        (["{}/new.h5", "--catalogue", "{}/crosswalk.csv"], "crosswalk.csv"),
    ],
)
def test_what_cannot_be_transferred_is_refused_without_output(
    files, tmp_path, capsys, options, message
):
    words = [word.format(files) for word in options]
    assert run_command("transfer", MODEL, *words, "--output", tmp_path / "o.h5", "--quiet") == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
