"""The errors that xpfit raises on purpose, so that scripts can distinguish them."""

from __future__ import annotations


class XpfitError(Exception):
    """Base of every error that xpfit raises on purpose."""


class InputError(XpfitError, ValueError):
    """An input file, table or array that cannot be used; the message says why and what to do."""


class TruncatedError(InputError):
    """An input that is cut off; what stands before the cut has been read."""


class ModelFileError(XpfitError, ValueError):
    """A model file that is damaged, of another kind, or newer than this version of xpfit."""


class OutputError(XpfitError, OSError):
    """An output that exists already or cannot be written."""


class ArchiveError(XpfitError):
    """The Gaia archive did not answer, or not in full."""
