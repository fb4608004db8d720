"""Data flow in one direction: a module imports only from what stands before it (DESIGN order)."""

import ast
from pathlib import Path

import pytest

import xpfit

PACKAGE = Path(xpfit.__file__).parent
ORDER = [
    "_deprecated", "_version", "errors", "integrity", "constraints", "releases", "locks",
    "temporary", "files", "arrays", "arrow", "constants", "quantities", "statistics", "healpix",
    "data", "read", "dust", "prepare", "nn", "model", "train", "companion", "fit", "quality",
    "catalogue", "simulate", "epochs", "validate", "extinction", "plots", "report", "cli",
    "__main__",
]  # fmt: skip

FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py") + sorted(
    path for path in PACKAGE.rglob("*/__init__.py")
)


def imported_parts(path: Path) -> set[str]:
    """Parts of xpfit (folders, or files at the top) that a file imports, wherever it does so."""
    package = ["xpfit", *path.relative_to(PACKAGE).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = [*base, *(node.module.split(".") if node.module else [])]
            targets = [[*module, alias.name] for alias in node.names]
        elif isinstance(node, ast.Import):
            targets = [alias.name.split(".") for alias in node.names]
        else:
            continue
        found |= {target[1] for target in targets if target[0] == "xpfit" and len(target) > 1}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_import_only_from_what_stands_before_them(path):
    name = str(path.relative_to(PACKAGE))
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for part in imported_parts(path):
        if part != own:
            assert ORDER.index(part) < ORDER.index(own), f"{name} imports xpfit.{part}"


def test_every_part_has_its_place():
    parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES}
    assert parts == set(ORDER)


def test_deep_learning_frameworks_are_nowhere():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {n.split(".")[0] for n in names} & {"torch", "tensorflow", "jax"}
