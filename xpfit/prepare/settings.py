"""Settings with which data were prepared, from what a file says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields


def prepared_with(preparation: Mapping, kind: type):
    """Settings with which training data were prepared, for data of the same sort.

    Parameters
    ----------
    preparation : mapping
        `Spectra.preparation` of the training data.
    kind : type
        `xpfit.prepare.LibrarySettings` or `xpfit.prepare.XPSettings`; what is not known of them
        keeps its default.

    Returns
    -------
    LibrarySettings or XPSettings
    """
    names = {f.name for f in fields(kind)} & preparation.keys()
    return kind(**{name: preparation[name] for name in names})
