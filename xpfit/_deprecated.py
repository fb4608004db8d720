"""Old names and module paths, which keep working for one version: old -> new.

An old name is found with a `FutureWarning` that gives the new one, once per process. To deprecate
a name or a module, add it to `_MOVED`, `NAMES` or `MODULES`.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

MODULES = {
    "xpfit.spectra": ("xpfit.data.spectra", "xpfit.data.flags"),
    "xpfit.space": ("xpfit.data.space",),
    "xpfit.model.residuals": ("xpfit.model.covariance",),
    "xpfit.catalogue.executor": ("xpfit.catalogue.run.executor",),
    "xpfit.catalogue.manifest": ("xpfit.catalogue.run.manifest",),
    "xpfit.catalogue.opinions": ("xpfit.catalogue.companion_columns",),
    "xpfit.catalogue.partition": ("xpfit.catalogue.hats",),
    "xpfit.validate.attention_plots": ("xpfit.plots.attention",),
    "xpfit.validate.mock": ("xpfit.simulate.galaxy",),
    "xpfit.validate.noise": ("xpfit.simulate.noise",),
    "xpfit.validate.report": ("xpfit.report",),
    "xpfit.validate.simulate": ("xpfit.simulate", "xpfit.simulate.stars"),
    "xpfit.validate.sky_plots": ("xpfit.plots.sky",),
}
"""Modules that are gone, and those in which their names are now."""


_MOVED = {
    ("xpfit", "prepare"): "FluxCorrection LibrarySettings PhotometrySettings continuous_spectra",
    ("xpfit", "quality"): "Confidence confidence_for",
    ("xpfit", "read"): "read_table",
    ("xpfit", "train"): "Recipe",
    ("xpfit.catalogue.run", "catalogue.run.runner"): "RunSettings run_catalogue",
    ("xpfit.validate", "plots"): (
        "confidence_residual_figure coverage_figure dust_figure model_figures reliability_diagram "
        "reliability_figure residual_figure residual_grid_figure spectrum_figure star_figure"
    ),
    ("xpfit.validate", "dust"): "DUST_MAPS load_dust_map",
    ("xpfit.validate", "simulate"): (
        "Survey SurveySettings read_truth simulate_survey write_survey"
    ),
    ("xpfit.validate.binaries", "plots.binaries"): "detection_figure",
    ("xpfit.validate.clusters", "plots.clusters"): "cluster_figure",
    ("xpfit.validate.flux_residuals", "plots.flux_residuals"): (
        "flux_residual_figure flux_residual_map_figure"
    ),
    ("xpfit.validate.forecast", "plots.forecast"): "forecast_figure",
    ("xpfit.validate.latent", "plots.latent"): "alpha_figure latent_figure",
    ("xpfit.validate.posterior", "plots.posterior"): "corner_figure",
    ("xpfit.validate.reconstruction", "plots.reconstruction"): "reconstruction_figure",
}
"""Names that have moved from one module to another, by (old module, new module in xpfit)."""

_COLUMNS = "xpfit.catalogue.companion_columns"

NAMES = {
    f"{old}.{name}": f"xpfit.{new}.{name}"
    for (old, new), names in _MOVED.items()
    for name in names.split()
} | {
    "xpfit.companion.OddityDetector": "xpfit.companion.OutlierDetector",
    "xpfit.quality.judge": "xpfit.quality.calibration_report",
    f"{_COLUMNS}.add_opinions": f"{_COLUMNS}.add_companion_columns",
}
"""Names that have moved or were renamed."""

_WITH_OLD_NAMES = {path.rpartition(".")[0] for path in NAMES} - {"xpfit"}


def old_name(module: str, name: str) -> Any:
    """What a module held under an old name.

    Raises
    ------
    AttributeError
        If the name is not in `NAMES`.
    """
    new = NAMES.get(f"{module}.{name}")
    if new is None:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    warnings.warn(f"{module}.{name} is now {new}", FutureWarning, stacklevel=3)
    place, _, new_name = new.rpartition(".")
    value = getattr(import_module(place), new_name)
    setattr(sys.modules[module], name, value)  # so that the warning comes once
    return value


class OldModules(MetaPathFinder, Loader):
    """Imports modules of `MODULES`, and has other modules find their names in `NAMES`."""

    def find_spec(self, fullname: str, path=None, target=None) -> ModuleSpec | None:
        """Specification of a module that is gone, or of one that had other names."""
        if fullname in MODULES:
            return ModuleSpec(fullname, self)
        if fullname not in _WITH_OLD_NAMES:
            return None
        spec = PathFinder.find_spec(fullname, path)
        execute = spec.loader.exec_module

        def with_old_names(module: ModuleType) -> None:
            execute(module)
            module.__getattr__ = lambda name: old_name(fullname, name)

        spec.loader.exec_module = with_old_names
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """An ordinary module."""

    def exec_module(self, module: ModuleType) -> None:
        """Have a module find its names in the new places."""
        places = MODULES[module.__name__]
        warnings.warn(f"{module.__name__} is now {places[0]}", FutureWarning, stacklevel=2)

        def __getattr__(name: str) -> Any:
            for place in places:
                try:
                    return getattr(import_module(place), name)
                except AttributeError:
                    continue
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

        module.__getattr__ = __getattr__


def install() -> None:
    """Have Python's import find the old modules."""
    if not any(isinstance(finder, OldModules) for finder in sys.meta_path):
        sys.meta_path.insert(0, OldModules())
