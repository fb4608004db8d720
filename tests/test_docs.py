"""What the pages in docs/ tell people to type works."""

import pydoc
import re
from pathlib import Path

import pytest

import xpfit
from xpfit.cli import main
from xpfit.read.columns import BANDS, LABELS, PARALLAXES, POSITIONS, WISE_FLAGS

ROOT = Path(__file__).resolve().parents[1]
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
PAGE = PAGES["catalogues.md"]
SNIPPETS = [
    code
    for name in ("catalogues.md", "scaling.md")
    for code in re.findall(r"```python\n(.*?)```", PAGES[name], re.DOTALL)
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


@pytest.mark.parametrize("page", PAGES)
def test_what_pages_link_to_exists(page):
    for link in re.findall(r"\]\(([^)#]+)", PAGES[page]):
        assert link.startswith("http") or (ROOT / "docs" / link).is_file(), link


def test_every_name_that_pages_refer_to_exists():
    """Equations are linked to the functions that they are; a stale name would link to nothing."""
    names = {
        n
        for page in PAGES.values()
        for n in re.findall(r"\{(?:func|class|meth)\}`~?([\w.]+)`", page)
    }
    listed = set()
    for page in PAGES.values():
        for block in re.findall(r"currentmodule:: ([\w.]+)(.*?)```", page, re.DOTALL):
            listed |= {f"{block[0]}.{name}" for name in re.findall(r"^   (\w+)$", block[1], re.M)}
    assert len(names) > 15 and len(listed) > 80
    for name in names | listed:
        found = pydoc.locate(name)
        assert found is not None and (found.__doc__ or "").strip(), name
    for name in names:
        known = name if name in listed else name.rpartition(".")[0]
        assert known in listed, f"{name} is not on the page of the API"


def test_every_public_name_is_on_the_page_of_the_api():
    for name in xpfit.__all__:
        assert name == "__version__" or re.search(rf"^   {name}$", PAGES["api.md"], re.M), name


def test_the_page_on_tables_has_every_column():
    page = PAGES["tables.md"]
    for meaning in (*BANDS, *WISE_FLAGS, *PARALLAXES, *POSITIONS, *LABELS):
        if not meaning.name.endswith("_err"):
            assert f"| {meaning.what} | {meaning.unit} | `{meaning.names[0]}`" in page
