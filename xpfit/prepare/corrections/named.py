"""Published corrections by their names."""

from __future__ import annotations

import os

from astropy.table import Table

from ...errors import InputError
from .base import Correction
from .huang import Huang2024
from .ye import Ye2025

CORRECTIONS = {kind.name: kind for kind in (Huang2024, Ye2025)}
"""By name."""


def named_correction(name: str, directory: str | os.PathLike, stars: Table) -> Correction:
    """A published correction, from files that its users bring.

    Parameters
    ----------
    name : str
        ``"huang2024"`` or ``"ye2025"``.
    directory : path-like
        With the files of the correction, as for `Huang2024` and `Ye2025`.
    stars : astropy.table.Table
        What it depends on: source ids, `phot_g_mean_mag`, `phot_bp_mean_mag`, `phot_rp_mean_mag`
        and E(B-V) in mag (`ebv`), which ``ye2025`` needs. Stars that it lacks are not corrected,
        and flagged.

    Returns
    -------
    FluxCorrection
        Its identifier contains a digest of the files.

    Raises
    ------
    FileNotFoundError
        If there is no such directory.
    InputError
        If there is no correction of that name, or the files or the table cannot be used.
    """
    if name not in CORRECTIONS:
        raise InputError(
            f"there is no flux correction {name!r}; known are {', '.join(CORRECTIONS)}"
        )
    return CORRECTIONS[name](directory, stars)
