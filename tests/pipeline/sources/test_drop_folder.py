from __future__ import annotations

import gzip
import os
import zipfile
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from pipeline.ingest import run_source
from pipeline.lake import Lake
from pipeline.model import Notice
from pipeline.needs import Age
from pipeline.sources.drop_folder import Settings, ages, ages_of, check, newest_in, pull_of, stale
from tests.conftest import counts
from tests.pipeline.objects.storage import NOON, Collector

SAMPLES = Path(__file__).parents[3] / "sample_data"
REPORT = (SAMPLES / "smtp_auth_report" / "eac_export.csv").read_bytes()
EXPOSURE = (SAMPLES / "mailbox_exposure" / "casmailbox_windows_powershell.csv").read_bytes()

hour, day, second = (timedelta(**{unit: 1}) for unit in ("hours", "days", "seconds"))

Drop = Callable[..., Path]
Collect = Callable[..., Collector]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "drop").mkdir()
    return tmp_path / "drop"


@pytest.fixture
def drop(folder: Path) -> Drop:
    def put(name: str, body: bytes = REPORT, ago: timedelta = hour) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        written = (NOON - ago).timestamp()
        os.utime(path, (written, written))
        return path

    return put


@pytest.fixture
def collect(folder: Path, tmp_path: Path) -> Collect:
    def collector(**changes: Any) -> Collector:
        return Collector(tmp_path / "state", partial(pull_of, settings_of(folder=folder, zone="UTC", **changes)))

    return collector


def settings_of(**table: Any) -> Settings:
    return TypeAdapter(Settings).validate_python(table)


def test_each_file_is_read_once_and_stays_where_it_is(drop: Drop, collect: Collect) -> None:
    path = drop("SmtpAuth.csv")
    collector = collect()
    first = collector.pull()

    second = collector.pull()

    assert (first, second) == (REPORT, b"")
    assert collector.pulled == []
    assert path.read_bytes() == REPORT


def test_files_in_folders_below_are_read_and_archives_are_opened(drop: Drop, collect: Collect) -> None:
    drop("2026/12/exposure.csv", EXPOSURE)
    with zipfile.ZipFile(archive := drop("week.zip", b""), "w") as opened:
        opened.writestr("SmtpAuth.csv", REPORT)
    os.utime(archive, ((NOON - hour).timestamp(),) * 2)
    collector = collect()

    collector.pull()

    assert {found.format for found in collector.pulled} == {"mailbox_exposure", "smtp_auth_report"}
    assert any(origin.endswith("week.zip!/SmtpAuth.csv") for origin in collector.origins)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_powershell_exports_is_read(encoding: str, drop: Drop, collect: Collect) -> None:
    drop("exposure.csv", EXPOSURE.decode("utf-8-sig").encode(encoding))
    collector = collect()

    collector.pull()

    assert [found.format for found in collector.pulled] == ["mailbox_exposure"]


def test_a_file_that_was_replaced_is_read_again(drop: Drop, collect: Collect) -> None:
    drop("SmtpAuth.csv", ago=2 * hour)
    collector = collect()
    collector.pull()
    longer = REPORT + REPORT.splitlines(keepends=True)[-1]
    drop("SmtpAuth.csv", longer)

    again = collector.pull()

    assert again == longer


@pytest.mark.parametrize("ago", [timedelta(0), 29 * second, -5 * 60 * second])
def test_a_file_that_may_still_be_written_waits(ago: timedelta, drop: Drop, collect: Collect) -> None:
    drop("SmtpAuth.csv", ago=ago)
    collector = collect()
    early = collector.pull()
    collector.now += 10 * 60 * second

    later = collector.pull()

    assert (early, later) == (b"", REPORT)


def test_a_file_from_the_far_future_is_read_and_is_not_newer_than_now(drop: Drop, collect: Collect) -> None:
    drop("SmtpAuth.csv", ago=-400 * day)
    collector = collect()

    body = collector.pull()

    assert body == REPORT
    assert newest_in(collector.position) == {"smtp_auth_report": NOON}


@pytest.mark.parametrize(
    "name",
    ["a.csv.tmp", "A.CSV.TMP", "a.csv.part", "~$a.csv", ".a.csv", "a.crdownload", "a.csv.filepart", ".snapshot/a.csv"],
)
def test_a_file_that_says_by_its_name_that_it_is_unfinished_is_never_read(
    name: str, drop: Drop, collect: Collect
) -> None:
    drop(name)
    collector = collect()

    body = collector.pull()

    assert (body, collector.notices) == (b"", [])


def test_no_link_is_followed(folder: Path, collect: Collect, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.csv").write_bytes(REPORT)
    (folder / "file.csv").symlink_to(outside / "secret.csv")
    (folder / "folder").symlink_to(outside, target_is_directory=True)
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "nowhere.csv").symlink_to(folder / "not there")
    collector = collect()

    body = collector.pull()

    assert body == b""
    assert len(collector.notices) == 4
    assert all("is a link, which is not followed" in each.sentence for each in collector.notices)


def test_pipes_are_left_alone(folder: Path, collect: Collect) -> None:
    os.mkfifo(folder / "pipe.csv")
    collector = collect()

    body = collector.pull()

    assert body == b""


def test_what_is_no_export_is_said(drop: Drop, collect: Collect) -> None:
    drop("notes.pdf", b"%PDF-1.7\n\x00\x00\x00\x00")
    collector = collect()

    collector.pull()

    assert [notice.is_foreign for notice in collector.notices] == [True]


def test_a_missing_folder_is_said_with_what_to_do(collect: Collect, folder: Path) -> None:
    folder.rmdir()
    collector = collect(expect={"smtp_auth_report": "1d"})

    collector.pull()

    assert (
        "drop does not exist; make it, and let people and `deploy/export-job.ps1` write into it" in collector.sentences
    )
    assert "there was no export of smtp_auth_report yet" in collector.sentences


# Age


def test_an_expected_export_that_is_fresh_is_not_mentioned(drop: Drop, collect: Collect) -> None:
    drop("SmtpAuth.csv", ago=23 * hour)
    collector = collect(expect={"smtp_auth_report": "1d"})

    collector.pull()

    assert collector.notices == []


def test_a_stale_export_is_a_failure_that_names_format_age_and_what_to_do(drop: Drop, collect: Collect) -> None:
    drop("SmtpAuth.csv", ago=2 * day)
    collector = collect(expect={"smtp_auth_report": "1d", "mailbox_exposure": "7d"})

    collector.pull()

    missing, old = collector.notices
    assert (missing.is_failure, old.is_failure) == (True, True)
    assert missing.sentence.startswith(
        "there was no export of mailbox_exposure yet, which is expected every 7 days; see"
    )
    assert old.sentence.startswith("the newest export of smtp_auth_report is 2 days old and may be 1 day old; see that")
    assert "`deploy/export-job.ps1`" in old.sentence


def test_the_newest_time_outlives_the_file(drop: Drop, collect: Collect) -> None:
    path = drop("SmtpAuth.csv", ago=hour)
    collector = collect(expect={"smtp_auth_report": "1d"})
    collector.pull()
    path.unlink()
    for number in range(150):  # more than are remembered of files that are gone
        drop(f"{number}.csv", EXPOSURE + b"%d" % number, ago=2 * hour).unlink()
    collector.now += 12 * hour

    collector.pull()
    still = collector.notices
    collector.now += day
    collector.pull()

    assert still == []
    assert "is 1 day 13 h old" in collector.sentences


def test_an_export_that_says_the_same_as_the_one_before_is_fresh_all_the_same(drop: Drop, collect: Collect) -> None:
    drop("week1.csv", ago=3 * day)
    collector = collect(expect={"smtp_auth_report": "1d"})
    collector.pull()
    before = collector.notices
    drop("week2.csv", ago=hour)

    body = collector.pull()

    assert len(before) == 1
    assert (body, collector.notices) == (b"", [])


def test_an_export_that_was_cut_off_is_not_fresh(drop: Drop, collect: Collect) -> None:
    drop("SmtpAuth.csv.gz", gzip.compress(REPORT * 50)[:-30], ago=hour)
    collector = collect(expect={"smtp_auth_report": "1d"})

    collector.pull()

    assert "there was no export of smtp_auth_report yet" in collector.sentences


def test_ages_are_told_from_a_position_or_from_the_folder(drop: Drop, collect: Collect, folder: Path) -> None:
    drop("SmtpAuth.csv", ago=2 * day)
    drop("old.csv", ago=3 * day)
    settings = settings_of(folder=folder, expect={"smtp_auth_report": "1d", "mailbox_exposure": "7d"})
    collector = collect()
    collector.pull()

    by_position = ages_of(settings, newest_in(collector.position))
    by_folder = ages(settings, NOON)

    assert by_position == by_folder
    assert by_folder == [
        Age("mailbox_exposure", folder, None, 7 * day),
        Age("smtp_auth_report", folder, NOON - 2 * day, day),
    ]
    assert [each.is_stale(NOON) for each in by_folder] == [True, True]


def test_nothing_is_stale_at_its_limit_and_a_clock_that_was_set_back_makes_nothing_stale() -> None:
    settings = settings_of(folder="/srv/drop", expect={"smtp_auth_report": "1d"})
    at_limit, past = {"smtp_auth_report": NOON - day}, {"smtp_auth_report": NOON - day - second}

    assert stale(settings, at_limit, NOON) == []
    assert stale(settings, {"smtp_auth_report": NOON + hour}, NOON) == []
    assert [isinstance(each, Notice) for each in stale(settings, past, NOON)] == [True]


def test_a_position_stored_by_the_lake_is_read_again(lake: Lake, drop: Drop, collect: Collect) -> None:
    drop("SmtpAuth.csv", ago=hour)
    collector = collect(expect={"smtp_auth_report": "1d"})
    pull = collector.source(collector.outside)

    first = run_source(lake, "drop", pull, lambda: NOON)
    second = run_source(lake, "drop", pull, lambda: NOON)

    assert (first.failures, second.failures) == ([], [])
    assert (first.chunks, second.chunks) == (1, 0)
    assert counts(lake)["usage"] > 0


# Settings


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"expect": {"smtp_auth_repor": "1d"}}, "did you mean 'smtp_auth_report'?"),
        ({"expect": {"smtp_auth_report": "0s"}}, "'smtp_auth_report' may be nothing old"),
        ({"expect": {"postfix": "1d"}}, "no 'postfix' in pipeline formats"),
        ({"zone": "Mars"}, "no time zone 'Mars'"),
    ],
)
def test_wrong_settings_are_complained_about(changes: dict[str, Any], complaint: str) -> None:
    complaints = check(settings_of(folder="/srv/drop", **changes))

    assert [complaint in each for each in complaints] == [True]


def test_right_settings_are_not() -> None:
    settings = settings_of(folder="/srv/drop", expect={"smtp_auth_report": "1d", "mailbox_exposure": "7d"}, settle="1m")

    assert check(settings) == []
    assert settings.expect["mailbox_exposure"] == timedelta(days=7)
