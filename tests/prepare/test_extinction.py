from dataclasses import replace

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from dust_survey import FIELD, NoisyMap, without_estimates

from xpfit import read_spectra
from xpfit.cli import main
from xpfit.dust import DustTable
from xpfit.healpix import first_source_id
from xpfit.prepare import Additions, attach_dust
from xpfit.prepare.extinction import KEPT


@pytest.fixture
def stars(sample):
    """Stars with ids of known places, parallaxes, and nothing known of E."""
    part, rng = sample[:40], np.random.default_rng(4)
    ra, dec = rng.uniform(0.0, 360.0, 40), np.degrees(np.arcsin(rng.uniform(-1.0, 1.0, 40)))
    place = {"ra": ra, "dec": dec}
    placed = replace(without_estimates(part), source_id=first_source_id(ra, dec) + 1, gaia=place)
    return placed.replace(parallax=np.full(40, 1.0), parallax_err=np.full(40, 0.02))


def field_map():
    return NoisyMap(FIELD, np.random.default_rng(1), rms=0.0)


def test_estimates_of_a_map_are_attached_at_the_place_of_the_star(stars):
    attached, counts = attach_dust(stars, field_map())
    assert counts == {"estimated": 40}
    place = SkyCoord(stars.gaia["ra"], stars.gaia["dec"], unit="deg").galactic.cartesian
    true = FIELD.extinction(1000.0 * place.xyz.value.T)
    np.testing.assert_allclose(attached.extinction, true, rtol=0.05)
    assert np.isfinite(attached.extinction_err).all()
    # By the ids alone, which know the place to an arcminute.
    by_id, _ = attach_dust(stars.replace(gaia={}), field_map())
    np.testing.assert_allclose(by_id.extinction, attached.extinction, rtol=0.01)
    # Of the table of labels, where the ids tell nothing.
    moved = stars.gaia["ra"][::-1], stars.gaia["dec"][::-1]
    by_labels, _ = attach_dust(stars.replace(gaia={}), field_map(), moved)
    np.testing.assert_allclose(by_labels.extinction, attached.extinction[::-1], rtol=0.01)


def test_estimates_that_stars_have_are_kept(stars):
    extinction, error = stars.extinction.copy(), stars.extinction_err.copy()
    extinction[3], error[3] = 7.0, 0.1
    attached, counts = attach_dust(
        stars.replace(extinction=extinction, extinction_err=error), field_map()
    )
    assert counts == {"estimated": 39, KEPT: 1}
    assert attached.extinction[3] == 7.0 and attached.extinction_err[3] == 0.1


def test_stars_that_a_table_lacks_stay_without_and_are_counted(stars):
    table = Table(
        {"source_id": stars.source_id[:30], "E": np.full(30, 0.2), "E_err": np.full(30, 0.05)}
    )
    tables = Additions(dust_map=DustTable(table))
    attached = tables.apply(stars)
    assert np.all(attached.extinction[:30] == 0.2) and np.isnan(attached.extinction[30:]).all()
    assert np.isinf(attached.extinction_err[30:]).all()
    assert sorted(tables.dust_counts.values()) == [10, 30]
    assert tables.found["dust map"] == [40, 30]


def test_command_attaches_and_counts(sample_path, tmp_path, capsys):
    few, table, out = (tmp_path / name for name in ("few.fits", "e.csv", "out.h5"))
    Table.read(sample_path)[:50].write(few)
    before = read_spectra(few)
    known = np.isfinite(before.extinction)
    Table({"source_id": before.source_id, "E": np.full(50, 0.3), "E_err": np.full(50, 0.1)}).write(
        table
    )
    command = ["prepare", str(few), "--output", str(out), "--dust-map"]
    assert main([*command, str(table)]) == 0
    printed = capsys.readouterr().out
    assert f"{known.sum():8d} E of {table}: {KEPT}" in printed
    after = read_spectra(out)
    np.testing.assert_array_equal(after.extinction[known], before.extinction[known])
    assert np.all(after.extinction[~known] == 0.3)
    assert main([*command, "foam", "--overwrite"]) == 1
    assert "foam: neither a file nor a known dust map" in capsys.readouterr().err
