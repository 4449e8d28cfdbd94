"""Reads traces from the fake again and again, as the service does, in a process of its own that may be killed."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import httpx

from pipeline.errors import SourceError
from pipeline.graph.client import Graph
from pipeline.graph.identity import Settings as Microsoft
from pipeline.graph.quota import FILE, Quota
from pipeline.ingest import Outcome, run_source
from pipeline.lake import Lake
from pipeline.model import Pull
from pipeline.outside import Outside
from pipeline.sources.graph_message_trace import Settings, pull_of
from tests.fake_graph.clock import SharedTime
from tests.fake_graph.server import TOKEN

CLIENT = "11111111-2222-4333-8444-555555555555"


def outside_at(address: str, time: SharedTime, folder: Path, http: httpx.Client, ahead: timedelta) -> Outside:
    """Return the world as the service makes it, with the fake in place of Microsoft."""
    clock = time.clock(ahead)
    microsoft = Microsoft(tenant="contoso.example", client=CLIENT, graph=address)
    quota = Quota(folder / FILE, "contoso.example", clock)
    graph = Graph(microsoft, http, lambda *_: TOKEN, quota, clock, jitter=lambda: 0.5)
    return Outside(clock, folder, http, lambda is_backfill: replace(graph, is_backfill=is_backfill))


def read_once(lake: Lake, pull: Pull, time: SharedTime) -> Outcome | None:
    """Read what is new; None when Microsoft was out of order."""
    try:
        return run_source(lake, "traces", pull, time.now)
    except SourceError:
        return None


def read_until(
    busy: datetime, end: datetime, every: timedelta, outside: Outside, time: SharedTime, page_size: int
) -> None:
    """Read every so often until `end`, a quarter as often when nothing new comes any more after `busy`."""
    pull = pull_of(Settings(page_size=page_size, start="1d"), outside)
    with Lake.open(outside.folder / "lake") as lake:
        while time.now() < end:
            read_once(lake, pull, time)
            step = every.total_seconds() * (1 if time.now() < busy else 4)
            time.pass_(step - time.seconds % step)


def main() -> None:
    """Read as the JSON on the command line says."""
    asked = json.loads(sys.argv[1])
    folder = Path(asked["folder"])
    time = SharedTime(folder / "time")
    with httpx.Client(trust_env=False) as http:
        outside = outside_at(asked["address"], time, folder, http, timedelta(seconds=asked["ahead_s"]))
        every = timedelta(seconds=asked["every_s"])
        busy, end = (datetime.fromisoformat(asked[name]) for name in ("busy", "end"))
        read_until(busy, end, every, outside, time, asked["page_size"])


if __name__ == "__main__":
    main()
