"""The Gaia archive: queries, a client that retries, and the resumable download."""

from .accounts import Status
from .client import ArchiveClient
from .download import MAX_BATCH, Download

__all__ = ["MAX_BATCH", "ArchiveClient", "Download", "Status"]
