"""DR3's spectra in DR4's form, through the commands: refused where releases mix, else fitted."""

import zipfile

import numpy as np
import pytest
from archive import archive_sources, write_archive
from astropy.table import Table
from helpers import run_command

import xpfit
from xpfit.prepare import save_basis


@pytest.fixture
def folder(tmp_path, rng):
    """A zip archive of CSV with capital ids, the basis, photometry with ids of DR3, a crosswalk."""
    sources = archive_sources(3, rng, 51, 55)
    csv = write_archive(sources, tmp_path / "MEAN_SPECTRUM_XP.csv", "csv (a, b)")
    with zipfile.ZipFile(tmp_path / "dr4.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(csv.name, csv.read_text().replace("source_id", "SOURCE_ID", 1))
    write_archive(archive_sources(2, rng, 55, 55), tmp_path / "dr3.csv", "csv (a, b)")
    save_basis(tmp_path / "basis.h5", np.eye(55)[:51], np.eye(55), "first 51")
    new = np.asarray(sources["source_id"])
    old = new + 7
    photometry = Table({"gaia_dr3_source_id": old, "j_m": [10.0, 11, 12], "j_msigcom": [0.02] * 3})
    photometry.write(tmp_path / "photometry.fits")
    Table({"dr3_source_id": old, "dr4_source_id": new}).write(tmp_path / "crosswalk.csv")
    return tmp_path


def test_a_dr3_model_refuses_dr4_or_flags_all_of_it(folder, capsys):
    basis, output = ("--basis", folder / "basis.h5"), folder / "f.fits"
    fit = ("fit", folder / "dr4.zip", "--output", output, "--quiet")
    assert run_command(*fit) == 1
    assert "has no basis functions for 51 + 55 coefficients" in capsys.readouterr().err
    assert run_command(*fit, *basis) == 1
    assert "are of Gaia DR4, the model was trained on Gaia DR3" in capsys.readouterr().err
    assert run_command(*fit, *basis, "--ignore-release") == 0
    table = xpfit.read_catalogue(output)
    assert len(table["gdr4_source_id"]) == 3 and table.meta["RELEASE"] == "DR4"
    assert np.all(np.asarray(table["fit_flags"]) & 524288)


@pytest.mark.parametrize("space", ["sampled", "coefficient"])
def test_prepared_spectra_keep_the_release(folder, space, capsys):
    store = folder / "s.h5"
    prepare = ("prepare", folder / "dr4.zip", "--basis", folder / "basis.h5", "--output", store)
    assert run_command(*prepare, "--space", space, "--quiet") == 0
    assert xpfit.read_spectra(store).release == "DR4"
    assert run_command("inspect", store) == 0
    assert "of Gaia DR4" in capsys.readouterr().out


def test_files_of_both_releases_are_not_prepared_together(folder, capsys):
    both = ("prepare", folder / "dr3.csv", folder / "dr4.zip", "--output", folder / "s.h5")
    assert run_command(*both, "--space", "sampled", "--basis", folder / "basis.h5") == 1
    said = capsys.readouterr().err
    assert "55" in said or "DR3" in said
    assert not (folder / "s.h5").exists()


def test_tables_of_dr3_are_joined_through_the_crosswalk_only(folder, capsys):
    store = folder / "s.h5"
    prepare = ("prepare", folder / "dr4.zip", "--basis", folder / "basis.h5", "--output", store,
               "--photometry", folder / "photometry.fits", "--space", "sampled")  # fmt: skip
    assert run_command(*prepare) == 1
    assert "ids of Gaia DR3, the spectra are of DR4" in capsys.readouterr().err
    assert run_command(*prepare, "--crosswalk", folder / "crosswalk.csv") == 0
    spectra = xpfit.read_spectra(store)
    assert np.isfinite(spectra.flux_err[:, spectra.space.is_band]).any(axis=1).all()
