"""
The evidence in other people's words: the views `ecs.*` and `ocsf.*`, one SQL file each in `queries/views/`.

They lie in the lake itself, each layer a schema of it, so that any DuckDB that attaches the lake has them; whoever
opens the lake for writing brings them up to date. A lake that has none yet is read all the same: for one query they
are made in memory, under the same names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pipeline.lake import Lake
from queries.sql_files import SqlFile, names_in, sql_file

LAYERS: Mapping[str, tuple[str, ...]] = {layer: tuple(names_in(f"views/{layer}")) for layer in ("ecs", "ocsf")}
"""The views of each layer, by name."""

_NOTE = "layers"


def view_file(layer: str, name: str) -> SqlFile:
    """Return the file of the view `name` of `layer`."""
    return sql_file(f"views/{layer}", name)


def keep_layers(lake: Lake) -> bool:
    """Bring the views in `lake` up to what this program knows; return whether there was anything to do."""
    told = lake.one("SELECT value FROM meta WHERE key = ?", [_NOTE])
    if told == (mark := _mark()):
        return False
    with lake.writing():
        for layer, names in LAYERS.items():
            lake.connection.execute(f"CREATE SCHEMA IF NOT EXISTS {layer}")
            for name in names:
                lake.connection.execute(f"CREATE OR REPLACE VIEW {layer}.{name} AS {view_file(layer, name).sql}")
        lake.connection.execute("DELETE FROM meta WHERE key = ?", [_NOTE])
        lake.connection.execute("INSERT INTO meta VALUES (?, ?)", [_NOTE, mark])
    return True


def show_layers(lake: Lake) -> None:
    """Let the connection of `lake` read each layer, from the lake or, where it has none, from memory."""
    found = lake.connection.execute(
        "SELECT schema_name FROM duckdb_schemas() WHERE database_name = 'lake' AND NOT internal"
    ).fetchall()
    for layer, names in LAYERS.items():
        if (layer,) not in found:
            lake.connection.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {layer}")
            for name in names:
                # DuckDB looks for `main.deliveries` in the lake too, because that is what it uses.
                lake.connection.execute(f"CREATE OR REPLACE VIEW {layer}.{name} AS {view_file(layer, name).sql}")


def _mark() -> str:
    texts = [f"{layer}.{name}\n{view_file(layer, name).sql}" for layer, names in LAYERS.items() for name in names]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
