"""
Hold the state of every sender against the truth of simulated tenants, day by day.

`python -m benchmarks.sender_states --seeds 1-20` lets each tenant live through its cutover: every morning the files of
the day before are put in place and read, and who went silent is asked, as the service would. At the end the states are
held against the truth, and every alarm of a silent sender against what that sender really did at the time.

What an all-knowing observer could not tell from the files (`may_also_be` in the truth) counts for neither side and is
printed. So do two kinds of which two things are true: a sender without any rhythm that has stopped in fact, and one
that never used a password and gets in by another way. Exits 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pipeline.lake import Lake
from pipeline.service import Service
from pipeline.settings import load
from queries.states import senders

TARGETS = {"refused": 0.99, "does_still": 0.99, "migrated": 0.99, "went_silent": 0.95}
"""Least precision and recall; `migrated` and `verified` are one answer, and the days between them are a definition."""
MOST_FALSE_ALARMS = 1.0
"""Of silence, for 400 senders and a month."""
NO_SENDERS = ("person", "relay_account")
"""People, who are the background, and accounts that relays log in with, which send nothing as themselves."""
SILENCE = "silence/went_silent"
SILENT = "went_silent"
SAME = {"verified": "migrated"}
SETTINGS = """\
[lake]
folder = "{folder}/lake"

[tenant]
domains = ["contoso.example"]

[source.relays]
kind = "files"
paths = ["{folder}/logs/*/*"]
zone = "Europe/Berlin"

[source.exports]
kind = "drop_folder"
folder = "{folder}/exports"
settle = "0s"
"""


@dataclass(slots=True)
class Score:
    """What came out for one tenant, or for several."""

    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)  # (truth, said)
    unsure: int = 0
    false_alarms: int = 0
    alarms: int = 0
    sender_months: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Score) -> None:
        """Take in what came out for another tenant."""
        self.pairs += other.pairs
        self.unsure += other.unsure
        self.false_alarms += other.false_alarms
        self.alarms += other.alarms
        self.sender_months += other.sender_months
        self.wrong += other.wrong

    @property
    def false_alarms_a_month(self) -> float:
        """False alarms for 400 senders and a month."""
        return self.false_alarms / self.sender_months * 400 if self.sender_months else 0.0

    def wrongly_said(self, state: str) -> int:
        """How many are said to be in `state` and are not."""
        return sum(count for (one, other), count in self.pairs.items() if other == state and one != state)

    def overlooked(self, state: str) -> int:
        """How many are in `state` and are said to be in another."""
        return sum(count for (one, other), count in self.pairs.items() if one == state and other != state)

    def precision(self, state: str) -> float | None:
        """Of those said to be in `state`, the share that is."""
        said = sum(count for (_, other), count in self.pairs.items() if other == state)
        return self.pairs[state, state] / said if said else None

    def recall(self, state: str) -> float | None:
        """Of those in `state`, the share that is said to be."""
        are = sum(count for (one, _), count in self.pairs.items() if one == state)
        return self.pairs[state, state] / are if are else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tenants that the command line names; print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1-20", help="such as 1-20 or 3,7")
    parser.add_argument("--senders", type=int, default=400)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--step-days", type=float, default=1.0, help="how often all is read and asked")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="tenants at once")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    parser.add_argument("--keep", type=Path, help="keep tenants and lakes in this folder")
    parser.add_argument("--verbose", "-v", action="store_true", help="name each sender that is judged wrong")
    given = parser.parse_args(arguments)
    total = Score()
    with ThreadPoolExecutor(given.jobs) as pool:
        for score in pool.map(lambda seed: _run(seed, given), seeds_of(given.seeds)):
            total.add(score)
    print(table_of(total))
    if given.json:
        given.json.write_text(json.dumps(figures_of(total), indent=1) + "\n", "utf-8")
    missed = misses_of(total)
    print("\n".join(missed) or "every target is reached")
    return 1 if missed else 0


def _run(seed: int, given: argparse.Namespace) -> Score:
    """Run one tenant and tell how it went."""
    began = time.perf_counter()
    with _folder(given.keep, seed) as folder:
        score = run_tenant(folder, seed, given.senders, given.days, timedelta(days=given.step_days))
    told = (
        f"seed {seed}: {sum(score.pairs.values())} senders judged, {score.unsure} left out, "
        f"{score.false_alarms} of {score.alarms} alarms of silence false, {time.perf_counter() - began:.0f} s"
    )
    print("\n".join([told, *(score.wrong if given.verbose else [])]), file=sys.stderr, flush=True)
    return score


def seeds_of(text: str) -> list[int]:
    """Return the seeds that '1-3,7' names."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def run_tenant(folder: Path, seed: int, count: int, days: int, step: timedelta) -> Score:
    """Let one tenant live, and return how it was judged."""
    world, live = folder / "world", folder / "live"
    simulate = [sys.executable, "-m", "pipeline", "--quiet", "simulate", "--seed", str(seed), "--days", str(days)]
    words = [*simulate, "--senders", str(count), "--out", str(world)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own program, with numbers of ours
    settings = live / "authsunset.toml"
    for each in ("logs", "exports"):
        (live / each).mkdir(parents=True, exist_ok=True)
    settings.write_text(SETTINGS.format(folder=live.as_posix()), "utf-8")
    truth = [json.loads(line) for line in (world / "truth.jsonl").read_text("utf-8").splitlines()]
    mornings = [*_mornings(world, step)]
    for now, files in mornings:
        for file in files:
            _put(world, live, file)
        service = Service(load(settings), now=lambda now=now: now)  # type: ignore[misc]
        with service.lake() as lake:
            _, failures = service.ingest(lake)
            _, more = service.detect(lake, (SILENCE,))
            for failure in [*failures, *more]:
                print(f"seed {seed}, {now:%Y-%m-%d}: {failure}", file=sys.stderr)
            if now.weekday() == 0:
                service.maintain(lake)
    with Lake.open(live / "lake", read_only=True) as lake:
        states = {row["sender"]: row for row in senders(lake)}
        alarms = lake.rows(
            "SELECT sender, min(noted_at) AS noted_at, min(first_seen) AS since FROM findings "
            "WHERE detection = ? AND state = 'open' GROUP BY sender, episode ORDER BY ALL",
            [SILENCE],
        )
    return judged(seed, truth, states, alarms, mornings[0][0], mornings[-1][0])


def judged(
    seed: int,
    truth: Iterable[Mapping[str, Any]],
    states: Mapping[str, Mapping[str, Any]],
    alarms: Iterable[Mapping[str, Any]],
    first: datetime,
    last: datetime,
) -> Score:
    """Hold what was said against what is so."""
    score = Score()
    by_sender = {row["sender"]: row for row in truth}
    submitters = {sender: row for sender, row in by_sender.items() if row["category"] not in NO_SENDERS}
    for sender, row in submitters.items():
        is_so, said = row["state"], states.get(sender, {}).get("state", "unknown")
        may_also_be = [*row["may_also_be"], *_just_as_well(row, last)]
        if may_also_be and said != is_so:
            score.unsure += 1
            if said not in may_also_be:
                score.wrong.append(f"  seed {seed} {sender}: unsure {is_so} or {may_also_be}, said {said}")
            continue
        one, other = SAME.get(is_so, is_so), SAME.get(said, said)
        score.pairs[one, other] += 1
        if one != other:
            score.wrong.append(f"  seed {seed} {sender}: is {is_so}, said {said} ({row['path']}, {row['rhythm']})")
    score.sender_months = len(submitters) * (last - first) / timedelta(days=30)
    for alarm in alarms:
        score.alarms += 1
        row = by_sender.get(alarm["sender"], {})
        if not _was_silent(row, alarm["noted_at"]):
            score.false_alarms += 1
            score.wrong.append(
                f"  seed {seed} {alarm['sender']}: false alarm on {alarm['noted_at']:%Y-%m-%d} of a silence since "
                f"{alarm['since']:%Y-%m-%d} ({row.get('category')}, {row.get('rhythm')}, {row.get('notes')})"
            )
    return score


def _just_as_well(row: Mapping[str, Any], last: datetime) -> list[str]:
    """Return what may be said of a sender besides, because two answers are true of it."""
    found = [SILENT] if row["is_irregular"] and _was_silent(row, last) else []
    if not row["basic_successes"]["first"] and not row["refused"]["first"]:
        found += ["migrated", "verified"]  # it never used a password, and its mail gets in by another way
    return found


def _was_silent(row: Mapping[str, Any], at: datetime) -> bool:
    """Return whether the sender had stopped by then, whatever the reason: refused, dead, retired, or mail missed."""
    ends = [row.get("died_at"), row.get("retired_on_purpose"), *(row.get("missed_mails") or [])[:1]]
    if row and not row["logged_answers_with_sender"]:
        ends.append(row["refused"]["first"])
    return any(datetime.fromisoformat(end) <= at for end in ends if end)


def _mornings(world: Path, step: timedelta) -> Iterator[tuple[datetime, list[dict[str, Any]]]]:
    files = [json.loads(line) for line in (world / "manifest.jsonl").read_text("utf-8").splitlines()]
    waiting = sorted(files, key=lambda file: file["available_at"])
    now = datetime.fromisoformat(waiting[0]["available_at"]).replace(hour=9, minute=0, second=0)
    while waiting:
        due = [file for file in waiting if datetime.fromisoformat(file["available_at"]) <= now]
        waiting = waiting[len(due) :]
        yield now, due
        now += step


def _put(world: Path, live: Path, file: Mapping[str, Any]) -> None:
    target = live / file["path"]
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(world / file["path"], target)
    written = datetime.fromisoformat(file["available_at"]).astimezone(UTC).timestamp()
    os.utime(target, (written, written))


def table_of(score: Score) -> str:
    """Return precision and recall of each state, and the alarms of silence, as Markdown."""
    states = sorted({state for pair in score.pairs for state in pair})
    lines = ["| state | senders | precision | recall | target |", "|---|---|---|---|---|"]
    for state in states:
        are = sum(count for (one, _), count in score.pairs.items() if one == state)
        target = f"{TARGETS[state]:.2f}" if state in TARGETS else ""
        lines.append(
            f"| {state} | {are} | {_share(score.precision(state))} | {_share(score.recall(state))} | {target} |"
        )
    confusions = ", ".join(f"{one} said {other}: {n}" for (one, other), n in score.pairs.most_common() if one != other)
    return "\n".join(
        [
            *lines,
            "",
            f"Judged wrong: {confusions or 'none'}.",
            f"Left out, because the files do not tell: {score.unsure}.",
            f"False alarms of silence: {score.false_alarms} of {score.alarms}, which is "
            f"{score.false_alarms_a_month:.2f} for 400 senders and a month (at most {MOST_FALSE_ALARMS:.0f}).",
        ]
    )


def figures_of(score: Score) -> dict[str, Any]:
    """Return the figures behind the table."""
    return {
        "pairs": {f"{one} said {other}": count for (one, other), count in score.pairs.items()},
        "left_out": score.unsure,
        "false_alarms_a_month": score.false_alarms_a_month,
    }


def misses_of(score: Score) -> list[str]:
    """Return a sentence for each target that is missed; where a state is rare, one sender may be wrong."""
    missed = [
        f"missed: {name} of {state} is {value:.4f}, and should be {target} or more"
        for state, target in TARGETS.items()
        for name, value, wrong in (
            ("precision", score.precision(state), score.wrongly_said(state)),
            ("recall", score.recall(state), score.overlooked(state)),
        )
        if value is not None and value < target and wrong > 1
    ]
    if score.false_alarms_a_month > MOST_FALSE_ALARMS:
        missed.append(f"missed: {score.false_alarms_a_month:.2f} false alarms of silence for 400 senders and a month")
    return missed


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


@contextmanager
def _folder(keep: Path | None, seed: int) -> Iterator[Path]:
    """Yield a folder for one tenant, which is taken away again unless it is to be kept."""
    made = keep / str(seed) if keep else Path(tempfile.mkdtemp(prefix="authsunset-"))
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    try:
        yield made
    finally:
        if not keep:
            shutil.rmtree(made)


if __name__ == "__main__":
    sys.exit(main())
