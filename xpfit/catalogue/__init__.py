"""Columns, writers and readers of catalogues of fitted stars."""

from .columns import REFERENCE_PREFIX, join_tables, result_table
from .io import catalogue_format, write_catalogue

__all__ = [
    "REFERENCE_PREFIX",
    "catalogue_format",
    "join_tables",
    "result_table",
    "write_catalogue",
]
