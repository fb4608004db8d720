"""Columns, writers and readers of catalogues of fitted stars."""

from .columns import REFERENCE_PREFIX, result_table
from .io import catalogue_format, write_catalogue

__all__ = [
    "REFERENCE_PREFIX",
    "catalogue_format",
    "result_table",
    "write_catalogue",
]
