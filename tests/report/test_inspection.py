"""`xpfit inspect` says what files are."""

from pathlib import Path

import numpy as np
import pytest
from archive import archive_sources, write_archive
from astropy.table import Table

import xpfit
from xpfit import InputError
from xpfit.cli import main
from xpfit.report.inspection import inspect_file


def text(path):
    return "\n".join(inspect_file(path))


def test_continuous_spectra_with_their_numbers_of_coefficients_and_bad_rows(rng, tmp_path):
    sources = archive_sources(4, rng)
    path = write_archive(sources, tmp_path / "s.csv", "csv (a, b)")
    assert "XP continuous spectra of Gaia DR3 (text): 4 sources" in text(path)
    assert "55 + 55 coefficients in BP and RP" in text(path)
    lines = path.read_text().splitlines()
    lines[2] = lines[2].partition(",")[0]
    path.write_text("\n".join(lines) + "\n")
    assert "1 rows cannot be used: row 2: 1 cells" in text(path)
    other = write_archive(archive_sources(2, rng, 51, 55), tmp_path / "t.csv", "csv (a, b)")
    assert "XP continuous spectra of Gaia DR4" in text(other)


def test_sampled_spectra_with_grid_and_unit(tmp_path):
    flux = np.full((2, 343), 1e-16)
    table = Table({"source_id": [1, 2], "flux": flux, "flux_error": 0.01 * flux})
    table.write(tmp_path / "s.fits")
    found = text(tmp_path / "s.fits")
    assert "wavelengths 336 to 1020 nm, 343 of them (not stated in the file)" in found
    assert "unit of flux not stated" in found and "warning:" in found


def test_the_library_prepared_spectra_and_catalogues(sample_path, tmp_path):
    assert "a part of it: 2000 stars" in text(sample_path)
    model = xpfit.load_model()
    spectra = xpfit.read_spectra(sample_path, slice(0, 5), model=model)
    options = ["--output", str(tmp_path / "p.h5"), "--quiet"]
    assert main(["prepare", str(sample_path), *options]) == 0
    assert "prepared spectra: 2000 stars, 0 with a parallax" in text(tmp_path / "p.h5")
    table = xpfit.result_table(model, spectra, xpfit.fit_spectra(model, spectra, progress=False))
    xpfit.write_catalogue(table, tmp_path / "c.fits")
    found = text(tmp_path / "c.fits")
    assert "a catalogue: 5 stars" in found and f"made with model {model.fingerprint[:12]}" in found


def test_models_classifiers_and_companions(companion_path):
    found = text(Path(xpfit.__file__).parent / "model" / "default.h5")
    assert "a model: <XPModel: teff" in found and "trained at teff 3113 to 6821 K" in found
    assert "confidence classifiers for the fits of model" in text(
        Path(xpfit.__file__).parent / "quality" / "default_confidence.h5"
    )
    assert "a companion of kind uncertain" in text(companion_path)


def test_tables_with_the_meaning_of_columns_and_what_is_missing(tmp_path):
    table = Table({"source_id": [1, 2], "Jmag": [10.0, 99.999], "e_Jmag": [0.02, 9.999]})
    table["parallax"] = [1.0, 2.0]
    table["colour"] = [1.0, 2.0]
    table.write(tmp_path / "t.csv")
    found = text(tmp_path / "t.csv")
    assert "source ids: source_id" in found
    assert "Jmag -> 2MASS J (Vega) (1 valid, 1 count as missing, such as 99.999" in found
    assert "not for --astrometry (prepare, fit, run): no column for parallax_error" in found
    assert "not used: colour" in found


def test_what_is_nothing_of_xpfit_s_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("These are notes.\n")
    with pytest.raises(InputError, match="no spectra, catalogue, model or table"):
        inspect_file(tmp_path / "notes.txt")


def test_the_command_goes_on_after_a_file_that_cannot_be_read(sample_path, tmp_path, capsys):
    assert main(["inspect", str(tmp_path / "absent.fits"), str(sample_path)]) == 1
    printed = capsys.readouterr()
    assert "cannot be read" in printed.err and "2000 stars" in printed.out


def test_errors_of_readers_say_how_to_find_out_more(tmp_path, capsys):
    path = tmp_path / "bad.csv"
    path.write_text("source_id,flux\n1,2\n")
    assert main(["fit", str(path), "--output", str(tmp_path / "o.fits"), "--quiet"]) == 1
    assert f"('xpfit inspect {path}' shows what is in it)" in capsys.readouterr().err
