"""Starting points of the fits: where the posterior of each star may have its modes.

`GridStarts` is the grid of prior stellar types times extinctions of ZGR23, section 4.2, each cell
compared with the data exactly. `ProfileStarts`, the default, compares logarithms of flux, in which
the model is linear in extinction and amplitude, so that both are solved for instead of tried, and
four times as many types cost a hundredth of the time. `complete_guesses` starts from given labels.
"""

from .base import GAP, Starts
from .grid import GridStarts
from .guess import complete_guesses
from .profile import ProfileStarts

__all__ = ["GAP", "STARTS", "GridStarts", "ProfileStarts", "Starts", "complete_guesses"]

STARTS = {"profile": ProfileStarts, "grid": GridStarts}
"""Searches for starts, by name."""
