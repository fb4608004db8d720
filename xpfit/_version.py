"""The version of xpfit."""

__version__ = "0.1.0"
