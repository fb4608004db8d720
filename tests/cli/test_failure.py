"""How commands end when something goes wrong: in one line, and without leaving anything."""

import resource

import pytest
from astropy.table import Table
from helpers import run_command as run

from xpfit.cli import failure, fit, recipe
from xpfit.cli.failure import explain
from xpfit.locks import locked


@pytest.fixture(scope="module")
def files(tmp_path_factory, sample_path):
    """Prepared spectra of five stars, and the catalogue of their fits."""
    from astropy.io import fits

    folder = tmp_path_factory.mktemp("files")
    with fits.open(sample_path) as hdus:
        fits.BinTableHDU(hdus[1].data[:5]).writeto(folder / "stars.fits")
    store, catalogue = folder / "stars.h5", folder / "fit.h5"
    assert run("prepare", folder / "stars.fits", "--output", store, "--quiet") == 0
    assert run("fit", store, "--output", catalogue, "--quiet") == 0
    return store, catalogue


def full_after(n_bytes, *command):
    """A command on a disk that is full after some bytes of each file."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))
    try:
        return run(*command)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


WRITERS = [
    *(("convert", 1, f"o{e}") for e in (".fits", ".vot", ".ecsv", ".parquet", ".h5")),
    ("prepare", 0, "o.h5"),
    ("prepare", 0, "o.parquet"),
    ("report", 1, "o.html"),
]


@pytest.mark.parametrize("n_bytes", [0, 3000, 20_000])
@pytest.mark.parametrize(("command", "which", "output"), WRITERS)
def test_a_full_disk_is_one_line_and_leaves_nothing(
    files, tmp_path, capsys, monkeypatch, command, which, output, n_bytes
):
    monkeypatch.chdir(tmp_path)
    how = [output] if command == "convert" else ["--output", output]
    assert full_after(n_bytes, command, files[which], *how, "--quiet") == 1
    said = capsys.readouterr().err
    assert said.startswith(f"xpfit {command}: error: {output}: could not be written")
    assert said.count("\n") == 1 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied", "a.csv"), "a.csv: Permission denied"),
        (OSError(5, "Input/output error"), "b.csv: Input/output error"),
        (FileNotFoundError("c.csv: no such file"), "c.csv: no such file"),
        (b"\xff".decode, "b.csv: not UTF-8 text"),
        (MemoryError(), "b.csv: not enough memory"),
        (RecursionError("too deep"), "b.csv: nested too deeply"),
        (OverflowError("int too large"), "b.csv: a number is too large"),
        (KeyError("x"), "b.csv: a fault of xpfit (KeyError: 'x'); please report"),
    ],
)
def test_every_error_is_one_line_that_names_the_file(capsys, monkeypatch, error, message):
    def fails(options, path="b.csv"):
        if callable(error):
            error()
        raise error

    monkeypatch.setattr(recipe, "run", fails)
    monkeypatch.setattr(failure, "_is_ours", lambda frame: True)
    assert run("recipe", "show", "zgr23") == 1
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and "Traceback" not in said


def test_a_fault_shows_where_it_arose_when_asked(capsys, monkeypatch):
    def fails(options):
        raise KeyError("x")

    monkeypatch.setattr(recipe, "run", fails)
    for place in (["--debug", "recipe", "show", "zgr23"], ["recipe", "show", "zgr23", "--debug"]):
        assert run(*place) == 1
        said = capsys.readouterr().err
        assert "Traceback" in said and "in fails" in said and "please report" in said


def test_the_innermost_file_is_named(monkeypatch):
    def outer(path):
        inner("inner.csv")

    def inner(path):
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    monkeypatch.setattr(failure, "_is_ours", lambda frame: True)
    with pytest.raises(UnicodeError) as caught:
        outer("outer.csv")
    assert explain(caught.value).startswith("inner.csv: not UTF-8 text")


@pytest.mark.parametrize("option", ["--model", "--photometry", "--astrometry", "--confidence"])
def test_no_table_or_model_is_an_output(files, tmp_path, capsys, option):
    store, catalogue = files
    link = tmp_path / "link.h5"
    link.symlink_to(catalogue)
    before = catalogue.read_bytes()
    assert run("fit", store, option, catalogue, "--output", link, "--overwrite") == 1
    assert f"read by this command as well ({option[2:]})" in capsys.readouterr().err
    assert catalogue.read_bytes() == before


def test_nothing_is_read_before_the_output_is_checked(files, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fit.shared, "make_pipeline", None)
    assert run("fit", files[0], "--output", tmp_path / ("x" * 300 + ".fits")) == 1
    assert "File name too long" in capsys.readouterr().err


def test_outputs_of_unknown_formats_are_refused_before_any_work(files, tmp_path, capsys):
    for command in (
        ("prepare", files[0], "--output", tmp_path / "x.txt"),
        ("simulate", "--n", 5, "--output", tmp_path / "x.fits"),
        ("simulate", "--n", 5, "--output", tmp_path / "x.parquet"),
    ):
        assert run(*command, "--quiet") == 1
        assert "format" in (said := capsys.readouterr().err) or "HDF5 files" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("link", [False, True])
def test_ids_are_not_read_from_what_a_download_writes(tmp_path, capsys, link):
    ids = tmp_path / "gaia_source.fits"
    Table({"source_id": [7], "mine": [1.0]}).write(ids)
    named = ids
    if link:
        named = tmp_path / "link.fits"
        named.symlink_to(ids)
    assert run("download", "--source-ids", named, "--output", tmp_path) == 1
    assert "read by this command as well (source-ids)" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gaia_source.fits"] + ["link.fits"] * link


def test_what_is_needed_at_the_end_is_looked_for_at_the_beginning(files, tmp_path, capsys):
    store, catalogue = files
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "cmd.png").write_text("mine")
    for command, message in (
        (("report", catalogue, "--output", tmp_path / "r.html", "--spectra", "no.h5"), "no.h5: no"),
        (("plot", "cmd", catalogue, "--output-dir", tmp_path / "p"), "cmd.png exists already"),
        (
            ("binaries", store, "--truth", "no.h5", "--output", tmp_path / "o.fits"),
            "no.h5: no such file",
        ),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("xpfit.report.gather", None)
            patch.setattr("xpfit.fit.Fitter.fit", None)
            patch.setattr("xpfit.catalogue.cuts.iterate_catalogue", None)
            assert run(*command, "--quiet") == 1
        assert message in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["p"]


def test_two_trainings_do_not_write_one_file(tmp_path, capsys):
    with locked(tmp_path / "m.h5.lock", ""):
        for command in (("train", "x.fits"), ("companion", "train", "x.fits", "--kind", "svae")):
            assert run(*command, "--output", tmp_path / "m.h5") == 1
            assert "another training is to write this file" in capsys.readouterr().err


def test_a_directory_that_was_made_in_vain_is_removed(tmp_path, capsys):
    assert run("validate", "no.fits", "--output", tmp_path / "a" / "b") == 1
    assert list(tmp_path.iterdir()) == []
