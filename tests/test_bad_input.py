"""Bad input gets a sentence that names place and mend; the rest of the run goes on, and nothing is lost."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import pytest

from tests.cli import SAMPLE_DATA, SETTINGS, authsunset, lake_of, mails_in, settings_in

GOOD = SAMPLE_DATA / "postfix" / "refused_at_mail_from.log"
GOOD_SENDER = "ticket@fabrikam.example"


def a_binary_file(path: Path) -> None:
    path.write_bytes(os.urandom(1 << 16) + b"\x00" * 100)


def an_empty_file(path: Path) -> None:
    path.write_bytes(b"")


def a_truncated_gz(path: Path) -> None:
    whole = gzip.compress((SAMPLE_DATA / "relay02" / "mail.iso.log").read_bytes())
    path.write_bytes(whole[: len(whole) // 2])


def a_line_of_ten_megabytes(path: Path) -> None:
    good = (SAMPLE_DATA / "relay02" / "mail.iso.log").read_bytes()
    path.write_bytes(good + b"x" * 10_000_000 + b"\n" + good.splitlines(keepends=True)[-1])


def a_log_of_an_unknown_kind(path: Path) -> None:
    path.write_text("2026-11-23 somebody did something\n" * 100)


BAD = [a_binary_file, an_empty_file, a_truncated_gz, a_line_of_ten_megabytes, a_log_of_an_unknown_kind]


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_a_bad_file_never_spoils_the_good_one_beside_it(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    settings = settings_in(tmp_path)
    shutil.copy(GOOD, tmp_path / "logs" / "mail.log")
    make(tmp_path / "logs" / "mail.log.bad")

    ran = authsunset("-c", settings, "ingest", cwd=tmp_path)

    with lake_of(settings) as lake:
        found = lake.rows("SELECT sender FROM deliveries WHERE reply_class = 'basic_retired'")
    assert GOOD_SENDER in {row["sender"] for row in found}
    assert "mail.log.bad" in ran.err
    assert ran.code == (0 if make in {an_empty_file, a_line_of_ten_megabytes} else 1)


def test_a_run_with_a_bad_file_goes_on_to_findings_and_messages_and_says_that_it_failed(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    shutil.copy(GOOD, tmp_path / "logs" / "mail.log")
    a_log_of_an_unknown_kind(tmp_path / "logs" / "mail.log.bad")

    ran = authsunset("-c", settings, "run", "--once", cwd=tmp_path)

    with lake_of(settings) as lake:
        assert GOOD_SENDER in {row["sender"] for row in lake.rows("SELECT sender FROM findings")}
    assert mails_in(tmp_path)
    assert (ran.code, "mail.log.bad" in ran.err) == (1, True)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (a_binary_file, "is not text"),
        (an_empty_file, "is empty"),
        (a_truncated_gz, "copy the file again"),
        (a_line_of_ten_megabytes, "quarantine"),
        (a_log_of_an_unknown_kind, "no kind that we know"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_the_sentence_names_the_file_and_the_mend(make, words: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "odd.log")

    ran = authsunset("scan", "odd.log", cwd=tmp_path)

    assert "odd.log" in ran.err
    assert words in ran.err
    assert ran.code == (0 if make in {an_empty_file, a_line_of_ten_megabytes} else 1)


def test_a_truncated_gz_keeps_what_came_before_and_is_a_gap(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    a_truncated_gz(tmp_path / "logs" / "mail.log.1.gz")

    authsunset("-c", settings, "ingest", cwd=tmp_path)
    authsunset("-c", settings, "ingest", cwd=tmp_path)

    with lake_of(settings) as lake:
        rows = lake.rows("SELECT (SELECT count(*) FROM deliveries) AS rows, cause FROM gaps")
    assert len(rows) == 1
    assert rows[0]["rows"] > 10
    assert "cut off" in rows[0]["cause"]


def test_a_line_of_ten_megabytes_is_in_quarantine_and_its_neighbours_in_the_lake(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    a_line_of_ten_megabytes(tmp_path / "logs" / "mail.log")

    authsunset("-c", settings, "ingest", cwd=tmp_path)

    with lake_of(settings) as lake:
        [row] = lake.rows("SELECT octet_length(raw) AS kept, reason FROM quarantine")
        assert lake.one("SELECT count(*) FROM deliveries") > 10
    assert 0 < row["kept"] <= 1 << 20
    assert row["reason"]


def test_settings_with_a_typo_name_file_line_and_mend(tmp_path: Path) -> None:
    settings = settings_in(
        tmp_path, SETTINGS.replace("paths =", "pathss =").replace('folder = "{folder}/mail"', 'foldr = "{folder}/mail"')
    )

    ran = authsunset("-c", settings, "config", "check", cwd=tmp_path)

    assert ran.code == 78
    assert (
        f"authsunset.toml:{_line_of(settings, 'pathss')} [source.relay]: unknown key 'pathss'; did you mean 'paths'?"
        in ran.err
    )
    assert (
        f"authsunset.toml:{_line_of(settings, 'foldr')} [channel.oncall]: unknown key 'foldr'; did you mean 'folder'?"
        in ran.err
    )
    assert authsunset("-c", settings, "run", "--once", cwd=tmp_path).code == 78


def test_good_settings_are_called_fine(tmp_path: Path) -> None:
    ran = authsunset("-c", settings_in(tmp_path), "config", "check", cwd=tmp_path)

    assert ran.code == 0
    assert "is fine" in ran.err


@pytest.mark.parametrize(
    "command", [["run", "--once"], ["senders"], ["lake", "status"], ["query", "refusals"], ["config", "check"]]
)
def test_without_settings_a_sentence_says_where_they_were_looked_for(command: list[str], tmp_path: Path) -> None:
    ran = authsunset("-c", tmp_path / "missing.toml", *command, cwd=tmp_path)

    assert ran.code == 78
    assert "missing.toml" in ran.err


def test_reading_commands_say_that_there_is_no_lake_yet(tmp_path: Path) -> None:
    ran = authsunset("-c", settings_in(tmp_path), "senders", cwd=tmp_path)

    assert ran.code == 1
    assert "there is no lake yet" in ran.err


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    ran = authsunset("scan", "nowhere.log", cwd=tmp_path)

    assert ran.code == 1
    assert "nowhere.log" in ran.err


def _line_of(path: Path, word: str) -> int:
    return next(number for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1) if word in line)
