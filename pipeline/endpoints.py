"""Tell which service a host belongs to, from endpoints.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

OTHER = "other"


@lru_cache(maxsize=8_192)  # hosts come from logs, so there is no end of them
def service_of(host: str | None) -> str:
    """Return the service that `host` belongs to, or 'other'."""
    labels = (host or "").lower().rstrip(".").split(".")
    known = _services()
    return next((known[suffix] for suffix in _suffixes(labels) if suffix in known), OTHER)


@cache
def is_microsoft(service: str) -> bool:
    """Return whether `service` is run by Microsoft, so that a bare 5.7.30 from it means what we look for."""
    return any(entry["name"] == service and entry["is_microsoft"] for entry in _table())


def _suffixes(labels: list[str]) -> list[str]:
    return [".".join(labels[start:]) for start in range(len(labels))]


@cache
def _services() -> Mapping[str, str]:
    return {host: entry["name"] for entry in _table() for host in entry["hosts"]}


@cache
def _table() -> list[dict[str, Any]]:
    return tomllib.loads((files("pipeline") / "endpoints.toml").read_text("utf-8"))["service"]  # type: ignore[no-any-return]
