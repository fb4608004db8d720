"""The table of data releases, and that nothing else in the package knows what is in it."""

import ast
import re

import pytest
from test_architecture import FILES, PACKAGE

from xpfit.releases import DR3, DR4, RELEASES, id_column_of

LITERALS = re.compile(
    r"^(XP_CONTINUOUS|XP_SAMPLED|RAW|DATAMODEL_GAIA|INDIVIDUAL|MEAN_SPECTRUM_XP|Gaia DR[34]|"
    r"gaiadr[34]\..*|phot_bp_rp_excess_factor|astrometric_params_solved|astrometric_params|"
    r"astrometric_excess_noise_sig|tentative_parallax_bias|g?dr[34]_source_id)$"
)
"""Names that differ between releases, as a whole string of the code."""


def strings_of_code(path):
    """Strings that are not docstrings, and numbers, with their lines."""
    tree = ast.parse(path.read_text())
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in documentation:
            yield node.value, node.lineno


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_names_of_releases_stand_in_one_table(path):
    if path.name == "releases.py":
        return
    found = [
        (value, line)
        for value, line in strings_of_code(path)
        if isinstance(value, str) and LITERALS.match(value)
    ]
    assert found == []


def test_columns_have_their_names_in_each_release():
    assert DR3.column("astrometric_params_solved") == "astrometric_params_solved"
    assert DR4.column("astrometric_params_solved") == "astrometric_params"
    assert DR4.column("phot_bp_rp_excess_factor") == ""
    assert DR4.column("parallax") == "parallax"


def test_catalogues_name_their_ids_by_release():
    assert id_column_of(["gdr4_source_id", "teff"]) == "gdr4_source_id"
    assert id_column_of(["teff"]) == "gdr3_source_id"
    assert len({release.id_column for release in RELEASES.values()}) == len(RELEASES)


def test_numbers_of_coefficients_and_ids_tell_releases_apart():
    assert len({release.n_coefficients for release in RELEASES.values()}) == len(RELEASES)
    assert all(release.assumptions for release in (DR4,)) and not DR3.assumptions
