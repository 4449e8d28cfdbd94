"""
DuckDB with all that a lake needs loaded into it, kept by this process for the next lake that it opens.

DuckDB checks the signature of an extension at each LOAD, over 70 MB in all, and that takes longer than all else at the
opening of a lake; a service opens its lake for each job. One engine serves one lake at a time. One that does not let go
of its lake, or was locked down for a query of somebody else, is not used again, and none is for ever, because each lake
leaves a fifth of a megabyte behind in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb

from pipeline.errors import LakeError
from pipeline.lake.extensions import load

_EXTENSIONS = ("ducklake", "sqlite_scanner")
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
_MOST_LAKES = 50


@dataclass(slots=True)
class Engine:
    """A DuckDB with its extensions, and how many lakes it has served."""

    root: duckdb.DuckDBPyConnection
    lakes: int = 0

    @classmethod
    def made(cls, **config: str) -> Engine:
        """Return a new one, set up as `config` says; raise LakeError when an extension cannot be loaded."""
        root = duckdb.connect(":memory:", config={**CONFIG, **config})
        try:
            for extension in _EXTENSIONS:
                load(root, extension)
        except duckdb.Error as error:
            root.close()
            raise LakeError(f"DuckDB's extensions cannot be loaded: {error}; install them again") from error
        return cls(root)

    def is_as_new(self) -> bool:
        """Detach the lake; return whether another may take its place."""
        try:
            self.root.execute("DETACH DATABASE IF EXISTS lake")
            [(is_locked,)] = self.root.execute("SELECT current_setting('lock_configuration')").fetchall()
        except duckdb.Error:
            return False
        return not is_locked and self.lakes < _MOST_LAKES


IDLE: dict[int, list[Engine]] = {}
"""By the id of the process, because the threads of an engine do not come with a fork."""


@contextmanager
def connected() -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection to an engine, to which a lake may be attached as `lake`."""
    idle = IDLE.setdefault(os.getpid(), [])
    engine = idle.pop() if idle else Engine.made()
    engine.lakes += 1
    try:
        with engine.root.cursor() as connection:
            # A progress bar would go to stdout after two seconds, where the data is.
            connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
            yield connection
    finally:
        if engine.is_as_new():
            idle.append(engine)
        else:
            engine.root.close()
