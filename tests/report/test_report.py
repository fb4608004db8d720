import base64
import importlib
import io
import json
import re
import shutil
import subprocess
import warnings
from html.parser import HTMLParser

import numpy as np
import pytest
from astropy.table import Table, vstack
from PIL import Image

import xpfit
from xpfit import InputError, read_catalogue, write_catalogue
from xpfit.catalogue.parquet import write_parts
from xpfit.cli import main
from xpfit.report import write_report
from xpfit.report.gather import gather, reliable
from xpfit.simulate.galaxy import iterate_mock

gathering = importlib.import_module("xpfit.report.gather")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)


@pytest.fixture(scope="module")
def few(sample_path, tmp_path_factory):
    """Spectra of 300 real stars, and the catalogue of their fits."""
    folder = tmp_path_factory.mktemp("few")
    spectra, fitted = folder / "stars.fits", folder / "fitted.fits"
    Table.read(sample_path)[:300].write(spectra)
    assert main(["fit", str(spectra), "--output", str(fitted), "--quiet"]) == 0
    return spectra, fitted


@pytest.fixture(scope="module")
def report(few, tmp_path_factory):
    spectra, fitted = few
    output = tmp_path_factory.mktemp("report") / "report.html"
    command = ["report", str(fitted), "--spectra", str(spectra), "--output", str(output)]
    assert main([*command, "--quiet"]) == 0
    return output


class Page(HTMLParser):
    """What a report is made of."""

    def __init__(self, path):
        super().__init__()
        self.images, self.links, self.ids, self.text, self.open = [], [], [], "", []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag == "img":
            self.images.append(attrs)
        if tag in ("a", "link"):
            self.links.append(attrs["href"])
        assert tag not in ("script", "iframe", "object")
        if tag not in ("img", "meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_is_whole_and_needs_nothing_else(report):
    page = Page(report)
    assert not page.open and len(page.ids) == len(set(page.ids))
    for link in page.links:
        assert link == "data:," or (link.startswith("#") and link[1:] in page.ids)
    assert not re.search(r"(src|href)=\"(?!data:|#)", report.read_text(encoding="utf-8"))
    assert report.stat().st_size < 6e6


def test_every_picture_says_what_it_shows_and_can_be_read(report):
    images = Page(report).images
    assert len(images) >= 12
    for image in images:
        assert len(image["alt"]) > 40
        kind, content = image["src"].removeprefix("data:").split(";base64,")
        data = base64.b64decode(content)
        if kind == "image/png":
            width = Image.open(io.BytesIO(data)).size[0]
            assert width == pytest.approx(200 / 96 * int(image["width"]), abs=3)  # 200 dpi
        else:
            assert kind == "image/svg+xml" and b"<svg" in data


def test_sections_hold_the_numbers_of_the_catalogue(report, few):
    text, table = Page(report).text, read_catalogue(few[1])
    for title in ("Headline numbers", "What was fitted", "Kiel diagram", "Against the reference",
                  "Flags and cuts", "The model", "Extinction over the sky", "Worst"):  # fmt: skip
        assert title in text
    n_reliable = int(reliable(table).sum())
    assert f"300 stars, of which {n_reliable} reliable" in text
    chi2 = table["chi2_opt"] / (table["n_obs"] - 6)
    assert str(table["gdr3_source_id"][np.argmax(chi2)]) in text
    assert "0.15 dex" in text and "82.3 %" in text  # the paper's


def test_the_reference_numbers_are_those_of_validate(report, few, capsys):
    assert main(["validate", str(few[1]), "--json", "--quiet"]) == 0
    teff = json.loads(capsys.readouterr().out)["giants"]["teff"]
    row = f"giants: Teff [K]{teff['n']}{teff['bias']:.0f}{teff['scatter']:.0f}"
    assert row in Page(report).text.replace("\n", "")


def test_flags_are_counted_under_their_own_names(model):
    table = next(iterate_mock(model, 1000, np.random.default_rng(1)))
    table["quality_flags"] = np.where(np.arange(1000) < 30, 1, 0).astype(np.uint8)
    table["fit_flags"] = np.where(np.arange(1000) < 7, 1 + 512, 0).astype(np.int16)
    flags = gather([table]).flags
    assert flags["LOW_TEFF_CONFIDENCE"] == 30 and flags["NOT_CONVERGED"] == 7
    assert flags["APPROXIMATE_POSITION"] == 7 and flags["OUT_OF_RANGE"] == 0


def test_parts_give_what_the_whole_gives(model, monkeypatch):
    monkeypatch.setattr(gathering, "SAMPLE", 500)
    parts = list(iterate_mock(model, 120_000, np.random.default_rng(1)))
    whole, by_part = gather([vstack(parts)]), gather(parts)
    assert whole.n_star == by_part.n_star == 120_000
    assert whole.flags == by_part.flags and whole.cuts == by_part.cuts
    np.testing.assert_array_equal(whole.kiel, by_part.kiel)
    np.testing.assert_allclose(whole.sky.mean(), by_part.sky.mean())
    assert list(whole.worst["gdr3_source_id"]) == list(by_part.worst["gdr3_source_id"])
    assert len(whole.sample) == len(by_part.sample) == 500


def test_stars_are_drawn_evenly_from_all_parts(monkeypatch, model):
    monkeypatch.setattr(gathering, "SAMPLE", 2000)
    table = next(iterate_mock(model, 20_000, np.random.default_rng(1)))
    order = np.arange(20_000)
    table["ln_prior"] = order.astype(float)
    drawn = gather([table[rows] for rows in np.array_split(order, 13)]).sample["ln_prior"]
    assert len(np.unique(drawn)) == 2000
    assert np.mean(drawn) == pytest.approx(10_000, abs=500)
    counts = np.histogram(drawn, 10, (0, 20_000))[0]
    assert np.sum((counts - 200.0) ** 2 / 200.0) < 28.0  # 99.9 % of chi2 with 9 dof


def write(table, path):
    write_catalogue(table, path)
    return path


@pytest.mark.parametrize("kind", ["no rows", "one row", "all flagged", "nothing fitted"])
def test_strange_catalogues_get_a_report_that_says_so(few, tmp_path, kind):
    table = read_catalogue(few[1])
    if kind == "no rows":
        table = table[:0]
    elif kind == "one row":
        table = table[:1]
    elif kind == "all flagged":
        table["quality_flags"] = np.full(len(table), 31, dtype=np.uint8)
    else:
        for name in table.colnames:
            if table[name].dtype.kind == "f" and name not in ("ra", "dec"):
                table[name] = np.nan
        table["status"], table["quality_flags"] = np.uint8(2), np.uint8(31)
        table["fit_flags"] = np.int16(4)
    path = write(table, tmp_path / "strange.fits")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_report(path, tmp_path / "r.html")
    text = Page(tmp_path / "r.html").text
    expected = {
        "no rows": "has no stars",
        "one row": "1 stars, of which",
        "all flagged": "No star of this catalogue is reliable",
        "nothing fitted": "No star of this catalogue is reliable",
    }
    assert expected[kind] in text


def test_a_catalogue_without_reference_says_how_to_give_one(model, tmp_path):
    table = next(iterate_mock(model, 500, np.random.default_rng(1)))
    table.remove_columns([name for name in table.colnames if name.startswith("ref_")])
    write_report(write(table, tmp_path / "c.h5"), tmp_path / "r.html")
    assert "with --reference" in Page(tmp_path / "r.html").text


def test_a_reference_of_other_stars_is_refused(few, sample_path, tmp_path):
    other = Table.read(sample_path)[1000:1100]
    other.write(tmp_path / "other.fits")
    with pytest.raises(InputError, match=r"other\.fits: no source of the catalogue"):
        write_report(few[1], tmp_path / "r.html", reference=tmp_path / "other.fits")
    assert not (tmp_path / "r.html").exists()


def test_a_reference_table_replaces_the_labels_that_came_along(few, tmp_path):
    write_report(few[1], tmp_path / "r.html", reference=few[0])
    assert "scatter of Teff" in Page(tmp_path / "r.html").text


def test_missing_columns_are_named(few, tmp_path):
    table = read_catalogue(few[1])
    table.remove_columns(["chi2_opt", "stellar_params_est", "teff"])
    path = write(table, tmp_path / "less.fits")
    with pytest.raises(InputError, match="lacks teff, chi2_opt"):
        write_report(path, tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_zgr23s_own_columns_are_enough(model, tmp_path):
    table = next(iterate_mock(model, 2000, np.random.default_rng(1)))
    names = table.colnames[: table.colnames.index("teff")]
    assert names[0] == "gdr3_source_id" and names[-1] == "stellar_params_cov_triu"
    write_report(write(table[names], tmp_path / "c.fits"), tmp_path / "r.html")
    assert "2,000 stars, of which" in Page(tmp_path / "r.html").text


def test_another_model_shows_no_spectra_and_no_curve(few, tmp_path, simulated_model):
    spectra, fitted = few
    write_report(fitted, tmp_path / "r.html", model=simulated_model[1], spectra=[spectra])
    page = Page(tmp_path / "r.html")
    assert page.text.count("made with another model") == 2
    assert not any("extinction curve" in image["alt"] for image in page.images)


def test_the_directory_of_parquet_parts_is_read(model, tmp_path, capsys):
    path = tmp_path / "mock.parquet"
    write_parts(iterate_mock(model, 2000, np.random.default_rng(1)), path)
    assert main(["report", str(path), "--output", str(tmp_path / "r.html")]) == 0
    assert "2000 stars" in capsys.readouterr().out
    assert main(["report", str(path), "--output", str(tmp_path / "r.html")]) == 1
    assert "exists" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "no.fits"), "--output", str(tmp_path / "x.html")]) == 1


PROBE = """<script>window.addEventListener('load', () => {
  const images = [...document.images];
  document.title = JSON.stringify({n: images.length,
    broken: images.filter(i => !i.naturalWidth).length,
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth});
});</script></body>"""


def browse(page, folder, size):
    """What a browser says on its console, and what a probe sees that looks at the page."""
    allowed = page.replace("default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';")
    copy = folder / "copy.html"
    copy.write_text(allowed.replace("</body>", PROBE), encoding="utf-8")
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={size}",
        f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--v=0",
        "--virtual-time-budget=20000", "--dump-dom", copy.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    seen = json.loads(re.search(r"<title>(.*?)</title>", done.stdout).group(1))
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line], seen


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("size", ["1200,900", "360,740"])
def test_a_browser_shows_it_in_silence(report, tmp_path, size):
    """No message on the console, every picture there, nothing wider than the screen; the page's
    policy forbids all requests, and the console would tell of any."""
    console, seen = browse(report.read_text(encoding="utf-8"), tmp_path, size)
    assert not console
    assert seen["n"] >= 12 and seen["broken"] == 0 and seen["wide"] <= 0


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_would_tell_of_a_request(report, tmp_path):
    page = report.read_text(encoding="utf-8")
    outside = page.replace("</main>", '<img alt="" src="https://example.org/a.png"></main>')
    console, seen = browse(outside, tmp_path, "800,600")
    assert any("Content Security Policy" in line for line in console) and seen["broken"] == 1


def test_version_is_in_the_footer(report):
    assert f"Written by xpfit {xpfit.__version__}" in Page(report).text


HOSTILE = '<span class="light good"><meta http-equiv="refresh" content="0;url=//example.org">'


def test_no_markup_of_a_catalogue_or_its_name_reaches_the_page(few, tmp_path):
    catalogue = read_catalogue(few[1])[:40]
    catalogue.meta["SETTINGS"] = json.dumps({HOSTILE: HOSTILE})
    catalogue.meta |= dict.fromkeys(("INPUT", "MODEL", "CREATOR", "LABELS"), HOSTILE)
    path, output = tmp_path / "<img src=x onerror=y>&amp;.h5", tmp_path / "report.html"
    write_catalogue(catalogue, path)
    write_report(path, output)
    page = output.read_text(encoding="utf-8")
    assert page.count("<meta") == 3 and "<img src=x" not in page
    assert "&lt;meta http-equiv" in page and "&lt;img src=x onerror=y&gt;&amp;amp;.h5" in page


def test_what_the_page_is_made_of_is_not_escaped(report):
    text = Page(report).text
    assert "<p" not in text and "<table" not in text and "&lt;" not in text
