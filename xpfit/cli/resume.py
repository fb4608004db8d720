"""Work that can be interrupted and resumed, and that no two processes do at the same time."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..locks import locked
from .options import check_outputs

CHECKPOINT_SUFFIX, LOCK_SUFFIX = ".checkpoint", ".lock"
"""Added to the output of trainings; both files are removed when it is written."""


class Interrupted(KeyboardInterrupt):
    """An interruption of work that can be resumed, as its message explains."""


@contextmanager
def resumable(how: str, checkpoint: Path | None = None) -> Iterator[None]:
    """Work that can be resumed when it is interrupted.

    Parameters
    ----------
    how : str
        How to resume.
    checkpoint : Path, optional
        Without this file the work cannot be resumed.

    Raises
    ------
    Interrupted
    """
    try:
        yield
    except KeyboardInterrupt:
        if checkpoint is not None and not checkpoint.exists():
            raise
        raise Interrupted(how) from None


@contextmanager
def only_training(options: argparse.Namespace) -> Iterator[None]:
    """Work whose output and checkpoint no other process writes at the same time."""
    lock = Path(f"{options.output}{LOCK_SUFFIX}")
    check_outputs(options, lock, overwrite=True)
    busy = f"{options.output}: another training is to write this file; wait, or give another name"
    with locked(lock, busy, remove=True):
        yield
