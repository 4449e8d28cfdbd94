"""
The views that every lake has, one SQL file each in queries/views: our own, and the layers `ecs` and `ocsf`.

They lie in the lake itself, each layer a schema of it, so that any DuckDB that attaches the lake has them. They are
made anew when the text of one has changed, so a lake always has those of the program that writes into it. A view of our
own may use those that come before it in the alphabet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from pipeline.lake import Lake
from queries.sql_files import SqlFile, names_in, sql_file

FOLDER = "views"
LAYERS: Mapping[str, tuple[str, ...]] = {layer: tuple(names_in(f"{FOLDER}/{layer}")) for layer in ("ecs", "ocsf")}
"""The evidence in other people's words: the views of each layer, by name."""

_KEY = "views"


def view_file(layer: str, name: str) -> SqlFile:
    """Return the file of the view `name` of `layer`."""
    return sql_file(f"{FOLDER}/{layer}", name)


def view_statements() -> list[str]:
    """Return the statements that make our own views, in the order in which they can be run."""
    return [f"CREATE OR REPLACE VIEW {name} AS\n{sql_file(FOLDER, name).sql}" for name in names_in(FOLDER)]


def publish(lake: Lake) -> bool:
    """Make the views in `lake`, unless it has them as they are; return whether there was anything to do."""
    statements = view_statements()
    for layer in LAYERS:
        statements += [f"CREATE SCHEMA IF NOT EXISTS {layer}", *_views_of(layer)]
    version = hashlib.blake2b("\n".join(statements).encode(), digest_size=12).hexdigest()
    if lake.one("SELECT value FROM meta WHERE key = ?", [_KEY]) == version:
        return False
    with lake.writing():
        for statement in statements:
            lake.connection.execute(statement)
        lake.connection.execute("DELETE FROM meta WHERE key = ?", [_KEY])
        lake.insert("meta", [{"key": _KEY, "value": version}])
    return True


def show_layers(lake: Lake) -> None:
    """Let the connection of `lake` read each layer, from the lake or, where it has none yet, from memory."""
    found = lake.connection.execute(
        "SELECT schema_name FROM duckdb_schemas() WHERE database_name = 'lake' AND NOT internal"
    ).fetchall()
    for layer in LAYERS:
        if (layer,) not in found:
            lake.connection.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {layer}")
            for statement in _views_of(layer):
                # DuckDB looks for `main.deliveries` in the lake too, because that is what it uses.
                lake.connection.execute(statement)


def _views_of(layer: str) -> Iterator[str]:
    for name in LAYERS[layer]:
        yield f"CREATE OR REPLACE VIEW {layer}.{name} AS\n{view_file(layer, name).sql}"
