import json
import warnings

import numpy as np
import pytest
from archive import archive_sources, write_archive
from astropy.table import Table
from label_surveys import OFFSETS, SCATTER, SLOPES, measured, true_labels, true_offset

import xpfit
from xpfit import InputError
from xpfit.cli import main
from xpfit.errors import OutputError
from xpfit.prepare.label_scales import (
    LabelScale,
    LabelScales,
    combine_surveys,
    with_source_ids,
)
from xpfit.prepare.label_scales.residuals import common_star_residuals

ID = 2**60


def two_surveys(seed, n=1200, outliers=0.0):
    """Two surveys with half of their stars in common, and the truth."""
    rng = np.random.default_rng(seed)
    truth = true_labels(n, rng)
    ours = {"offsets": OFFSETS, "slopes": SLOPES, "scatter": SCATTER, "outliers": outliers}
    first = measured(truth, np.arange(0, 2 * n // 3), rng)
    return {"A": first, "B": measured(truth, np.arange(n // 3, n), rng, **ours)}, truth


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_surveys_come_out_on_the_reference_s_scale(seed):
    """80 K, 0.08 and 0.1 dex with slopes: within 3 sigma; pulls of the labels 0.9 to 1.15."""
    tables, truth = two_surveys(seed)
    table, scales = combine_surveys(tables)
    assert len(table) == 1200 and scales.n_common == {"A, B": 400}
    rows = np.asarray(table["source_id"]) - ID
    for name in OFFSETS:
        scale = scales.scales[name]["B"]
        assert abs(scale.offset - true_offset(name, scale.pivot)) < 3 * scale.offset_err
        assert abs(scale.slope - SLOPES[name]) < 3 * scale.slope_err
        assert abs(scale.scatter - SCATTER[name]) < 3 * scale.scatter_err
        for bits in (1, 2, 3):
            which = table["label_surveys"] == bits
            pulls = ((table[name] - truth[name][rows]) / table[f"{name}_err"])[which]
            assert abs(np.mean(pulls)) < 0.25
            assert 0.9 < np.std(pulls) < 1.15


def test_the_scale_is_that_of_the_survey_that_is_named():
    tables, _ = two_surveys(4)
    table, scales = combine_surveys(tables, "B")
    only = np.asarray(table["label_surveys"]) == 2
    rows = np.searchsorted(tables["B"]["source_id"], table["source_id"][only])
    np.testing.assert_allclose(table["teff"][only], tables["B"]["teff"][rows])
    assert scales.reference == "B" and scales.scales["teff"]["A"].offset < -50


def test_a_star_of_two_surveys_is_one_star_with_smaller_errors():
    tables, _ = two_surveys(5)
    table, scales = combine_surveys(tables)
    assert len(np.unique(table["source_id"])) == len(table)
    i = int(np.flatnonzero(table["label_surveys"] == 3)[0])
    a, b = (t[t["source_id"] == table["source_id"][i]][0] for t in tables.values())
    value, error = scales.scales["feh"]["B"].to_reference(
        np.array([b["feh"]]), np.array([b["feh_err"]])
    )
    weight = np.array([a["feh_err"] ** -2, error[0] ** -2])
    expected = np.average([a["feh"], value[0]], weights=weight)
    np.testing.assert_allclose(table["feh"][i], expected)
    np.testing.assert_allclose(table["feh_err"][i], weight.sum() ** -0.5)
    assert table["snr"][i] == max(a["snr"], b["snr"])


def test_stars_whose_surveys_disagree_get_larger_errors():
    tables, _ = two_surveys(6)
    before, _ = combine_surveys(tables)
    star = 600
    tables["B"]["teff"][tables["B"]["source_id"] == ID + star] += 5000.0
    after, scales = combine_surveys(tables)
    assert scales.n_disagree["teff"] >= 1
    row = int(np.flatnonzero(after["source_id"] == ID + star)[0])
    assert after["teff_err"][row] > 10 * before["teff_err"][row]


def test_a_survey_that_is_tied_through_a_third_one():
    rng = np.random.default_rng(7)
    truth = true_labels(1800, rng)
    middle = measured(truth, np.arange(400, 1400), rng, offsets=OFFSETS)
    last = measured(truth, np.arange(900, 1800), rng, offsets={"teff": -150.0}, slopes=SLOPES)
    first = measured(truth, np.arange(0, 900), rng)
    table, scales = combine_surveys({"first": first, "middle": middle, "last": last})
    assert scales.n_common["first, last"] == 0
    scale = scales.scales["teff"]["last"]
    expected = -150.0 + SLOPES["teff"] * (scale.pivot - 5200.0)
    assert abs(scale.offset - expected) < 3 * scale.offset_err < 30.0
    assert len(table) == 1800


def test_surveys_without_enough_stars_in_common_are_refused_by_name():
    rng = np.random.default_rng(8)
    truth = true_labels(600, rng)
    tables = {"A": measured(truth, np.arange(300), rng)}
    tables["B"] = measured(truth, np.arange(290, 600), rng)
    with pytest.raises(InputError, match=r"teff of B \(10 stars\) cannot be related to A"):
        combine_surveys(tables)
    tables["B"] = measured(truth, np.arange(260, 600), rng)
    _, scales = combine_surveys(tables)
    assert scales.scales["teff"]["B"].slope_err == 0
    assert any("no slope" in line for line in scales.lines())


def test_what_cannot_be_combined_is_refused():
    tables, _ = two_surveys(9, 300)
    with pytest.raises(InputError, match=r"the reference C is none of the surveys \(A, B\)"):
        combine_surveys(tables, "C")
    tables["A"].meta["release"], tables["B"].meta["release"] = "DR3", "DR4"
    with pytest.raises(InputError, match=r"different data releases of Gaia \(DR3, DR4\)"):
        combine_surveys(tables)
    del tables["B"].meta["release"]
    del tables["A"]["feh_err"]
    with pytest.raises(InputError, match="the reference A has no errors of feh"):
        combine_surveys(tables)


def test_a_survey_without_errors_gets_all_of_its_scatter():
    tables, truth = two_surveys(10)
    for name in OFFSETS:
        del tables["B"][f"{name}_err"]
    table, scales = combine_surveys(tables)
    only = np.asarray(table["label_surveys"]) == 2
    rows = np.asarray(table["source_id"])[only] - ID
    pulls = (table["teff"][only] - truth["teff"][rows]) / table["teff_err"][only]
    assert 0.85 < np.std(pulls) < 1.15
    assert scales.scales["teff"]["B"].scatter > SCATTER["teff"]


def test_a_label_that_only_one_survey_has_is_kept():
    tables, _ = two_surveys(11, 600)
    tables["A"]["alpha_m"] = np.full(len(tables["A"]), 0.1)
    tables["A"]["alpha_m_err"] = np.full(len(tables["A"]), 0.02)
    table, scales = combine_surveys(tables)
    has = np.asarray(table["label_surveys"]) != 2
    np.testing.assert_allclose(table["alpha_m"][has], 0.1)
    assert np.isnan(table["alpha_m"][~has]).all() and list(scales.scales["alpha_m"]) == ["A"]


def test_records_survive_json():
    _, scales = combine_surveys(two_surveys(12, 600)[0])
    again = LabelScales.from_dict(json.loads(json.dumps(scales.to_dict(), sort_keys=True)))
    assert again == scales and list(again.lines()) == list(scales.lines())


def test_labels_on_the_reference_s_scale_carry_the_errors_of_the_relation():
    scale = LabelScale(5000.0, 100.0, 3.0, 0.25, 0.01, 0.02, 40.0, 2.0)
    value, error = scale.to_reference(np.array([5600.0]), np.array([30.0]))
    np.testing.assert_allclose(value, 5400.0)
    variance = 30.0**2 + 40.0**2 + 3.0**2 + 2 * 0.02 * 400.0 + (0.01 * 400.0) ** 2
    np.testing.assert_allclose(error, np.sqrt(variance) / 1.25)


def test_residuals_of_common_stars_vanish_after():
    tables, _ = two_surveys(13)
    _, scales = combine_surveys(tables)
    residuals = common_star_residuals(tables, scales, "logg", "B")
    assert len(residuals.others) == 400
    assert abs(np.mean(residuals.after)) < 0.02 < np.mean(residuals.before)
    assert 0.9 < np.std(residuals.after / residuals.error) < 1.1


def test_positions_become_ids():
    gaia = Table({"source_id": ID + np.arange(3), "ra": [10.0, 20.0, 30.0], "dec": [0.0] * 3})
    gaia["pmra"] = gaia["pmdec"] = np.zeros(3)
    labels = Table({"ra": [30.0, 20.0, 99.0], "dec": [0.0] * 3, "teff": [1.0, 2.0, 3.0]})
    table = with_source_ids(labels, gaia, epoch=2000.0)
    assert dict(zip(table["source_id"] - ID, table["teff"], strict=True)) == {2: 1.0, 1: 2.0}
    with pytest.raises(InputError, match="--astrometry"):
        with_source_ids(labels, None, epoch=2000.0)


@pytest.fixture
def files(tmp_path):
    """Spectra, and tables of two surveys that contain them."""
    sources = archive_sources(4, np.random.default_rng(1))
    tables, _ = two_surveys(14, 600)
    sources["source_id"] = ID + np.array([10, 300, 500, 5000])
    for name, table in tables.items():
        table.write(tmp_path / f"{name}.fits")
    return write_archive(sources, tmp_path / "s.csv", "csv (a, b)")


def test_relations_are_written_with_the_spectra_or_not_at_all(files, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OutputError("no space left")

    monkeypatch.setattr("xpfit.cli.prepare.write_spectra", full)
    labels = ["--labels", f"A={tmp_path / 'A.fits'}", "--labels", f"B={tmp_path / 'B.fits'}"]
    more = ["--label-scales", str(tmp_path / "scales"), "--quiet"]
    assert main(["prepare", str(files), *labels, *more, "--output", str(tmp_path / "t.h5")]) == 1
    assert not list(tmp_path.glob("scales/*"))


def test_prepare_ties_surveys_together(files, tmp_path, capsys):
    labels = ["--labels", f"A={tmp_path / 'A.fits'}", "--labels", str(tmp_path / "B.fits")]
    out = tmp_path / "t.h5"
    more = ["--reference-survey", "A", "--label-scales", str(tmp_path / "scales"), "--quiet"]
    assert main(["prepare", str(files), *labels, *more, "--output", str(out)]) == 0
    read = xpfit.read_spectra(out)
    np.testing.assert_array_equal(read.gaia["label_surveys"], [1, 3, 2, 0])
    assert np.isfinite(read.labels["teff"]).sum() == 3
    record = json.loads((tmp_path / "scales" / "label_scales.json").read_text())
    assert record == read.preparation.label_scales and record["reference"] == "A"
    assert (tmp_path / "scales" / "label_scales.png").stat().st_size > 10_000
    capsys.readouterr()
    assert main(["inspect", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "2 stars have labels of B, 1 of it alone" in shown and "Teff of B - A: +" in shown


def test_prepare_refuses_surveys_of_one_name_and_to_replace_labels(files, tmp_path, capsys):
    a = str(tmp_path / "A.fits")
    arguments = ["prepare", str(files), "--labels", f"x={a}", "--labels"]
    assert main([*arguments, f"x={a}", "--output", str(tmp_path / "t.h5")]) == 1
    assert "two tables of labels are called x" in capsys.readouterr().err
    copy = tmp_path / "B.h5"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Table.read(tmp_path / "B.fits").write(copy, path="t")
    assert main([*arguments, f"b={copy}", "--output", str(copy), "--overwrite"]) == 1
    assert "B.h5" in capsys.readouterr().err and "t" in Table.read(copy, path="t").colnames[1]
