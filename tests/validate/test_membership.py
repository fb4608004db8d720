import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from helpers import run_command as run

from xpfit import InputError, write_catalogue
from xpfit.plots.clusters import cluster_figure
from xpfit.validate.clusters import cluster_numbers
from xpfit.validate.membership import (
    attach_motions,
    clusters_in,
    find_clusters,
    globular_clusters,
    members_of,
    read_members,
)

FACTS = next(c for c in globular_clusters() if c.name == "NGC 6752")
N_MEMBER, N_FIELD = 800, 4000


@pytest.fixture
def field(rng):
    """A simulated globular cluster before field stars: catalogue, gaia_source, who is a member."""
    n = N_MEMBER + N_FIELD
    member = np.arange(n) < N_MEMBER
    radius = np.where(member, rng.uniform(0.1, 20.0, n), 30.0 * np.sqrt(rng.random(n)))
    angle = rng.uniform(0, 2 * np.pi, n)
    dec = FACTS.dec + radius * np.sin(angle) / 60.0
    ra = FACTS.ra + radius * np.cos(angle) / 60.0 / np.cos(np.deg2rad(dec))
    error, spread = rng.uniform(0.05, 0.2, n), FACTS.motion_dispersion
    motion = rng.normal(-3.0, 6.0, (2, n))
    motion[:, member] = np.array([[FACTS.pmra], [FACTS.pmdec]])
    motion[:, member] += spread * rng.standard_normal((2, N_MEMBER))
    motion += error * rng.standard_normal((2, n))
    true = np.where(member, FACTS.parallax, rng.uniform(0.1, 3.0, n))
    ids = np.arange(1, n + 1) << 40
    fitted = Table({"gdr3_source_id": ids, "ra": ra, "dec": dec})
    fitted["gaia_parallax_error"] = rng.uniform(0.05, 0.12, n)
    fitted["gaia_parallax"] = true + fitted["gaia_parallax_error"] * rng.standard_normal(n)
    fitted["parallax_err"] = np.full(n, 0.03)
    fitted["parallax"] = true + 0.03 * rng.standard_normal(n)
    fitted["feh"] = np.where(member, FACTS.feh, -0.3) + 0.1 * rng.standard_normal(n)
    fitted["extinction"] = 0.04 + 0.01 * rng.standard_normal(n)
    fitted["quality_flags"] = np.zeros(n, dtype=np.uint8)
    for name in ("teff", "feh", "logg"):
        fitted[f"{name}_confidence"] = np.full(n, 0.9)
    gaia = Table({"source_id": ids, "ra": ra, "dec": dec, "pmra": motion[0], "pmdec": motion[1]})
    for name in ("pmra_error", "pmdec_error"):
        gaia[name] = error
    return fitted, gaia, member, radius


def test_facts_are_those_of_the_published_tables():
    """Proper motions and parallaxes of ZGR23's three clusters (Vasiliev & Baumgardt 2021)."""
    known = {c.name: (c.pmra, c.pmdec, c.parallax) for c in globular_clusters()}
    expected = {
        "NGC 104": (5.252, -2.551, 0.232), "NGC 5139": (-3.250, -6.746, 0.193),
        "NGC 6752": (-3.161, -4.027, 0.254),
    }  # fmt: skip
    for name, values in expected.items():
        np.testing.assert_allclose(known[name], values, atol=1e-3)
    for c in globular_clusters():
        assert 1.0 / c.distance == pytest.approx(c.parallax, abs=0.03)
        assert 0 < c.r_in < c.r_out and -2.5 < c.feh < -0.5 and 0 <= c.ebv < 0.5


def test_members_are_found_and_hardly_any_field_star(field):
    fitted, gaia, member, radius = field
    cluster = members_of(attach_motions(fitted, gaia), FACTS)
    found = np.isin(fitted["gdr3_source_id"], cluster.members)
    inside = (radius > FACTS.r_in) & (radius < FACTS.r_out)
    assert found[member & inside].mean() > 0.97 and not found[~inside].any()
    assert found[~member].sum() < 0.05 * found.sum()


def test_numbers_beside_the_literature(field):
    fitted, gaia, _, _ = field
    table, clusters = find_clusters(fitted, astrometry=gaia)
    assert [c.name for c in clusters] == ["NGC 6752"]
    entry = cluster_numbers(table, clusters)["NGC 6752"]
    assert entry["fitted"]["scatter"] < 0.5 * entry["gaia"]["scatter"]
    assert entry["feh"]["median"] == pytest.approx(FACTS.feh, abs=0.05)
    assert entry["feh"]["literature"] == FACTS.feh
    assert entry["extinction"]["median"] == pytest.approx(0.04, abs=0.01)
    figure = cluster_figure(table, clusters)
    assert len(figure.axes) == 3 and "members" in figure.axes[0].get_title()


def test_proper_motions_are_needed_in_their_unit(field):
    fitted, gaia, _, _ = field
    with pytest.raises(InputError, match="lacks pmra, pmdec"):
        members_of(fitted, FACTS)
    with pytest.raises(InputError, match="needs columns pmra"):
        attach_motions(fitted, gaia["source_id", "pmra", "pmdec"])
    gaia["pmra"].unit = "km/s"
    with pytest.raises(InputError, match="column pmra: the unit 'km / s'"):
        attach_motions(fitted, gaia)
    gaia["pmra"] = (np.asarray(gaia["pmra"]) / 1000.0) * u.arcsec / u.yr
    np.testing.assert_allclose(attach_motions(fitted, gaia)["pmra"][0], 1e3 * gaia["pmra"][0])


def test_a_list_of_members(field, tmp_path):
    fitted = field[0]
    rows = Table({"cluster": ["A"] * 50 + ["B"] * 20, "source_id": fitted["gdr3_source_id"][:70],
                  "plx": np.r_[np.full(50, 0.254), np.full(20, 2.0)]})  # fmt: skip
    rows.write(tmp_path / "members.csv")
    clusters = read_members(tmp_path / "members.csv")
    assert [(c.name, c.parallax, len(c.members)) for c in clusters] == [
        ("A", 0.254, 50), ("B", 2.0, 20),
    ]  # fmt: skip
    with pytest.raises(InputError, match="no star of the catalogue is a member"):
        clusters_in(fitted[100:], clusters)
    rows["cluster"].name = "name"
    rows.write(tmp_path / "bad.csv")
    with pytest.raises(InputError, match="needs columns cluster"):
        read_members(tmp_path / "bad.csv")


def test_commands(field, tmp_path, capsys):
    fitted, gaia, _, _ = field
    write_catalogue(fitted, tmp_path / "f.fits")
    gaia.write(tmp_path / "gaia.fits")
    with_gaia = ("--astrometry", tmp_path / "gaia.fits")
    out = ("--output", tmp_path / "v")
    assert run("validate", tmp_path / "f.fits", "--clusters", *with_gaia, *out) == 0
    assert "NGC 6752" in capsys.readouterr().out
    assert {p.name for p in (tmp_path / "v").iterdir()} == {"metrics.json", "clusters.png"}
    assert run("plot", "clusters", tmp_path / "f.fits", *with_gaia, "--output-dir", tmp_path) == 0
    assert run("validate", tmp_path / "f.fits", "--clusters") == 1
    assert "--astrometry" in capsys.readouterr().err
