"""
The folder that everything is written into, and its list of files by the time at which each comes into being.

A file's time of last write is the moment at which it was written in that world, because readers date exports by it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.simulate.ledger import LogBook
from pipeline.simulate.logs import exchange
from pipeline.simulate.moments import DAY, MINUTE, SECOND, date_of, iso

MANIFEST = "manifest.jsonl"


@dataclass(slots=True)
class Shelf:
    """Writes files below `folder` and remembers when each is there."""

    folder: Path
    entries: list[dict[str, Any]] = field(default_factory=list)

    def put(self, path: str, content: bytes, available: int, *, kind: str, format: str, written: int = 0) -> None:
        """Write one file that is there from `available` on."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        seconds = (written or available) / SECOND
        os.utime(target, (seconds, seconds))
        entry = {"available_at": iso(available), "path": path, "kind": kind, "format": format, "bytes": len(content)}
        self.entries.append(entry)

    def put_logs(self, logs: LogBook) -> int:
        """Write all logs, one file for each day; each is there some minutes after its day. Return how many lines."""
        count = 0
        for (host, name), lines in sorted(logs.files.items()):
            days: dict[int, list[tuple[int, str]]] = {}
            for line in sorted(lines, key=lambda each: each[0]):
                days.setdefault(line[0] // DAY, []).append(line)
            for day, of_day in days.items():
                self._put_log(host, name, day, of_day)
                count += len(of_day)
        return count

    def _put_log(self, host: str, name: str, day: int, lines: list[tuple[int, str]]) -> None:
        is_exchange = name.startswith(exchange.PREFIX)
        end = "\r\n" if is_exchange else "\n"
        texts = [exchange.header(lines[0][0])] * is_exchange + [text for _, text in lines]
        path = f"logs/{host}/{name if is_exchange else f'{name}-{date_of(day * DAY):%Y%m%d}'}"
        content = "".join(text + end for text in texts).encode()
        ready = (day + 1) * DAY + 5 * MINUTE
        self.put(path, content, ready, kind="log", format="exchange_smtp" if is_exchange else "log", written=ready)

    def put_manifest(self) -> None:
        """Write the list of all files, in the order in which they come."""
        self.entries.sort(key=lambda entry: (entry["available_at"], entry["path"]))
        self.put_lines(MANIFEST, self.entries)

    def put_lines(self, path: str, objects: list[dict[str, Any]]) -> None:
        """Write `objects` as JSON, one a line; such files are about the world and not of it."""
        text = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in objects)
        (self.folder / path).write_text(text, "utf-8")
