"""Projections of scripts/benchmark_run.py --plan, from given rates."""

import pytest
from test_scripts import load

plan = load("scale_plan")

RATES = plan.Rates(
    (plan.Stage("read", 900e-6, 16_000.0), plan.Stage("fit", 360e-6, 700.0)),
    worker_bytes=0.8e9,
    chunk_seconds=0.01,
    efficiency=0.5,
    stars_per_chunk=50_000,
    store=plan.Stage("store", 180e-6, 20_000.0),
)


def test_stages_are_projected_by_their_rates():
    found = plan.project(RATES, 2_000_000_000, machines=10, cores=20)
    read, fit = found.rows
    assert (read.name, fit.name) == ("read", "fit")
    assert read.core_hours == pytest.approx(500.0) and fit.core_hours == pytest.approx(200.0)
    assert read.hours == pytest.approx(500.0 / (200 * 0.5))
    assert read.bytes == pytest.approx(32e12) and fit.bytes == pytest.approx(1.4e12)
    # 40,000 chunks, recorded one after the other.
    assert found.main_hours == pytest.approx(400.0 / 3600.0)
    assert found.hours == pytest.approx(7.0 + 400.0 / 3600.0)
    assert found.machine_bytes == pytest.approx(16e9)


def test_one_worker_has_no_overhead_and_twice_the_machines_take_half_the_time():
    alone = plan.project(RATES, 1_000_000)
    assert alone.rows[0].hours == alone.rows[0].core_hours == pytest.approx(0.25)
    few, many = (plan.project(RATES, 10**9, n, 32) for n in (4, 8))
    assert few.rows[1].hours == pytest.approx(2 * many.rows[1].hours)
    assert few.main_hours == many.main_hours


def test_what_a_run_holds_of_two_billion_stars_fits():
    found = plan.project(RATES, 2_000_000_000, 10, 20)
    assert found.main_bytes < 1e9
    by_name = {g.what: g for g in found.growth}
    assert [name for name, g in by_name.items() if not g.fits] == ["--astrometry as one table"]
    few = {g.what: g for g in plan.growth(50_000, 50_000)}
    for name, item in by_name.items():
        assert item.bytes >= few[name].bytes or "_metadata" in name, name
    assert by_name["chunks planned"].n == 40_000


@pytest.mark.parametrize("numbers", [(0, 1, 1), (10, 0, 1), (10, 1, 0)])
def test_impossible_numbers_are_refused(numbers):
    with pytest.raises(ValueError, match="must be positive"):
        plan.project(RATES, *numbers)


def test_the_text_names_every_stage_and_the_total():
    found = plan.project(RATES, 2_000_000_000, 10, 20)
    lines = plan.text_of(found, RATES.store).splitlines()
    assert lines[0] == "2,000,000,000 stars on 10 x 20 = 200 cores"
    assert lines[2].split() == ["read", "500", "5", "32"]
    assert lines[5].split() == ["together", "700", "7.11", "33.4"]
    assert "16.0 GB a machine" in lines[6] and "40.0 TB, and take 100 core-hours" in lines[7]
    table = plan.growth_text(found.growth)
    assert table.count("does not fit") == 1 and len(table.splitlines()) == 1 + len(found.growth)
