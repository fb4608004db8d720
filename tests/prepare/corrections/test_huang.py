import pickle

import numpy as np
import pytest
from archive import write_archive
from astropy.table import Table
from correction_files import NODES, WAVELENGTH, smooth_sources, star_table, write_huang

from xpfit import InputError, XPSettings
from xpfit.constants import XP_WAVELENGTH
from xpfit.data import InputFlag
from xpfit.prepare import continuous_spectra, named_correction, sample_continuous
from xpfit.prepare.corrections import Samples
from xpfit.prepare.corrections.huang import slope
from xpfit.read import read_continuous


@pytest.fixture
def files(tmp_path, rng):
    """A directory of files, and what they hold."""
    return tmp_path / "huang", write_huang(tmp_path / "huang", rng)


@pytest.fixture
def samples(rng):
    """Smooth spectra of various slopes, with errors, at the 343 wavelengths."""
    tilt = np.array([-1.5, -0.5, 0.0, 0.6, 1.0, 0.3])[:, None]
    flux = 50.0 * np.exp(tilt * (WAVELENGTH - 475.0) / 300.0)
    flux *= 1.0 + 0.01 * rng.standard_normal(flux.shape)
    error = 0.5 + 0.01 * flux * rng.uniform(0.5, 2.0, flux.shape)
    return Samples(WAVELENGTH, flux, error, Table({"source_id": np.arange(1, 7)}))


@pytest.fixture
def tables(rng, tmp_path):
    """XP continuous spectra whose coefficients give smooth spectra."""
    sources = smooth_sources(4, rng)
    return list(read_continuous(write_archive(sources, tmp_path / "s.csv", "csv (a, b)")))


def of_files(files, table):
    return named_correction("huang2024", files[0], table)


def published_slope(flux, error, blue, red):
    """The slope of the authors' description, by weighted fits of a constant."""
    norm = flux[62:78].mean()
    norm_error = np.sqrt((error[62:78] ** 2).sum()) / 16
    relative = np.sqrt((error / flux) ** 2 + (norm_error / norm) ** 2)
    means = [
        np.polyfit(np.arange(*w), flux[slice(*w)] / norm, 0, w=relative[slice(*w)] ** -2)[0]
        for w in (blue, red)
    ]
    return (means[0] - means[1]) / (
        (WAVELENGTH[slice(*blue)].mean() - WAVELENGTH[slice(*red)].mean()) / 100
    )


def direct(contents, flux, error, g, prefix="untruc"):
    """Factors of one star by plain interpolation of every column."""

    def column(nodes, file, at):
        values = contents[file]
        return np.array([np.interp(at, nodes, values[:, j]) for j in range(values.shape[1])])

    c2 = published_slope(flux, error, (27, 49), (49, 71))
    c3 = published_slope(flux, error, (71, 102), (102, 133))
    factor = column(NODES["C2"], f"{prefix}_interyyC2_CM.csv", c2)
    factor = factor * column(NODES["C3"], f"{prefix}_interyyC3_CM.csv", c3)
    of_g = column(NODES["G"], f"{prefix}_interyyG_CM.csv", g)
    if g < 10:
        return factor * of_g
    factor *= column(NODES["Gext"], f"{prefix}_interyyGext_CM.csv", g) * of_g[62:78].mean()
    factor[:105] *= column(NODES["phot"], "inter_BP.csv", g)
    factor[105:] *= column(NODES["phot"], "inter_RP.csv", g)
    return factor


@pytest.mark.parametrize("truncated", [False, True])
def test_factors_are_the_product_of_directly_interpolated_terms(files, samples, truncated):
    g = np.array([4.0, 9.99, 10.0, 15.3, 17.3, 17.49])
    samples = Samples(*[getattr(samples, n) for n in ("wavelength", "flux", "flux_err", "table")],
                      truncated)  # fmt: skip
    correction = of_files(files, star_table(np.arange(1, 7), g, 0.8))
    result = correction.compute(samples)
    assert result.corrected.all()
    prefix = "dotruc" if truncated else "untruc"
    for i in range(6):
        expected = direct(files[1], samples.flux[i], samples.flux_err[i], g[i], prefix)
        np.testing.assert_allclose(result.factor[i], expected, rtol=1e-6)


def test_slopes_are_those_of_the_weighted_fits_of_the_paper(samples):
    windows = slice(27, 49), slice(49, 71)
    expected = [
        published_slope(f, e, (27, 49), (49, 71))
        for f, e in zip(samples.flux, samples.flux_err, strict=True)
    ]
    np.testing.assert_allclose(slope(samples, *windows), expected, rtol=1e-10)


def test_stars_outside_of_the_range_are_left_as_they_are(files, samples):
    ids = np.arange(1, 7)
    g = np.array([2.9, 17.6, 12.0, 12.0, 12.0, np.nan])
    bp_rp = np.array([0.8, 0.8, -0.6, 2.1, 0.8, 0.8])
    ebv = np.array([0.1, 0.1, 0.1, 0.1, 0.9, 0.1])
    result = of_files(files, star_table(ids, g, bp_rp, ebv)).compute(samples)
    assert not result.corrected.any() and np.all(result.factor == 1.0)
    unknown = of_files(files, star_table(ids + 100, 12.0, 0.8)).compute(samples)
    assert not unknown.corrected.any()
    # E(B-V) limits only where it is known.
    known = of_files(files, star_table(ids, 12.0, 0.8, np.array([0.0, 0.7, np.nan, 0.9, 1.0, 3.0])))
    np.testing.assert_array_equal(known.compute(samples).corrected, ids <= 3)


def test_caution_codes_have_a_digit_for_each_term(files, samples):
    g = np.array([5.0, 12.0, 17.2, 17.45, 2.5, 12.0])
    codes = of_files(files, star_table(np.arange(1, 7), g, 0.8)).compute(samples).caution
    np.testing.assert_array_equal(codes, [0, 1, 2, 3, 3, 1])
    # Slopes of ln flux per 100 nm below and above 477 nm: C2 at its edge and beyond, C3 at its edge
    # and beyond.
    below, above = np.array([[-1.2], [-3.0], [0.3], [0.3]]), np.array([[0.0], [0.0], [0.9], [1.6]])
    x = (WAVELENGTH - 477.0) / 100.0
    flux = 50.0 * np.exp(np.where(x < 0, below, above) * x)
    steep = Samples(WAVELENGTH, flux, 0.01 * flux, Table({"source_id": np.arange(1, 5)}))
    result = of_files(files, star_table(np.arange(1, 5), 12.0, 0.8)).compute(steep)
    np.testing.assert_array_equal(result.caution, [101, 201, 11, 21])
    np.testing.assert_array_equal(result.corrected, [True, False, True, False])


def test_missing_samples_leave_a_star_uncorrected_only_where_they_matter(files, samples):
    flux = samples.flux.copy()
    flux[0, 40] = np.nan
    flux[1, 300] = np.nan
    flux[2] = 0.0
    holes = Samples(WAVELENGTH, flux, samples.flux_err, samples.table)
    result = of_files(files, star_table(np.arange(1, 7), 12.0, 0.8)).compute(holes)
    np.testing.assert_array_equal(result.corrected, [False, True, False, True, True, True])


def test_continuous_spectra_are_corrected_at_the_wavelengths_of_the_model(files, tables):
    (table,) = tables
    correction = of_files(files, star_table(table["source_id"], 12.0, 0.8))
    grid = sample_continuous(table, WAVELENGTH, XPSettings())
    error = np.sqrt(np.diagonal(grid.gaia_covariance, axis1=1, axis2=2))
    wavelength = np.array([393.0, 544.0, 545.0, 546.0, 700.0, 991.3])
    plain = sample_continuous(table, wavelength)
    result = sample_continuous(table, wavelength, None, correction)
    assert result.correction.corrected.all()
    for i in range(4):
        expected = direct(files[1], grid.flux[i], error[i], 12.0)
        at = np.interp(wavelength, WAVELENGTH, expected)
        np.testing.assert_allclose(result.flux[i], at * plain.flux[i], rtol=1e-6)
        covariance = np.outer(at, at) * plain.gaia_covariance[i]
        np.testing.assert_allclose(result.gaia_covariance[i], covariance, rtol=1e-6)


def test_flags_and_codes_reach_the_spectra(files, tables):
    ids = np.asarray(tables[0]["source_id"])
    stars = star_table(ids[:2], np.array([12.0, 19.0]), 0.8)
    spectra = continuous_spectra(tables, correction=of_files(files, stars))
    flagged = (spectra.input_flags & InputFlag.NOT_CORRECTED) != 0
    np.testing.assert_array_equal(flagged, [False, True, True, True])
    np.testing.assert_array_equal(spectra.gaia["correction_caution"][:2] % 10, [1, 3])
    plain = continuous_spectra(tables)
    np.testing.assert_array_equal(spectra.flux[flagged], plain.flux[flagged])
    assert not np.any(spectra.flux[0, :61] == plain.flux[0, :61])
    assert "correction_caution" not in plain.gaia
    assert not (plain.input_flags & InputFlag.NOT_CORRECTED).any()


def test_sampled_spectra_need_the_343_wavelengths(files, samples):
    scale = 1e-18
    table = Table({"source_id": samples.table["source_id"] + 2**61})
    table["flux"], table["flux_error"] = samples.flux * scale, samples.flux_err * scale
    table.meta["wavelength"] = WAVELENGTH
    table["problem"] = [""] * 6
    correction = of_files(files, star_table(table["source_id"], 12.0, 0.8))
    spectra = continuous_spectra([table], correction=correction)
    at = np.searchsorted(WAVELENGTH, XP_WAVELENGTH)
    for i in range(6):
        expected = direct(files[1], samples.flux[i], samples.flux_err[i], 12.0)[at]
        np.testing.assert_allclose(spectra.flux[i, :61], expected * samples.flux[i, at], rtol=1e-6)
    short = table[:]
    short["flux"], short["flux_error"] = (
        np.asarray(table[n])[:, at] for n in ("flux", "flux_error")
    )
    short.meta["wavelength"] = XP_WAVELENGTH
    with pytest.raises(InputError, match="the correction huang2024 needs"):
        continuous_spectra([short], correction=correction)


def test_coefficients_and_wavelengths_beyond_the_grid_are_refused(files, tables):
    correction = of_files(files, star_table(tables[0]["source_id"], 12.0, 0.8))
    with pytest.raises(InputError, match=r"huang2024.*cannot be applied in coefficient space"):
        continuous_spectra(tables, "coefficient", correction=correction)
    with pytest.raises(InputError, match="known from 336 to 1020 nm"):
        sample_continuous(tables[0], np.array([332.0, 500.0]), None, correction)


def test_data_of_another_release_are_refused(files, tables):
    correction = of_files(files, star_table(tables[0]["source_id"], 12.0, 0.8))
    correction.check_release("DR3")
    tables[0].meta["release"] = "DR4"
    with pytest.raises(InputError, match=r"huang2024 V1 \w{12}.*Gaia DR3.*these are of DR4"):
        continuous_spectra(tables, correction=correction)


def test_identifier_changes_with_the_files(files):
    stars = star_table([1], 12.0, 0.8)
    first = of_files(files, stars).identifier
    assert first == of_files(files, stars).identifier
    with (files[0] / "inter_BP.csv").open("a") as file:
        file.write(" ")
    assert of_files(files, stars).identifier != first


def test_a_correction_travels_to_other_processes_without_its_tables(files, samples):
    correction = of_files(files, star_table(np.arange(1, 7), 12.0, 0.8))
    expected = correction.compute(samples)
    text = pickle.dumps(correction)
    assert len(text) < 5000
    again = pickle.loads(text)
    assert again.identifier == correction.identifier
    np.testing.assert_array_equal(again.compute(samples).factor, expected.factor)
    (files[0] / "inter_BP.csv").write_text("1\n1\n1\n1\n")
    with pytest.raises(InputError, match="have changed since"):
        pickle.loads(text).compute(samples)


def damage(path, content):
    path.unlink() if content is None else path.write_text(content)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("inter_BP.csv", None, r"lacks inter_BP\.csv; .*github\.com/HiromonGON/GaiaXPcorrection"),
        ("untruc_interyyG_CM.csv", "1,2\n3,4\n", r"2 rows of 2 numbers; expected 5.*of 343"),
        ("interGext_CM.csv", "", "the file is empty"),
        ("interGext_CM.csv", "<html>\n", r"interGext_CM\.csv: 1 rows of 1 numbers"),
        ("inter_phot.csv", "10\n13\n16,5\nx\n", r"inter_phot\.csv: .*expected increasing numbers"),
        ("inter_phot.csv", "10\n13\n12\n17\n", "the nodes do not increase"),
        ("inter_RP.csv", "1\n1\n-1\n1\n", r"inter_RP\.csv: holds factors that are not positive"),
        ("inter_RP.csv", "1\n1\nnan\n1\n", r"inter_RP\.csv: holds numbers that are not finite"),
    ],
)
def test_files_of_another_form_are_refused_by_name(files, samples, name, content, message):
    damage(files[0] / name, content)
    with pytest.raises(InputError, match=message):
        of_files(files, star_table(np.arange(1, 7), 12.0, 0.8)).compute(samples)


def test_absent_directories_columns_and_names_are_refused(files, tmp_path):
    stars = star_table([1], 12.0, 0.8)
    with pytest.raises(FileNotFoundError, match=r"no such directory; .*github\.com"):
        named_correction("huang2024", tmp_path / "nowhere", stars)
    stars.remove_column("phot_bp_mean_mag")
    with pytest.raises(InputError, match="lacks phot_bp_mean_mag, on which the flux correction"):
        of_files(files, stars)
    with pytest.raises(InputError, match=r"no flux correction 'x'; known are huang2024, ye2025"):
        named_correction("x", files[0], stars)
