"""Load DuckDB's extensions from the installed packages, by path; nothing is ever downloaded at run time."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import duckdb

from pipeline.errors import LakeError

PACKAGES = {"ducklake": "duckdb_extension_ducklake", "sqlite_scanner": "duckdb_extension_sqlite_scanner"}


def load(connection: duckdb.DuckDBPyConnection, extension: str) -> None:
    """Load `extension` into `connection`; its signature is checked by DuckDB."""
    connection.execute(f"LOAD '{str(path_of(extension, PACKAGES[extension])).replace(chr(39), chr(39) * 2)}'")


def path_of(extension: str, package: str, version: str = duckdb.__version__) -> Path:
    """Return the file of `extension` in the installed `package`; raise LakeError when it is not there."""
    try:
        path = Path(str(files(package))) / "extensions" / f"v{version}" / f"{extension}.duckdb_extension"
    except ModuleNotFoundError as error:
        raise LakeError(f"the package {_said(package)} is not installed; {_MEND}") from error
    if not path.is_file():
        raise LakeError(f"the package {_said(package)} does not fit DuckDB {version}; {_MEND}")
    return path


_MEND = "install both in the same version, as pyproject.toml pins them"


def _said(package: str) -> str:
    return package.replace("_", "-")
