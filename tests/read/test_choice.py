"""``FILE[TABLE]``: one of the tables in a file, or of the files in a zip archive."""

import zipfile

import h5py
import numpy as np
import pytest
from archive import archive_sources, write_archive
from astropy.io import fits
from astropy.io.votable.tree import Resource, TableElement, VOTableFile
from astropy.table import Table
from helpers import run_command

import xpfit
from xpfit import InputError
from xpfit.files import split_choice
from xpfit.read import read_continuous, read_table
from xpfit.read.columns import LABELLED

VISITS = Table({"source_id": [1, 2, 3], "mjd": [5e4, 5e4, 6e4]})
LABELS = Table({"source_id": [1, 2], "TEFF": [5e3, 4e3], "FE_H": [0.0, 0.1], "LOGG": [4.0, 2.0]})


def write(path):
    """The two tables, as ALL_VISITS and STARS."""
    if path.suffix == ".fits":
        hdus = [fits.BinTableHDU(t, name=n) for t, n in ((VISITS, "ALL_VISITS"), (LABELS, "STARS"))]
        fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    elif path.suffix == ".vot":
        file = VOTableFile()
        file.resources.append(Resource())
        for table, name in ((VISITS, "ALL_VISITS"), (LABELS, "STARS")):
            element = TableElement.from_table(file, table)
            element.name = name
            file.resources[0].tables.append(element)
        file.to_xml(str(path))
    else:
        with h5py.File(path, "w") as file:
            for table, name in ((VISITS, "ALL_VISITS"), (LABELS, "STARS")):
                file[name] = table.as_array()
    return path


@pytest.mark.parametrize("ending", ["fits", "vot", "h5"])
@pytest.mark.parametrize(("choice", "n_row"), [("1", 3), ("2", 2), ("ALL_VISITS", 3), ("stars", 2)])
def test_a_table_is_chosen_by_number_or_name(tmp_path, ending, choice, n_row):
    path = write(tmp_path / f"t.{ending}")
    table = read_table(f"{path}[{choice}]", LABELLED)  # without a warning
    assert len(table) == n_row
    assert table.meta["path"] == f"{path}[{choice}]"


@pytest.mark.parametrize("ending", ["fits", "vot", "h5"])
def test_a_table_that_is_not_there_is_an_error_with_those_that_are(tmp_path, ending):
    path = write(tmp_path / f"t.{ending}")
    with pytest.raises(InputError, match=r"no table 7 in this file; it has 1 .*VISITS, 2 .*STARS"):
        read_table(f"{path}[7]")


def test_texts_have_one_table(tmp_path):
    path = tmp_path / "t.csv"
    VISITS.write(path)
    assert len(read_table(f"{path}[1]")) == 3
    with pytest.raises(InputError, match="no table STARS in this file"):
        read_table(f"{path}[STARS]")


def test_a_file_whose_name_ends_so_is_that_file(tmp_path):
    path = tmp_path / "t.csv[2]"
    VISITS.write(path, format="ascii.csv")
    assert split_choice(path) == (path, "")
    assert len(read_table(path)) == 3
    with pytest.raises(FileNotFoundError, match=r"none\.fits"):
        read_table(tmp_path / "none.fits[2]")


@pytest.mark.parametrize("ending", ["fits", "vot"])
def test_spectra_of_one_table_of_a_file(rng, tmp_path, ending):
    sources = archive_sources(4, rng, 4, 5)
    path = tmp_path / f"s.{ending}"
    if ending == "fits":
        hdus = [fits.table_to_hdu(part) for part in (sources[:1], sources[1:])]
        fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    else:
        file = VOTableFile()
        file.resources.append(Resource())
        for part in (sources[:1], sources[1:]):
            file.resources[0].tables.append(TableElement.from_table(file, part))
        file.to_xml(str(path))
    (whole,), (second,) = read_continuous(path), read_continuous(f"{path}[2]")
    np.testing.assert_array_equal(whole["source_id"], sources["source_id"])
    np.testing.assert_array_equal(second["source_id"], sources["source_id"][1:])


def zipped(folder, rng, *names):
    """An archive of files with two sources each."""
    path = folder / "datalink.zip"
    sources = archive_sources(2 * len(names), rng)
    with zipfile.ZipFile(path, "w") as archive:
        for i, name in enumerate(names):
            part = sources[2 * i : 2 * i + 2]
            content = write_archive(part, folder / "one", "fits" if "fits" in name else "ecsv")
            archive.write(content, name)
        archive.writestr("MCMC.csv", "teff,logg\n5000,4\n")
    return path, sources


def test_files_of_spectra_in_an_archive_are_read_and_others_named(rng, tmp_path):
    path, sources = zipped(tmp_path, rng, "XP-Gaia DR3 1.csv", "XP-Gaia DR3 2.fits")
    with pytest.warns(UserWarning, match=r"of 3 files .* are used; left out: MCMC\.csv"):
        spectra = xpfit.read_spectra(path)
    np.testing.assert_array_equal(spectra.source_id, sources["source_id"])
    one = xpfit.read_spectra(f"{path}[XP-Gaia DR3 2.fits]")
    np.testing.assert_array_equal(one.source_id, sources["source_id"][2:])


def test_an_archive_without_spectra_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a.csv", "b.csv"):
            archive.writestr(name, "teff,logg\n5000,4\n")
    with pytest.raises(InputError, match=r"no XP spectra among the files in this archive: a\.csv"):
        xpfit.read_spectra(path)
    with pytest.raises(InputError, match="2 files in this zip archive; name one as FILE"):
        read_table(f"{path}[a.fits]")


def test_commands_take_a_table_of_a_file(sample_path, tmp_path, capsys):
    labels = write(tmp_path / "labels.fits")
    ids = np.asarray(xpfit.read_spectra(sample_path).source_id)
    with fits.open(labels, mode="update") as hdus:
        hdus["STARS"].data["source_id"] = ids[:2]
    spectra = tmp_path / "spectra.fits"
    with fits.open(sample_path) as hdus:
        fits.HDUList([fits.PrimaryHDU(), *(hdu.copy() for hdu in hdus[1:])]).writeto(spectra)
    output = tmp_path / "o.h5"
    assert run_command("prepare", f"{spectra}[1]", "--labels", f"{labels}[STARS]", "--output",
                       output) == 0  # fmt: skip
    assert "2 stars with labels" in capsys.readouterr().out
    assert run_command("fit", f"{spectra}[1]", "--output", spectra, "--overwrite") != 0
    assert "would destroy" in capsys.readouterr().err
    assert run_command("prepare", f"{spectra}[9]", "--output", output, "--overwrite") != 0
    assert "no table 9 in this file" in capsys.readouterr().err
