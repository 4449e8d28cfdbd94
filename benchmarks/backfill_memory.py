"""
Bring millions of traces into a new lake, page by page as Graph gives them, and tell the time and the largest memory.

    python -m benchmarks.backfill_memory 5_000_000

The pages are made up here; parsing, keeping, the daily sums and the cursor are those of a backfill.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.ingest import run_source
from pipeline.lake import Lake
from pipeline.model import Window
from pipeline.windowed import Feed, Page, backfill_of

START = datetime(2026, 10, 1, tzinfo=UTC)
NOW = datetime(2026, 12, 20, tzinfo=UTC)
PAGE_ROWS = 5_000
DAYS = 60


def feed_of(rows: int) -> Feed:
    """Return a feed with so many traces in 60 days, evenly spread."""
    step = timedelta(days=DAYS) / rows

    def page(window: Window, link: str | None) -> Page:
        first, end = (max(0, -int((START - each) // step)) for each in (window.start, window.end))
        begin = int(link) if link else first
        last = min(end, begin + PAGE_ROWS)
        body = json.dumps({"value": [record(number, START + number * step) for number in range(begin, last)]})
        return Page(body.encode(), str(last) if last < end else None, NOW)

    return Feed(
        name="message traces",
        format="graph_message_trace",
        table="traces",
        origin="graph:contoso.example/messageTraces",
        page=page,
        now=lambda: NOW,
        longest=timedelta(days=10),
        history=timedelta(days=90),
    )


def record(number: int, received_at: datetime) -> dict[str, object]:
    """Return one trace as Graph lists it."""
    return {
        "id": f"{number:08x}-48cb-e80d-e8c0-196330437ae6",
        "senderAddress": f"device{number % 997}@contoso.example",
        "recipientAddress": f"user{number % 7919}@contoso.example",
        "messageId": f"<{number}.d9683b4c@contoso.example>",
        "receivedDateTime": f"{received_at:%Y-%m-%dT%H:%M:%SZ}",
        "subject": "Quarterly Report",
        "size": 45_678,
        "fromIP": f"192.0.2.{number % 255}",
        "toIP": "",
        "status": "delivered",
    }


def largest_mib() -> float:
    """Return the largest memory this program has had so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Fill a lake and print how it went."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000
    with tempfile.TemporaryDirectory() as folder, Lake.open(Path(folder) / "lake") as lake:
        begun = time.monotonic()
        window = Window(START, START + timedelta(days=DAYS))
        outcome = run_source(
            lake, "traces", backfill_of([feed_of(rows)], window, lambda: False), lambda: NOW, errand="backfill"
        )
        seconds = time.monotonic() - begun
        there = lake.one("SELECT count(*) FROM traces")
    print(f"{there:,} traces in {outcome.chunks:,} pages and {seconds:,.0f} s; largest memory {largest_mib():,.0f} MiB")


if __name__ == "__main__":
    main()
