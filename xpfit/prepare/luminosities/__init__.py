"""Luminosities of stars with labels, from isochrones."""

from .attach import attach_luminosities, read_luminosities
from .estimate import Luminosities, LuminosityFlag, spectroscopic_luminosities
from .masses import IsochroneMasses, MassTable, isochrone_masses

__all__ = [
    "IsochroneMasses",
    "Luminosities",
    "LuminosityFlag",
    "MassTable",
    "attach_luminosities",
    "isochrone_masses",
    "read_luminosities",
    "spectroscopic_luminosities",
]
