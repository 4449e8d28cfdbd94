"""The shape of the house: imports run one way, and the folders hold what their names say."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONDUCTORS = (
    "pipeline.cli",
    "pipeline.service",
    "pipeline.scheduler",
    "pipeline.web",
    "pipeline.work",
    "pipeline.__main__",
)
MODULES = sorted(path for package in ("pipeline", "queries", "alerts") for path in (ROOT / package).rglob("*.py"))
FORBIDDEN_WORDS = ("handle", "handler", "process", "manager", "helper", "util", "utils", "misc")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_conductor(name: str) -> bool:
    return name.startswith(CONDUCTORS)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_run_one_way(path: Path) -> None:
    name = name_of(path)
    if is_conductor(name):
        return

    imported = [each for each in imports_of(path) if each.startswith(("pipeline", "queries", "alerts"))]

    assert not [each for each in imported if is_conductor(each)], "nobody imports a conductor"
    if name.startswith("pipeline"):
        assert not [each for each in imported if each.startswith(("queries", "alerts"))]
    if name.startswith("queries"):
        assert not [each for each in imported if each.startswith("alerts")]


@pytest.mark.parametrize("folder", ["pipeline.sources", "pipeline.formats", "alerts.channels"])
def test_plugins_never_import_each_other(folder: str) -> None:
    for path in MODULES:
        name = name_of(path)
        if name.startswith(f"{folder}."):
            assert not [
                each for each in imports_of(path) if each.startswith(f"{folder}.") and not each.startswith(name)
            ]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_names_tell_the_story(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    defined = [node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))]

    assert not [name for name in [path.stem, *defined] if set(name.lower().split("_")) & set(FORBIDDEN_WORDS)]


@pytest.mark.parametrize("path", [path for path in MODULES if path.read_text("utf-8").strip()], ids=name_of)
def test_each_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))
