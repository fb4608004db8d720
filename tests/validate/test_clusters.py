import numpy as np
import pytest
from astropy.table import Table

from xpfit import InputError
from xpfit.plots.clusters import cluster_figure
from xpfit.validate.clusters import Cluster, cluster_parallaxes

N = 2000


@pytest.fixture
def table(rng):
    """A cluster at 0.2 mas among field stars; fits are three times as precise as Gaia."""
    ids = np.arange(1, 2 * N + 1)
    true = np.where(ids <= N, 0.2, 1.0)
    table = Table({"gdr3_source_id": ids})
    error = np.full(2 * N, 0.09)
    table["gaia_parallax"] = true + error * rng.standard_normal(2 * N)
    table["gaia_parallax_error"] = error
    table["parallax"] = true + 0.03 * rng.standard_normal(2 * N)
    table["parallax_err"] = np.full(2 * N, 0.03)
    for name in ("teff", "feh", "logg"):
        table[f"{name}_confidence"] = np.full(2 * N, 0.9)
    table["quality_flags"] = np.zeros(2 * N, dtype=np.uint8)
    return table


def test_honest_parallaxes_scatter_about_the_clusters(table):
    numbers = cluster_parallaxes(table, Cluster("NGC 1", 0.2, np.arange(1, N + 1))).numbers()
    assert numbers["fitted"]["n"] == numbers["gaia"]["n"] == N
    assert numbers["fitted"]["scatter"] == pytest.approx(0.03, rel=0.08)
    assert numbers["gaia"]["scatter"] == pytest.approx(0.09, rel=0.08)
    for entry in numbers.values():
        assert entry["pull"] == pytest.approx(1.0, rel=0.08) and abs(entry["bias"]) < 0.01


def test_only_faint_confident_members_count(table):
    table["gaia_parallax_error"][0] = 0.01
    table["feh_confidence"][1] = 0.1
    table["quality_flags"][2] = 8
    table["parallax"][3] = np.nan
    chosen = cluster_parallaxes(table, Cluster("NGC 1", 0.2, np.arange(1, N + 1)))
    assert len(chosen.fitted) == N - 4


def test_clusters_without_members_are_named(table):
    with pytest.raises(InputError, match="NGC 2: none of its members"):
        cluster_parallaxes(table, Cluster("NGC 2", 0.2, np.array([10**6])))


def test_figure_has_a_panel_per_cluster_even_if_no_star_passes(table):
    clusters = [Cluster("A", 0.2, np.arange(1, N)), Cluster("B", 5.0, np.arange(N, 2 * N))]
    titles = [ax.get_title() for ax in cluster_figure(table, clusters).axes]
    assert titles == [f"A: {N - 1} stars", "B: 0 stars"]
