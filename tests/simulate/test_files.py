from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

from pipeline.simulate.tenant import simulate
from tests.simulate.tenants import SMALL, jsonl, read_all, tenant

REFUSALS = {"basic_retired", "basic_disabled", "smtpauth_off_mailbox", "smtpauth_off_tenant"}


def digests(folder: Path) -> dict[str, tuple[str, int]]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in paths
    }


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    first, _ = tenant()

    simulate(SMALL, tmp_path)

    without_times = {"manifest.jsonl", "truth.jsonl", "world.json"}
    before, again = digests(first), digests(tmp_path)
    assert {name: digest for name, (digest, _) in before.items()} == {name: d for name, (d, _) in again.items()}
    assert all(before[name] == again[name] for name in before if name not in without_times)


def test_the_manifest_lists_every_file_in_the_order_in_which_they_come() -> None:
    folder, _ = tenant()

    entries = jsonl(folder / "manifest.jsonl")

    times = [entry["available_at"] for entry in entries]
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert times == sorted(times)
    assert len(entries) == len({entry["path"] for entry in entries})
    assert {entry["path"] for entry in entries} == there - {"manifest.jsonl", "truth.jsonl", "world.json"}


def test_every_file_is_recognised_as_what_it_is() -> None:
    folder, _ = tenant()
    read = read_all()

    expected = {str(folder / entry["path"]): entry["format"] for entry in jsonl(folder / "manifest.jsonl")}

    assert read.formats == expected


def test_every_line_and_record_can_be_read() -> None:
    read = read_all()

    assert read.rejects == []
    assert read.notices == []


def test_the_logs_show_as_many_refusals_of_each_sender_as_the_truth_says() -> None:
    _, story = tenant()
    answers = {
        (row["sender"], row["request_id"])
        for row in read_all().rows["deliveries"]
        if row["kind"] == "try" and row["reply_class"] in REFUSALS and row["sender"]
    }

    found = Counter(sender for sender, _ in answers)

    told = {
        each["sender"]: each["logged_answers_with_sender"]
        for each in story.truth
        if each["category"] != "relay_account" and each["logged_answers_with_sender"]
    }
    assert found == told
    assert len(told) > 3


def test_the_report_counts_every_mail_that_got_in_with_a_password() -> None:
    _, story = tenant()
    rows = {row["event_id"]: row for row in read_all().rows["usage"] if row["report"] == "smtp_cs_report"}
    found: Counter[str] = Counter()
    for row in rows.values():
        found[row["sender"]] += row["messages"] * (row["auth_protocol"] == "basic")

    told = {
        each["sender"]: each["basic_successes"]["count"]
        for each in story.truth
        if each["basic_successes"]["count"] and each["category"] != "relay_account"
    }
    assert +found == told


def test_the_last_mail_of_a_sender_that_got_in_is_in_a_trace() -> None:
    _, story = tenant()
    last: dict[str, str] = {}
    for row in read_all().rows["traces"]:
        seen = f"{row['received_at']:%Y-%m-%dT%H:%M:%SZ}"
        last[row["sender"]] = max(last.get(row["sender"], ""), seen)

    told = {
        each["sender"]: each["last_mail_in"]
        for each in story.truth
        if each["last_mail_in"] and each["way_now"] != "acs" and each["category"] != "relay_account"
    }
    assert {sender: last.get(sender) for sender in told} == told


def test_failures_of_attackers_are_sign_ins_until_basic_has_ended() -> None:
    _, story = tenant()

    failed = [row for row in read_all().rows["signins"] if row["outcome"] == "rejected"]

    after = [row for row in failed if f"{row['event_time']:%Y-%m-%dT%H:%M:%SZ}" > story.world["cutover"]]
    assert len(failed) == story.counts["failed_log_ins"] > 0
    assert story.world["mode"] == "at_once"
    assert after == []
