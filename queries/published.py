"""
The views that every lake has, from queries/views: for ourselves, and for analysts with a DuckDB of their own.

They are made anew when their text has changed, so a lake always has those of the program that writes into it. A view
may use those that come before it in the alphabet.
"""

from __future__ import annotations

import hashlib

from pipeline.lake import Lake
from queries.layers import keep_layers
from queries.sql_files import names_in, sql_file

FOLDER = "views"
_KEY = "views"


def view_statements() -> list[str]:
    """Return the statements that make the views, in the order in which they can be run."""
    return [f"CREATE OR REPLACE VIEW {name} AS\n{sql_file(FOLDER, name).sql}" for name in names_in(FOLDER)]


def publish(lake: Lake) -> None:
    """Make the views in `lake`, those of the layers too, unless it has them as they are."""
    keep_layers(lake)
    statements = view_statements()
    version = hashlib.blake2b("\n".join(statements).encode(), digest_size=12).hexdigest()
    if lake.one("SELECT value FROM meta WHERE key = ?", [_KEY]) == version:
        return
    with lake.writing():
        for statement in statements:
            lake.connection.execute(statement)
        lake.connection.execute("DELETE FROM meta WHERE key = ?", [_KEY])
        lake.insert("meta", [{"key": _KEY, "value": version}])
