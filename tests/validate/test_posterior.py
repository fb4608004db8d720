import warnings

import numpy as np
import pytest
from astropy.table import Table
from emcee.backends import HDFBackend
from helpers import picture_size

import xpfit
from xpfit.cli import main
from xpfit.fit.sampling import PosteriorSample
from xpfit.plots.posterior import corner_figure
from xpfit.validate.posterior import posterior_shares, posterior_table

NAMES = ("teff", "feh", "logg", "extinction", "parallax")


def made_up(rng, shape="gaussian", offset=0.0, width=1.0):
    """A sample of a known posterior, whose optimum is at 5 and whose Fisher errors are 0.1."""
    z = rng.standard_normal((400, 40, 5))
    if shape == "bimodal":
        z = 0.3 * z + np.where(rng.random((400, 40, 1)) < 0.5, -1.0, 1.0)
    if shape == "skew":
        z = np.exp(z)
    return PosteriorSample(
        source_id=2**61 + 5,
        parameter_names=NAMES,
        chain=5.0 + 0.1 * (offset + width * z),
        best=np.full(5, 5.0),
        error=np.full(5, 0.1),
        covariance=0.01 * np.eye(5),
        autocorrelation=np.full(5, 30.0),
        n_steps=2000,
        converged=True,
        acceptance=0.3,
    )


def test_table_and_shares_tell_what_agrees(rng):
    samples = [
        made_up(rng),
        made_up(rng, offset=0.5),
        made_up(rng, width=1.5),
        made_up(rng, "bimodal"),
        made_up(rng, "skew"),
    ]
    table = posterior_table(samples)
    np.testing.assert_allclose(table["feh_offset"][:3], [0.0, 0.5, 0.0], atol=0.03)
    np.testing.assert_allclose(table["logg_width"][:3], [1.0, 1.0, 1.5], rtol=0.04)
    assert abs(table["teff_skewness"][0]) < 0.1 and table["teff_skewness"][4] > 1.0
    assert table["teff_bimodality"][3] > 5 / 9 > table["teff_bimodality"][0]
    assert table["gdr3_source_id"].dtype == np.int64
    shares = posterior_shares(table, ["feh"])["feh"]
    assert shares["bimodal"] == shares["skew"] == 0.2
    shares = posterior_shares(table[:3], ["feh"])["feh"]
    assert (shares["median"], shares["width"]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))


def test_table_is_in_the_units_of_catalogues(rng):
    sample = made_up(rng)
    table = posterior_table([sample])
    for suffix in ("", "_err", "_median", "_lower", "_upper"):
        assert table[f"teff{suffix}"].unit == "K" and table[f"extinction{suffix}"].unit == "mag"
        assert table[f"parallax{suffix}"].unit == "mas"
    assert table["teff"][0] == 5000.0 and table["teff_err"][0] == pytest.approx(100.0)
    assert table["teff_median"][0] == pytest.approx(1000.0 * np.median(sample.flat[:, 0]))
    assert table["feh"][0] == 5.0 and table["teff_offset"].unit is None
    amplitude = posterior_table([sample], absolute=False)["parallax"]
    assert amplitude.unit is None and amplitude[0] == 5.0


def test_corner_plot_shows_every_pair_with_its_ellipse(rng):
    figure = corner_figure(made_up(rng), absolute=False)
    axes = np.array(figure.axes).reshape(5, 5)
    assert axes[4, 0].get_ylabel() == r"$\sqrt{\rm amplitude}$"
    assert axes[4, 0].get_xlabel() == r"$T_{\rm eff}$ [K]"
    assert axes[0, 0].lines[-1].get_xdata()[0] == 5000.0  # the optimum
    for i in range(5):
        for j in range(i):
            assert len(axes[i, j].lines) == 3  # two ellipses and the optimum


def test_arviz_takes_the_samples(rng):
    data = made_up(rng).to_arviz()
    assert data.posterior["feh"].shape == (40, 400)


def test_sampling_from_the_command_line(sample_path, tmp_path, capsys):
    out = tmp_path / "out"
    source = int(xpfit.read_spectra(sample_path, [3]).source_id[0])
    command = ["sample", "--spectra", str(sample_path), "--output-dir", str(out),
               "--max-steps", "250"]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main([*command, str(source)]) == 0
    said = capsys.readouterr()
    assert "fewer than 50 autocorrelation times" in said.err and "fractions of 1 stars" in said.out
    table = Table.read(out / "posteriors.ecsv")
    assert table["gdr3_source_id"].tolist() == [source] and table["n_steps"][0] == 250
    assert table["teff"].unit == "K" and 3000.0 < table["teff"][0] < 10_000.0
    assert picture_size(out / f"corner-{source}.png") == (10.8, 10.8)
    chain = HDFBackend(str(out / f"chain-{source}.h5"), read_only=True)
    assert chain.get_chain().shape == (50, 48, 6) and chain.random_state[0] == "MT19937"
    assert main([*command, "--overwrite", "17"]) == 1
    assert "source 17 is in none of the files" in capsys.readouterr().err
