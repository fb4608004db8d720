import numpy as np
import pytest
from helpers import legend_of, n_points, simulated_catalogue

from xpfit import write_catalogue
from xpfit.cli import main
from xpfit.plots import confidence_residual_figure, residual_figure, residual_grid_figure
from xpfit.validate import Selection, beside_zgr23, compare, metrics


@pytest.fixture
def table(rng):
    """Estimates of known scatter, with an extinction, a parallax and confidences."""
    table = simulated_catalogue(rng)
    n = len(table)
    table["ref_extinction"] = rng.uniform(0.0, 1.0, n)
    table["ref_extinction_err"] = np.full(n, 0.03)
    table["extinction"] = table["ref_extinction"] + 0.05 * rng.standard_normal(n)
    table["extinction_err"] = np.full(n, 0.04)
    for name in ("teff", "feh", "logg"):
        table[f"{name}_confidence"] = np.where(np.arange(n) % 4 == 0, 0.2, 0.9)
    return table


def test_extinction_is_compared_where_it_is_known_and_selects_no_star(table):
    table["ref_extinction"][:1000] = np.nan
    comparison = compare(table)
    assert comparison.labels == ("teff", "feh", "logg", "extinction")
    numbers = metrics(comparison)["all"]
    assert numbers["teff"]["n"] == 4000 and numbers["extinction"]["n"] == 3000
    assert numbers["extinction"]["scatter"] == pytest.approx(0.05, rel=0.08)
    assert numbers["extinction"]["pull"] == pytest.approx(1.0, rel=0.08)


def test_parallax_is_compared_with_gaias(table, rng):
    table["gaia_parallax"] = rng.uniform(1.0, 2.0, len(table))
    table["gaia_parallax_error"] = np.full(len(table), 0.03)
    table["parallax"] = table["gaia_parallax"] + 0.01
    table["parallax_err"] = np.full(len(table), 0.01)
    assert metrics(compare(table))["all"]["parallax"]["bias"] == pytest.approx(0.01)


def test_rows_are_those_of_the_catalogue(table):
    table["quality_flags"][7] = 8
    comparison = compare(table)
    assert 7 not in comparison.rows and len(comparison) == 3999
    np.testing.assert_array_equal(comparison.fitted["teff"], table["teff"][comparison.rows])


def test_scatter_stands_beside_the_papers(table):
    beside = beside_zgr23(metrics(compare(table)))
    assert list(beside) == ["teff", "feh", "logg", "extinction"]
    assert beside["teff"][0] == pytest.approx(100.0, rel=0.08) and beside["teff"][1] == 90.0
    assert [paper for _, paper in beside.values()] == [90.0, 0.15, 0.15, 0.03]


def lines(axes):
    """Heights of the 16, 50 and 84 % lines."""
    return [np.mean(line.get_ydata()) for line in axes.lines if line.get_color() == "#E69F00"]


@pytest.mark.parametrize("normalised", [False, True])
def test_lines_lie_at_the_quantiles_of_the_residuals(table, normalised):
    figure = residual_grid_figure(compare(table), normalised=normalised)
    axes = np.array(figure.axes).reshape(4, 4)
    unit = 100.0 / np.hypot(80.0, 60.0) if normalised else 100.0
    expected = [-0.5 * unit, 0.5 * unit, 1.5 * unit]
    for panel in axes[0]:
        np.testing.assert_allclose(lines(panel), expected, atol=0.1 * unit)
    assert "[K]" in axes[0, 0].get_ylabel() or normalised


def test_many_stars_are_a_density(rng):
    figure = residual_grid_figure(compare(simulated_catalogue(rng, 6000)))
    assert all(len(panel.collections) == 1 for panel in figure.axes)


def test_stars_without_confidence_are_shown_apart(table):
    table["quality_flags"][:10] = 1
    figure = confidence_residual_figure(table, Selection())
    titles = [panel.get_title() for panel in figure.axes]
    assert len(titles) == 6
    assert titles[0].startswith("confident: 3000 stars, scatter ")
    assert titles[1].startswith("not confident: 1000 stars")


@pytest.mark.parametrize("n", [1, 3])
def test_few_stars_are_points_without_quantiles(table, n):
    figure = residual_grid_figure(compare(table[:n]))
    assert len(figure.axes) == 16
    for panel in figure.axes:
        assert n_points(panel) == n and not lines(panel)
    figure = confidence_residual_figure(table[:n])
    shown = np.array([n_points(panel) for panel in figure.axes]).reshape(3, 2)
    np.testing.assert_array_equal(shown, [[n - 1, 1]] * 3)  # every fourth is not confident
    assert not any(lines(panel) for panel in figure.axes)


def test_overview_has_a_panel_of_residuals_and_of_pulls_per_label(rng):
    comparison = compare(simulated_catalogue(rng, 300))
    axes = np.array(residual_figure(comparison).axes).reshape(2, 3)
    labels = [r"$T_{\rm eff}$ [K]", "[Fe/H] [dex]", r"$\log g$ [dex]"]
    numbers = metrics(comparison)
    for name, label, (top, bottom) in zip(comparison.labels, labels, axes.T, strict=True):
        assert top.get_xlabel() == f"reference {label}" and n_points(top) == 300
        assert top.get_ylabel() == f"residual {label}"
        assert bottom.get_xlabel() == f"pull in {label.split(' [')[0]}"
        scatter = [f"{g}: scatter {numbers[g][name]['scatter']:.3g}" for g in ("giants", "dwarfs")]
        width = [f"{g}: width {numbers[g][name]['pull']:.2f}" for g in ("giants", "dwarfs")]
        assert legend_of(top) == scatter and legend_of(bottom) == width
        median = top.lines[-2]  # of the lines at 16, 50 and 84 %
        entry = numbers["all"][name]
        error = 0.5 * entry["scatter"]
        assert np.median(median.get_ydata()) == pytest.approx(entry["bias"], abs=error)


@pytest.mark.parametrize("n", [1, 3])
def test_overview_of_few_stars_shows_each_of_them(rng, n):
    figure = residual_figure(compare(simulated_catalogue(rng, n)))
    figure.canvas.draw()
    for panel in figure.axes[:3]:
        assert n_points(panel) == n and len(panel.lines) == 3  # two groups and zero
    assert legend_of(figure.axes[0])[0].startswith("giants: scatter")


def test_a_catalogue_of_which_no_star_is_left_says_so(table, tmp_path, capsys):
    table["quality_flags"] = np.full(len(table), 8, dtype=np.uint8)
    write_catalogue(table, tmp_path / "flagged.fits")
    output = tmp_path / "out"
    assert main(["validate", str(tmp_path / "flagged.fits"), "--output", str(output)]) == 0
    said = capsys.readouterr().out
    assert "0 stars unflagged" in said and "no star is left to compare" in said
    assert [path.name for path in output.iterdir()] == ["metrics.json"]
