"""The four functions of the kernel that are called from Python, and their place in Numba's cache.

Numba caches a compiled function on disk and recompiles it when the function's own file changes, but
not when a function that it calls does. The key in the cache contains the values of the function's
closure, however. So the entry points close over a digest of all sources that are compiled in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .descent import iterate_descent, store
from .inflation import make_inflate
from .linalg import entry_point, row_ends
from .objective import evaluate_star
from .structures import new_workspace

KERNEL = Path(__file__).parent
SOURCES = (*KERNEL.glob("*.py"), KERNEL.parent / "lm_settings.py")
"""Files of which something is compiled into the entry points."""


def digest_sources(paths: Iterable[Path]) -> str:
    """SHA-256 of the contents of files, whatever their order."""
    digests = sorted(hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths)
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def make_entry_points(digest: str) -> tuple[Callable[..., Any], ...]:
    """`evaluate`, `iterate`, `inflate` and `find_ends`, cached under a digest of their sources."""

    @entry_point
    def evaluate(model, stars, state):
        """Loss and derivatives of all descents at their current points, in place."""
        _ = digest
        ws = new_workspace(model, stars.flux.shape[1])
        for m in range(len(state.star)):
            ws.trial[:] = state.theta[m]
            loss = evaluate_star(model, stars, state.star[m], ws.trial, ws)
            store(state, m, ws.trial, loss, ws)

    @entry_point
    def iterate(model, stars, settings, state, which, n_iterations):
        """Up to `n_iterations` further steps of the descents in `which`, in place."""
        _ = digest
        ws = new_workspace(model, stars.flux.shape[1])
        for m in which:
            iterate_descent(model, stars, settings, state, m, n_iterations, ws)

    @entry_point
    def find_ends(whitener):
        """Elements of each row of each whitener up to the last non-zero one, (n_star, n_row)."""
        _ = digest
        return row_ends(whitener)

    return evaluate, iterate, make_inflate(digest), find_ends


evaluate, iterate, inflate, find_ends = ENTRY_POINTS = make_entry_points(digest_sources(SOURCES))
