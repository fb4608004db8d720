"""xpfit: stellar parameters with well-calibrated uncertainties from Gaia BP/RP spectra.

Names are imported when they are first used, so that ``import xpfit`` takes no time.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from . import _deprecated
from ._version import __version__

if TYPE_CHECKING:
    from .catalogue import read_catalogue, result_table, write_catalogue
    from .companion import load_companion
    from .data import Spectra, XPSettings
    from .errors import InputError, ModelFileError, OutputError, XpfitError
    from .fit import FitResult, FitSettings, FitStatus, Fitter, fit_spectra
    from .model import XPModel
    from .model.store import load_model
    from .prepare import attach_astrometry, attach_labels, attach_photometry, read_spectra
    from .quality import is_reliable
    from .train import load_recipe, train_model

__all__ = [
    "FitResult",
    "FitSettings",
    "FitStatus",
    "Fitter",
    "InputError",
    "ModelFileError",
    "OutputError",
    "Spectra",
    "XPModel",
    "XPSettings",
    "XpfitError",
    "__version__",
    "attach_astrometry",
    "attach_labels",
    "attach_photometry",
    "fit_spectra",
    "is_reliable",
    "load_companion",
    "load_model",
    "load_recipe",
    "read_catalogue",
    "read_spectra",
    "result_table",
    "train_model",
    "write_catalogue",
]

_MODULES = {
    "catalogue": ("read_catalogue", "result_table", "write_catalogue"),
    "companion": ("load_companion",),
    "data": ("Spectra", "XPSettings"),
    "errors": ("InputError", "ModelFileError", "OutputError", "XpfitError"),
    "fit": ("FitResult", "FitSettings", "FitStatus", "Fitter", "fit_spectra"),
    "model": ("XPModel",),
    "model.store": ("load_model",),
    "prepare": ("attach_astrometry", "attach_labels", "attach_photometry", "read_spectra"),
    "quality": ("is_reliable",),
    "train": ("load_recipe", "train_model"),
}
"""Where the names are, as imported above for type checkers."""

_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

_deprecated.install()


def __getattr__(name: str) -> Any:
    """A public name, a part of the package, or an old name."""
    if name in _MODULE_OF:
        value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    elif not name.startswith("_") and find_spec(f"{__name__}.{name}"):
        value = import_module(f".{name}", __name__)
    else:
        return _deprecated.old_name(__name__, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, nothing else."""
    return __all__
