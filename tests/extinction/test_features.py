import json
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from helpers import picture_size, simulate

from xpfit import InputError, fit_spectra
from xpfit.cli import main
from xpfit.constants import LN_PER_MAG
from xpfit.extinction.features import FEATURES, MIN_STARS, StackedResiduals, learned_widths
from xpfit.model import ccm89, ccm89_curve
from xpfit.plots.extinction_features import features_figure


def bump(wavelength, centre=770.0, height=0.03, width=8.0):
    """A Gaussian feature of the curve, over A(550 nm)."""
    return height * np.exp(-0.5 * ((wavelength - centre) / width) ** 2)


def with_curve(model, curve):
    """The model with another extinction curve, A(lambda) in mag for unit E."""
    forward = replace(model.forward, parameters=model.forward.parameters.copy())
    forward.ln_curve[:] = np.log(LN_PER_MAG * curve)
    return replace(model, forward=forward)


@pytest.mark.parametrize("step", [6.0, 10.0])
def test_operators_integrate_features_and_ignore_smooth_curves(step):
    wavelength = np.arange(392.0, 993.0, step)
    area = LN_PER_MAG * 0.03 * 8.0 * np.sqrt(2.0 * np.pi)
    for feature, centre in zip(FEATURES, (770.0, 855.0), strict=True):
        operator = feature.operator(wavelength)
        parabola = 0.4 - 0.2 * (1e3 / wavelength) + 0.1 * (1e3 / wavelength) ** 2
        assert operator @ parabola == pytest.approx(0.0, abs=1e-9)
        measured = operator @ (parabola + bump(wavelength, centre))
        assert measured == pytest.approx(area, rel=0.05)
        assert abs(operator @ ccm89(wavelength, 3.1)) < 0.03  # 5 % of the feature above
        continuum = feature.continuum(wavelength, parabola)
        np.testing.assert_allclose(continuum, parabola, atol=1e-9)


def test_too_few_wavelengths_are_refused():
    with pytest.raises(InputError, match="feature at 770 nm needs samples from 690 to 830 nm"):
        FEATURES[0].operator(np.arange(392.0, 993.0, 40.0))


def test_widths_of_a_learned_curve_are_those_put_in(model):
    at_550 = np.interp(550.0, model.wavelength, ccm89_curve(model.wavelength)) / LN_PER_MAG
    smooth = ccm89_curve(model.wavelength) / LN_PER_MAG
    with_bump = with_curve(model, smooth + at_550 * bump(model.wavelength))
    difference = {
        name: learned_widths(with_bump)[name][0]
        - learned_widths(with_curve(model, smooth))[name][0]
        for name in ("770", "850")
    }
    area = LN_PER_MAG * 0.03 * 8.0 * np.sqrt(2.0 * np.pi)
    assert difference["770"] == pytest.approx(area, rel=0.05)
    assert difference["850"] == pytest.approx(0.0, abs=0.01 * area)


@pytest.fixture(scope="module")
def stacks(model):
    """Stars with a feature that the model does not know, and stars without; fitted by the model."""
    absolute = replace(model, absolute=True)
    curve = model.forward.extinction_curve / LN_PER_MAG
    visual = np.interp(550.0, model.wavelength, curve)
    found = []
    for height in (0.03, 0.0):
        true = with_curve(absolute, curve + visual * bump(model.wavelength, height=height))
        rng = np.random.default_rng(7)
        truth, spectra = simulate(true, 200, rng, relative_error=0.01)
        stack = StackedResiduals(absolute, edges=(0.0, 0.1, 0.5), nside=1)
        for rows in (slice(0, 100), slice(100, None)):
            part = spectra[np.arange(200)[rows]]
            stack.add(part, fit_spectra(absolute, part))
        found.append((truth, stack))
    return found


def test_stacked_residuals_find_a_feature_that_the_model_does_not_know(stacks):
    (truth, stack), (_, without) = stacks
    area = LN_PER_MAG * 0.03 * 8.0 * np.sqrt(2.0 * np.pi)
    curve, widths = stack.mean()
    assert widths.value[0] > 8.0 * widths.error[0]
    # A little of it is taken for labels and dust.
    assert 0.7 * area < widths.value[0] < 1.1 * area
    assert 755 < stack.wavelength[np.argmax(curve.value)] < 785
    null = without.mean()[1]
    assert np.all(np.abs(null.value) < 3.5 * null.error)
    distance = 1.0 / truth[:, 4]
    expected = [
        np.sum((distance >= low) & (distance < high)) for low, high in ((0, 0.1), (0.1, 0.5))
    ]
    counts = [stack.count[stack.groups_of_slice(i)].sum() for i in range(2)]
    assert np.all(np.abs(np.array(counts) - expected) < 0.1 * 200)


def test_parts_add_up_to_the_whole_and_few_stars_have_no_mean(stacks):
    (_, stack), _ = stacks
    both = np.concatenate([np.arange(stack.healpix.npix) + i * stack.healpix.npix for i in (0, 1)])
    np.testing.assert_allclose(stack.mean(both)[1].value, stack.mean()[1].value)
    few = np.flatnonzero((stack.count > 0) & (stack.count < MIN_STARS))
    empty = np.flatnonzero(stack.count == 0)
    assert np.isnan(stack.mean(np.array([[*few, *empty][0]]))[1].value).all()


def test_the_figure_shows_both(model, stacks, tmp_path):
    (_, stack), _ = stacks
    assert len(features_figure(stack.model, stack).axes) == 2
    assert len(features_figure(model).axes) == 1


@pytest.mark.parametrize("edges", [[0.5], [1.0, 0.5], [-1.0, 0.5]])
def test_slices_must_rise(absolute_model, edges):
    with pytest.raises(InputError, match="rising distances"):
        StackedResiduals(absolute_model, edges)


def test_the_command_measures_the_learned_curve(tmp_path, capsys):
    out = tmp_path / "features"
    assert main(["extinction", "features", "--output-dir", str(out)]) == 0
    assert "learned curve" in capsys.readouterr().out
    numbers = json.loads((out / "features.json").read_text())
    # Of the shipped model: 0.24 and 0.12 nm; published smooth curves have less than 0.03.
    assert numbers["learned"]["770"][0] == pytest.approx(0.24, abs=0.1)
    assert picture_size(out / "features.png")[0] > 4.0


def test_the_command_stacks_fits_of_spectra(tmp_path, sample_path):
    stars = tmp_path / "stars.fits"
    with fits.open(sample_path) as hdus:
        fits.BinTableHDU(hdus[1].data[:60]).writeto(stars)
    out = tmp_path / "features"
    command = ["extinction", "features", str(stars), "--output-dir", str(out), "--quiet"]
    assert main([*command, "--distances", "0", "10", "--nside", "1"]) == 0
    numbers = json.loads((out / "features.json").read_text())
    assert len(numbers["wavelength"]) > 50
    for group in numbers["groups"]:
        assert group["n_star"] >= MIN_STARS and group["770"][1] > 0
