"""The public names, and the old ones that are deprecated."""

import ast
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from helpers import processor_seconds

import xpfit
from xpfit import _deprecated

NAMES_OF_VERSION_0_1 = [
    "Confidence",
    "FitResult",
    "FitStatus",
    "Fitter",
    "FluxCorrection",
    "InputError",
    "LibrarySettings",
    "ModelFileError",
    "OutputError",
    "PhotometrySettings",
    "Recipe",
    "Spectra",
    "XPModel",
    "XPSettings",
    "XpfitError",
    "attach_photometry",
    "confidence_for",
    "continuous_spectra",
    "fit_spectra",
    "is_reliable",
    "load_model",
    "read_catalogue",
    "read_spectra",
    "read_table",
    "result_table",
    "train_model",
    "write_catalogue",
    "validate.star_figure",
    "validate.SurveySettings",
    "validate.simulate_survey",
    "validate.report.write_report",
    "validate.mock.iterate_mock",
    "validate.flux_residuals.flux_residuals",
    "validate.flux_residuals.flux_residual_map_figure",
    "validate.posterior.corner_figure",
    "validate.clusters.cluster_figure",
    "validate.binaries.detection_figure",
    "validate.sky_plots.sky_figure",
    "validate.latent.alpha_figure",
    "validate.attention_plots.attention_figure",
    "validate.forecast.forecast_figure",
    "validate.reconstruction.reconstruction_figure",
    "catalogue.opinions.companion_table",
    "catalogue.opinions.add_opinions",
    "catalogue.run.run_catalogue",
    "spectra.Spectra",
    "spectra.InputFlag",
    "space.SampledSpace",
    "prepare.store.write_spectra",
    "validate.simulate.simulate_survey",
]
"""Public names, and some of the modules that README, documentation and docstrings named."""


@pytest.fixture
def forgotten(monkeypatch):
    """As in a new process: no old name was used yet."""
    for name in _deprecated.MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name in _deprecated.NAMES:
        module, _, attribute = name.rpartition(".")
        if module in sys.modules:
            sys.modules[module].__dict__.pop(attribute, None)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("path", NAMES_OF_VERSION_0_1)
def test_names_of_the_last_version_are_still_found(forgotten, path):
    module, _, name = f"xpfit.{path}".rpartition(".")
    assert getattr(import_module(module), name) is not None


@pytest.mark.parametrize("old", _deprecated.NAMES)
def test_an_old_name_is_the_new_one_with_one_warning(forgotten, old):
    module, _, name = old.rpartition(".")
    new_module, _, new_name = _deprecated.NAMES[old].rpartition(".")
    module = import_module(module)
    with pytest.warns(FutureWarning, match=_deprecated.NAMES[old]) as caught:
        value = getattr(module, name)
        getattr(module, name)
    assert len(caught) == 1
    assert value is getattr(import_module(new_module), new_name)


@pytest.mark.parametrize("old", _deprecated.MODULES)
def test_an_old_module_holds_what_the_new_one_does_with_one_warning(forgotten, old):
    places = [import_module(place) for place in _deprecated.MODULES[old]]
    with pytest.warns(FutureWarning, match=_deprecated.MODULES[old][0]) as caught:
        module = import_module(old)
        import_module(old)
    assert len(caught) == 1
    name = next(n for n in vars(places[-1]) if not n.startswith("_") and n != "annotations")
    assert getattr(module, name) is getattr(places[0], name, getattr(places[-1], name))
    with pytest.raises(AttributeError, match="has no attribute 'absent'"):
        module.absent  # noqa: B018


def test_a_name_that_never_was_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'xpfit' has no attribute 'fit_everything'"):
        xpfit.fit_everything  # noqa: B018


def test_dir_shows_the_public_names_and_each_exists():
    assert dir(xpfit) == sorted(xpfit.__all__)
    assert all(getattr(xpfit, name) is not None for name in xpfit.__all__)


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(xpfit.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {
        node.module: tuple(alias.name for alias in node.names)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
    }
    assert imported == xpfit._MODULES
    assert sorted([*np.concatenate([*imported.values()]), "__version__"]) == sorted(xpfit.__all__)
    assert (Path(xpfit.__file__).parent / "py.typed").is_file()


def test_import_takes_less_than_0_7_seconds_and_no_heavy_package():
    code = (
        "import sys, xpfit; "
        "heavy = {'sklearn', 'scipy', 'astropy', 'matplotlib', 'numba', 'gaiaxpy'}; "
        "heavy &= set(sys.modules); assert not heavy, heavy"
    )
    assert processor_seconds("-c", code) < 0.7


def test_help_takes_less_than_1_second():
    assert processor_seconds("-m", "xpfit", "--help") < 1.0
