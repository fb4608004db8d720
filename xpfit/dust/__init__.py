"""Dust maps: the extinction that they give for stars at uncertain distances."""

from .estimate import Estimates, NoEstimate, estimate_extinction
from .maps import DustMap
from .open import DUST_MAPS, load_dust_map
from .place import behind_all_dust, star_positions
from .table import DustTable
from .typical import typical_extinction

__all__ = [
    "DUST_MAPS",
    "DustMap",
    "DustTable",
    "Estimates",
    "NoEstimate",
    "behind_all_dust",
    "estimate_extinction",
    "load_dust_map",
    "star_positions",
    "typical_extinction",
]
