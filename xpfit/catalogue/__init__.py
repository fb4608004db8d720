"""Columns, writers and readers of catalogues of fitted stars, and runs for large ones."""

from .columns import REFERENCE_PREFIX, STELLAR_PARAMETERS, add_column, join_tables, result_table
from .formats import catalogue_format, read_catalogue, write_catalogue

__all__ = [
    "REFERENCE_PREFIX",
    "STELLAR_PARAMETERS",
    "add_column",
    "catalogue_format",
    "join_tables",
    "read_catalogue",
    "result_table",
    "write_catalogue",
]
