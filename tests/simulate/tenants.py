"""Small tenants for the tests, each simulated and read once."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.following import pull
from pipeline.model import Notice
from pipeline.reading import read
from pipeline.recognise import recognise
from pipeline.rotation import log_of, oldest_first
from pipeline.simulate.plan import Plan
from pipeline.simulate.tenant import Story, simulate

SMALL = Plan(seed=13, days=24, senders=30, history=20)


@dataclass(frozen=True)
class Read:
    """What our own formats make of everything in a folder."""

    rows: dict[str, list[dict[str, Any]]]
    rejects: list[str]
    notices: list[str]
    formats: dict[str, str]


@cache
def tenant(plan: Plan = SMALL) -> tuple[Path, Story]:
    """Return the folder and the story of a plan; the folder goes when the tests end."""
    folder = Path(_FOLDER.name) / f"{plan.seed}-{plan.days}-{plan.senders}"
    return folder, simulate(plan, folder)


def jsonl(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file, one a line."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@cache
def read_all(plan: Plan = SMALL) -> Read:
    """Read every file that the manifest of a plan lists, each log from its first day to its last."""
    folder, _ = tenant(plan)
    found = Read({}, [], [], {})
    logs: dict[str, list[str]] = {}
    for entry in jsonl(folder / "manifest.jsonl"):
        path = Path(entry["path"])
        log = log_of(entry["path"]) if entry["kind"] == "log" else entry["path"]
        logs.setdefault(log, []).append(str(folder / path))
    for paths in logs.values():
        _read(oldest_first(paths), found)
    return found


def _read(paths: list[str], found: Read) -> None:
    carries: dict[str, Any] = {}
    for each in pull(paths, {}, recognise, UTC, to_the_end=True):
        if isinstance(each, Notice):
            found.notices.append(f"{each.origin}: {each.sentence}")
            continue
        parsed = read(each.format, each.chunk, carries.get(each.format, {}))
        carries[each.format] = parsed.carry
        found.formats[each.chunk.origin] = each.format
        found.rejects.extend(f"{each.chunk.origin}: {reject.reason}: {reject.raw[:200]!r}" for reject in parsed.rejects)
        for table, rows in parsed.tables.items():
            found.rows.setdefault(table, []).extend(rows.to_pylist())


_FOLDER = tempfile.TemporaryDirectory()
