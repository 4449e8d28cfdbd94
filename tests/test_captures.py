"""
Genuine logs of real mail programs that met the refusal, held against what they really met.

Programs and logs are real; the far end was a stand-in for Exchange Online that gave Microsoft's documented answer, each
with an id of its own, at every stage of SMTP. `truth.json` is what the stand-in wrote down. A program can hide an
answer, and then nothing can be found: the table in docs/captures.md says how much each one shows.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pipeline.following import pull
from pipeline.model import Notice
from pipeline.reading import read
from pipeline.recognise import recognise
from pipeline.unpack import unpacked

ROOT = Path(__file__).parents[1]
CAPTURES = ROOT / "tests" / "fixtures" / "captures"
TABLE = ROOT / "docs" / "captures.md"
LOGS = sorted(CAPTURES.glob("*/*.xz"))
STAGES = ("auth", "mail_from", "rcpt_to", "data")
_ID = re.compile(r"\b08DE[0-9A-F]{12}\b")
_ECHO = "relay=none"  # Postfix repeats an old answer for mail that it did not try


@dataclass(frozen=True, slots=True)
class Capture:
    """One log: what was answered, which of it stands in the log, and what was read."""

    answers: dict[str, dict[str, Any]]
    visible: set[str]
    rows: list[dict[str, Any]]

    @property
    def refusals(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["reply_class"] == "basic_retired" and row["kind"] == "try"]

    @property
    def found(self) -> set[str]:
        return {row["request_id"] for row in self.refusals if row["request_id"]}


@cache
def capture_of(log: Path) -> Capture:
    answers = {each["request_id"]: each for each in json.loads((log.parent / "truth.json").read_text("utf-8"))}
    with unpacked(log) as content:
        text = content.read(1 << 30).decode("utf-8", "replace")
    seen = {found for line in text.splitlines() if _ECHO not in line for found in _ID.findall(line)}
    return Capture(answers, seen & answers.keys(), rows_of(log))


def rows_of(log: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    carry: dict[str, Any] = {}
    for found in pull([str(log)], {}, recognise, UTC, to_the_end=True):
        assert not isinstance(found, Notice), found
        parsed = read(found.format, found.chunk, carry)
        carry = json.loads(json.dumps(parsed.carry))
        rows += [row for table in parsed.tables.values() for row in table.to_pylist() if "reply_class" in row]
    return rows


def name_of(log: Path) -> str:
    return f"{log.parent.name}/{log.stem}"


@pytest.mark.parametrize("log", LOGS, ids=name_of)
def test_every_answer_that_stands_in_a_log_is_found_and_none_is_invented(log: Path) -> None:
    capture = capture_of(log)

    assert capture.found == capture.visible


@pytest.mark.parametrize("log", LOGS, ids=name_of)
def test_what_a_log_does_not_say_is_unknown_and_what_is_said_is_true(log: Path) -> None:
    capture = capture_of(log)

    for row in capture.refusals:
        answer = capture.answers.get(row["request_id"])
        if answer:
            assert row["stage"] in {answer["stage"], "unknown"}
            assert row["sender"] in {answer["sender"], answer["user"], None, ""}  # a bounce has no sender
            assert row["auth_user"] in {answer["user"], None}


def test_the_table_of_what_each_program_shows_is_that_of_the_documentation(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{table()}")  # noqa: T201 - the table is what people run this for

    assert table() in TABLE.read_text("utf-8")


def table() -> str:
    """Return found/true for each log and stage, as Markdown."""
    lines = ["| log | " + " | ".join(STAGES) + " | sender told |", "|---|" + "---:|" * (len(STAGES) + 1)]
    lines += [line_of(log) for log in LOGS]
    return "\n".join(lines)


def line_of(log: Path) -> str:
    capture = capture_of(log)
    true = Counter(answer["stage"] for answer in capture.answers.values())
    found = Counter(capture.answers[each]["stage"] for each in capture.found)
    told = {row["request_id"] for row in capture.refusals if row["sender"] is not None}
    cells = [f"{found[stage]}/{true[stage]}" for stage in STAGES]
    return f"| {name_of(log)} | {' | '.join(cells)} | {len(told & capture.found)}/{len(capture.found)} |"


if __name__ == "__main__":
    print(table())  # noqa: T201
