"""What the pages in docs/ tell people to type works."""

import re
from pathlib import Path

import pytest

import xpfit
from xpfit.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "catalogues.md").read_text(encoding="utf-8")
SNIPPETS = [
    code
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    if "dask_jobqueue" not in code  # which needs Slurm
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, sample_path):
    """A catalogue in all formats, and a run, under the names that the page uses."""
    folder = tmp_path_factory.mktemp("docs")
    small = folder / "spectra.h5"
    space = xpfit.load_model().space
    xpfit.prepare.write_spectra([xpfit.read_spectra(sample_path, slice(0, 60), space=space)], small)
    run, last = folder / "run", str(folder / "catalogue.parquet")
    assert main(["run", str(small), "--output-dir", str(run), "--workers", "1", "--quiet"]) == 0
    assert main(["convert", str(run), last, "--quiet"]) == 0
    for ending in ("fits", "vot", "h5"):
        assert main(["convert", last, str(folder / f"catalogue.{ending}"), "--quiet"]) == 0
    return folder


@pytest.mark.parametrize("code", SNIPPETS, ids=lambda code: code.split("\n")[0])
def test_snippets_run(folder, monkeypatch, code):
    monkeypatch.chdir(folder)
    names = {}
    exec(code, names)
    for name in ("table", "frame", "rows"):
        if name in names and hasattr(names[name], "__len__"):
            assert len(names[name]) == 60


def test_there_is_a_snippet_for_every_tool():
    for tool in ("astropy.table", "pandas", "polars", "pyarrow", "h5py", "votable", "lsdb"):
        assert any(tool in code for code in SNIPPETS), tool


def test_every_column_and_flag_is_on_the_page():
    from xpfit.catalogue.describe import DESCRIPTIONS
    from xpfit.quality import FitFlag, QualityFlag

    for name in DESCRIPTIONS:
        assert name == "_healpix_29" or name.startswith("ref_") or f"`{name}`" in PAGE, name
    for flag in (*QualityFlag, *FitFlag):
        assert re.search(rf"\b{int(flag)}\b", PAGE), flag


def test_pictures_exist():
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert link.startswith("http") or (ROOT / "docs" / link).is_file(), link
