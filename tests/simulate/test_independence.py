"""The truth must not know what is measured against it."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "pipeline" / "simulate").rglob("*.py"))
ALLOWED = ("pipeline.simulate", "pipeline.errors", "click")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_the_simulator_imports_nothing_that_is_measured(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]

    foreign = [name for name in names if name.split(".")[0] not in sys.stdlib_module_names]

    assert [name for name in foreign if not name.startswith(ALLOWED)] == []


def test_the_simulator_reads_no_file_of_the_project() -> None:
    words = ("importlib", "resources", ".toml", ".sql", "__import__")

    found = [(path.name, word) for path in MODULES for word in words if word in path.read_text("utf-8")]

    assert found == []
