"""The scripts that make luminosities and parallaxes of the library's stars, on small inputs."""

import io
import tarfile

import numpy as np
import pytest
from astropy.table import Table
from isochrone_files import write_isochrones
from test_scripts import SCRIPTS, load

from xpfit import InputError, Spectra
from xpfit.model.bolometric import ln_luminosity
from xpfit.read import read_library, read_table

DATA = SCRIPTS.parent / "data"


@pytest.fixture
def script():
    return load("make_library_parallaxes")


def star_catalogue(script, level, stars):
    """One level of the catalogue: a header, numbers of stars by zone, and stars."""
    numbers = np.zeros(20 * 4**level + 1, dtype="<u4")
    numbers[3] = len(stars)
    records = np.zeros(len(stars), dtype=script.RECORD)
    for record, (source_id, parallax, error, hip) in zip(records, stars, strict=True):
        record["source_id"], record["parallax"], record["parallax_error"] = (
            source_id,
            parallax,
            error,
        )
        record["hip"] = list((hip << 5).to_bytes(3, "little"))
    return bytes(script.HEADER_SIZE) + numbers.tobytes() + records.tobytes()


def write_package(script, path, levels):
    """A Debian package with such catalogues."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w:xz") as archive:
        for name, content in zip(script.CATALOGUES, levels, strict=True):
            member = tarfile.TarInfo(f"./usr/share/stellarium/stars/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    with path.open("wb") as file:
        file.write(b"!<arch>\n")
        for name, content in ((b"debian-binary", b"2.0"), (b"data.tar.xz", tar.getvalue())):
            file.write(name.ljust(48) + str(len(content)).encode().ljust(10) + b"`\n")
            file.write(content + b"\n" * (len(content) % 2))
    return path


@pytest.fixture
def package(script, tmp_path):
    stars = [(10, 125, 2, 0), (20, 300, 40, 71), (30, 400, 3, 72), (0, 500, 1, 5)]
    levels = [star_catalogue(script, level, stars[level : level + 1]) for level in range(4)]
    return write_package(script, tmp_path / "p.deb", levels)


@pytest.fixture
def given():
    return Table(
        {
            "source_id": [10, 20, 30, 40, 50, 60],
            "parallax": [2.5, 6.0, 7.9, 3.0, 0.1, 2.0],
            "parallax_error": [0.02, 0.4, 0.03, 0.05, 0.05, 0.1],
            "release": ["DR3", "DR3_or_HIP", "DR3_or_HIP", "DR2", "DR2", "DR1"],
            "origin": ["stellarium-data 26.3"] * 3 + ["APOKASC", "APOKASC", "TGAS"],
        }
    )


@pytest.fixture
def library():
    magnitudes = {f"gaiaedr3_phot_{b}_mean_mag": [9.0, 9.0] for b in ("g", "bp", "rp")}
    magnitudes["gaiaedr3_phot_rp_mean_mag"] = [8.2, np.nan]
    return Table({"gaiaedr3_source_id": [10, 30], **magnitudes})


def test_star_catalogue_gives_parallaxes_by_gaia_id(script, package):
    table = script.stellarium_parallaxes(package)
    np.testing.assert_array_equal(table["source_id"], [10, 20, 30])
    np.testing.assert_allclose(table["parallax"], [2.5, 6.0, 8.0])
    np.testing.assert_allclose(table["parallax_error"], [0.02, 0.4, 0.03])
    np.testing.assert_array_equal(table["release"], ["DR3", "HIP", "DR3"])


def test_parallaxes_are_read_again_or_carried_over(script, package, given, library):
    table, said = script.library_parallaxes(given, script.stellarium_parallaxes(package), library)
    np.testing.assert_array_equal(table["source_id"], [10, 20, 30, 40])
    np.testing.assert_allclose(table["parallax"], [2.5, 6.0, 8.0, 3.0])
    np.testing.assert_allclose(table["parallax_error"][[0, 3]], [np.hypot(0.02, 0.006), 0.05], 0.01)
    assert "3 of 3 stars" in said[0] and "of 2 agree" in said[0]  # one was given as 7.9 mas
    assert "1 of TGAS" in said[1] and "1 of APOKASC" in said[2]


def test_zero_points_are_those_of_the_release(script, package, given, library):
    table, _ = script.library_parallaxes(given, script.stellarium_parallaxes(package), library)
    np.testing.assert_allclose(table["zero_point"][1:], [0.0, -0.03, -0.05])
    assert -0.045 < table["zero_point"][0] < -0.01  # Lindegren et al. (2021), fig. 20


def test_table_is_the_same_when_made_from_itself(script, package, given, library):
    stars = script.stellarium_parallaxes(package)
    first, _ = script.library_parallaxes(given, stars, library)
    second, said = script.library_parallaxes(first, stars, library)
    assert "of 3 agree" in said[0]
    for name in first.colnames:
        np.testing.assert_array_equal(first[name], second[name])


def test_other_packages_are_refused(script, tmp_path, package):
    (tmp_path / "text.deb").write_text("a text file of some length")
    with pytest.raises(InputError, match=r"text\.deb: not a Debian package"):
        script.stellarium_parallaxes(tmp_path / "text.deb")
    levels = [star_catalogue(script, level, []) for level in (0, 1, 2)]
    write_package(script, tmp_path / "p.deb", [*levels, b"\0" * 5200])
    with pytest.raises(InputError, match="level 3 of the star catalogue"):
        script.stellarium_parallaxes(tmp_path / "p.deb")


def test_shipped_parallaxes_hold_out_a_fifth_of_the_stars(script):
    table = read_table(DATA / "library_parallaxes.csv")
    np.testing.assert_array_equal(table["held_out"], script.is_held_out(table["source_id"]))
    assert len(table) == len(np.unique(table["source_id"])) > 2600
    assert 0.18 < np.mean(table["held_out"]) < 0.22
    assert np.all(table["parallax"] > 4.9 * table["parallax_error"])
    assert np.all((table["zero_point"] > -0.06) & (table["zero_point"] <= 0.0))


def test_luminosities_of_the_library_are_one_row_per_source(sample_path, tmp_path):
    script = load("make_luminosities")
    library = read_library(sample_path)
    library["gaiaedr3_source_id"][1] = library["gaiaedr3_source_id"][0]
    library["snr"][:2] = [50.0, 90.0]
    best = script.best_rows(library)
    assert len(best) == 1999 and best["snr"][0] == 90.0
    table = script.luminosities(best, [write_isochrones(tmp_path / "g.h5")])
    assert len(table) == 1999 and table.meta["GRIDS"] == "TEST"
    known = np.isfinite(table["ln_luminosity"])
    assert 0 < known.sum() < 1999 and np.all(table["luminosity_flags"][~known] > 0)
    assert f"{known.sum()} of 1999 stars" in script.summary(table)


def test_comparison_with_parallaxes_finds_bias_and_scatter_of_each_type(rng):
    script = load("measure_luminosities")
    n = 3000
    labels = {"teff": np.full(n, 4.6), "logg": np.full(n, 2.0), "feh": np.zeros(n)}
    labels["teff"][::2], labels["logg"][::2] = 5.8, 4.4
    parallax = rng.uniform(1.0, 10.0, n)
    true_ln_l = np.where(labels["logg"] > 3, 0.0, 4.0)
    # Spectroscopic parallaxes that are 5 % too large: luminosities too small.
    labels["ln_luminosity"] = true_ln_l - 0.1 + 0.2 * rng.normal(size=n)
    err = {name: np.full(n, 0.2) for name in labels}
    flux = np.exp(true_ln_l - ln_luminosity(1.0, parallax))
    ones = np.ones((n, 2))
    spectra = Spectra(
        np.arange(1, n + 1), [500.0, 600.0], ones, ones,
        parallax=parallax, parallax_err=0.001 * parallax, labels=labels, label_err=err,
    )  # fmt: skip
    result = script.comparison(spectra, flux)
    assert set(result) == {"log g 1.5-2.3", "dwarfs, 5500-8000 K"}
    for row in result.values():
        assert row["n"] == n // 2
        assert row["median"] == pytest.approx(0.05, abs=0.01)
        assert row["scatter"] == pytest.approx(0.1, rel=0.1)
        assert row["pull_width"] == pytest.approx(1.0, rel=0.1)
