"""Catalogues of any size: a resumable run over many files."""
