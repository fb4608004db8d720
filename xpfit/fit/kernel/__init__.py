"""The Numba kernel: loss, derivatives and optimisation of one star in compiled code.

The fast twin of `xpfit.fit.objective` and `xpfit.fit.descent`, term by term and step by step; tests
compare the two. Stars share nothing, so results depend neither on the number of threads nor on
which stars are fitted together.
"""

from ..precompile import cache_in_temporary_files
from .structures import KernelModel, KernelStars, KernelState

try:
    from .entry import ENTRY_POINTS, evaluate, find_ends, inflate, iterate
except RuntimeError:  # Numba finds no place for its cache
    cache_in_temporary_files()
    from .entry import ENTRY_POINTS, evaluate, find_ends, inflate, iterate

__all__ = [
    "ENTRY_POINTS",
    "KernelModel",
    "KernelStars",
    "KernelState",
    "evaluate",
    "find_ends",
    "inflate",
    "iterate",
]
