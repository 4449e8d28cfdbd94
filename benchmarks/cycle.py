"""
What a cycle of the whole catalogue costs on lakes of different sizes, with the same few new rows in each.

    python -m benchmarks.cycle --rows 1_000_000 10_000_000 --new 5_000

Each lake is as `benchmarks.years_of_mail` makes it, and every detection has looked at it once. Then so many rows are
committed, one in fifty of them late, the way an ingest does it, and the whole catalogue is asked; the lakes take turns,
so that a busy machine slows them alike; with `--clock cpu` it is what the processor did that is told, which others on
it hardly change. The first round warms up and is not counted. A detection has a budget on the largest lake: a
hundredth of the time between two of its turns, and two seconds at most.

Lakes stay under --into and are used again; --delete takes them away at the end.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.years_of_mail import END, SHARES, build, bytes_in, rows_for, spare
from pipeline.ingest import keep_rows
from pipeline.lake import Lake
from pipeline.model import Chunk, Pulled
from queries.asked import last_asked
from queries.detect import detect
from queries.detection import Detection, detections
from queries.history import latest
from queries.published import publish
from queries.senders import facts_of

ROUND = timedelta(minutes=10)
LATE_BY = timedelta(days=7)
ONE_IN_LATE = 50
TARGET = 2.0
MOST_BUDGET_S = 2.0
KEEP, FACTS, LATEST = "(keep the new rows)", "(facts of what is open)", "(what is open)"
CLOCKS: Mapping[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
_FOUND = Pulled(Chunk(b"", "bench"), "postfix", "bench", {})


@dataclass(slots=True)
class Ground:
    """One lake, open, with the rounds that it has been through and what each thing took in them, in seconds."""

    rows: int
    folder: Path
    lake: Lake
    rounds: int
    clock: Callable[[], float]
    took: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def budget_of(detection: Detection) -> float:
    """Return how many seconds `detection` may take on the largest lake."""
    return min(detection.every.total_seconds() / 100, MOST_BUDGET_S)


def first_look(lake: Lake, catalogue: Sequence[Detection]) -> None:
    """Let each detection look at all there is, or from now on where that would take one query for each half hour."""
    for each in catalogue:
        begun = time.process_time()
        if each.fires_for_one:
            detect(lake, each, END)
            print(f"  {each.id}: {time.process_time() - begun:.1f} s", file=sys.stderr, flush=True)
        else:
            row = {
                "name": f"detection {each.id}",
                "state": json.dumps({"snapshot": lake.snapshot()}),
                "updated_at": END,
            }
            with lake.writing():
                lake.insert("cursors", [row])


def one_round(ground: Ground, catalogue: Sequence[Detection], new: int) -> None:
    """Commit new rows and ask the whole catalogue; note what each took."""
    now = END + ROUND * (ground.rounds + 1)
    _timed(ground, KEEP, lambda: keep_new(ground, new))
    for each in catalogue:
        _timed(ground, each.id, lambda each=each: detect(ground.lake, each, now))  # type: ignore[misc]
    _timed(ground, LATEST, lambda: latest(ground.lake))
    is_open = [noted for noted in latest(ground.lake) if noted.is_open and noted.sender]
    _timed(ground, FACTS, lambda: facts_of(ground.lake, is_open))
    ground.rounds += 1
    (ground.folder / "rounds").write_text(str(ground.rounds))


def keep_new(ground: Ground, new: int) -> None:
    """Commit `new` deliveries of the next ten minutes, and what belongs to them, as an ingest does."""
    begin = END + ROUND * ground.rounds
    step = ROUND.total_seconds() / new
    moment = (
        f"TIMESTAMPTZ '{begin.isoformat()}' + to_microseconds(CAST((i % {new}) * {step} * 1e6 AS BIGINT))"
        f" - to_seconds(CASE WHEN h % {ONE_IN_LATE} = 0 THEN h % {int(LATE_BY.total_seconds())} ELSE 0 END)"
    )
    for table, share in {name: share for name, share in SHARES.items() if name != "quarantine"}.items():
        first = ground.rows * 10 + ground.rounds * new * 10
        rows = rows_for(ground.lake, table, first - first % new, int(new * share), moment)
        with ground.lake.writing():
            keep_rows(
                ground.lake,
                table,
                rows.drop_columns(["source", "format", "origin", "ingested_at"]),
                "relay0",
                _FOUND,
                begin + ROUND,
            )


def _timed(ground: Ground, what: str, act: Callable[[], object]) -> None:
    begun = ground.clock()
    act()
    ground.took[what].append(ground.clock() - begun)


def results(grounds: Sequence[Ground], catalogue: Sequence[Detection]) -> dict[str, Any]:
    """Return what each thing took on each lake, in milliseconds, and how much longer on the largest."""
    budgets = {each.id: budget_of(each) for each in catalogue}
    lines = [_line(what, grounds, budgets.get(what)) for what in [*budgets, KEEP, LATEST, FACTS]]
    whole = [
        median(sum(ground.took[each.id][number] for each in catalogue) for number in _counted(ground))
        for ground in grounds
    ]
    return {
        "rows": [ground.rows for ground in grounds],
        "rounds": len(_counted(grounds[0])),
        "detections": lines,
        "whole": {"ms": [round(each * 1000, 1) for each in whole], "ratio": round(whole[-1] / whole[0], 2)},
        "target": TARGET,
    }


def _line(what: str, grounds: Sequence[Ground], budget: float | None) -> dict[str, Any]:
    took = [median(ground.took[what][number] for number in _counted(ground)) for ground in grounds]
    return {
        "what": what,
        "ms": [round(each * 1000, 1) for each in took],
        "ratio": round(took[-1] / took[0], 2),
        "budget_ms": round(budget * 1000) if budget else None,
        "is_over": bool(budget and took[-1] > budget),
    }


def _counted(ground: Ground) -> range:
    """Return the numbers of the rounds that count: all but the first."""
    return range(1, len(ground.took[KEEP]))


def table_of(found: Mapping[str, Any]) -> str:
    """Return `found` for people."""
    sizes = "".join(f"{rows:>15,}" for rows in found["rows"])
    lines = [f"{'':34}{sizes}   ratio   budget", f"{'':34}{'ms'.rjust(15) * len(found['rows'])}"]
    for each in [*found["detections"], {"what": "the whole catalogue", **found["whole"]}]:
        took = "".join(f"{ms:>15,.1f}" for ms in each["ms"])
        budget = f"{each['budget_ms']:>9,}" if each.get("budget_ms") else ""
        lines.append(f"{each['what']:34}{took}{each['ratio']:>8.2f}{budget}{' OVER' if each.get('is_over') else ''}")
    return "\n".join(lines)


def ground_of(
    stack: ExitStack, into: Path, rows: int, catalogue: Sequence[Detection], clock: Callable[[], float]
) -> Ground:
    """Return the lake of so many rows, made now where it is not there yet."""
    folder = into / f"{rows}"
    if not (folder / "rounds").exists():
        shutil.rmtree(folder, ignore_errors=True)
        begun = time.perf_counter()
        build(folder / "lake", rows, lambda sentence: print(f"{rows:,}: {sentence}", file=sys.stderr, flush=True))
        seconds, size = time.perf_counter() - begun, bytes_in(folder) / 1e9
        print(f"{rows:,}: made in {seconds:,.0f} s, {size:.1f} GB", file=sys.stderr, flush=True)
        (folder / "rounds").write_text("0")
    lake = stack.enter_context(Lake.open(folder / "lake"))
    publish(lake)
    spare(lake, folder / "lake")
    begun = time.perf_counter()
    first_look(lake, [each for each in catalogue if each.id not in last_asked(lake)])
    print(f"{rows:,}: looked at once in {time.perf_counter() - begun:,.0f} s", file=sys.stderr, flush=True)
    return Ground(rows, folder, lake, int((folder / "rounds").read_text()), clock)


def main() -> int:
    """Make the lakes, go round, and print what it took; return 1 where the catalogue or a detection costs too much."""
    parser = argparse.ArgumentParser(description="What a cycle of all detections costs on lakes of different sizes.")
    parser.add_argument("--rows", nargs="+", type=int, default=[1_000_000, 10_000_000, 100_000_000])
    parser.add_argument("--new", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--into", type=Path, default=Path(tempfile.gettempdir()) / "authsunset-cycle")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--only", nargs="*", default=[], help="ids of detections; all, when left out")
    parser.add_argument("--json", type=Path, help="write the results here too")
    parser.add_argument("--delete", action="store_true", help="take the lakes away at the end")
    asked = parser.parse_args()
    catalogue = [each for each in detections() if not asked.only or each.id in asked.only]
    with ExitStack() as stack:
        grounds = [ground_of(stack, asked.into, rows, catalogue, CLOCKS[asked.clock]) for rows in sorted(asked.rows)]
        for _ in range(asked.rounds + 1):
            for ground in grounds:
                one_round(ground, catalogue, asked.new)
        found = results(grounds, catalogue)
    print(table_of(found))
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2))
    if asked.delete:
        shutil.rmtree(asked.into)
    is_over = found["whole"]["ratio"] > TARGET or any(each["is_over"] for each in found["detections"])
    return int(is_over)


if __name__ == "__main__":
    sys.exit(main())
