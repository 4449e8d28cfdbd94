"""The command line as a person meets it: what is printed, where, and with which exit code."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli import COMMANDS
from tests.cli import SAMPLE_DATA, authsunset, lake_of, mails_in, settings_in
from tests.conftest import counts

RELAY01 = SAMPLE_DATA / "relay01"
REFUSED = SAMPLE_DATA / "postfix" / "refused_at_mail_from.log"
TRUTH = json.loads((RELAY01 / "truth.json").read_text("utf-8"))
TRUE_SENDERS = {answer["sender"] for answer in TRUTH}


def relay01_in(folder: Path, name: str = "mail.iso.log") -> None:
    (folder / "logs").mkdir(exist_ok=True)
    shutil.copy(RELAY01 / f"{name}.1.gz", folder / "logs" / "mail.log.1.gz")
    shutil.copy(RELAY01 / name, folder / "logs" / "mail.log")


@pytest.fixture(scope="module")
def ran_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the settings of a folder in which one cycle has run; the tests only read it."""
    folder = tmp_path_factory.mktemp("ran_once")
    relay01_in(folder)
    settings = settings_in(folder)
    assert authsunset("-c", settings, "run", "--once", cwd=folder).code == 0
    return settings


def bytes_of(settings: Path) -> dict[Path, bytes]:
    """Return what the lake holds; SQLite keeps notes for readers beside its file, which a reader makes."""
    files = (path for path in (settings.parent / "lake").rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files if not path.name.endswith(("-shm", "-wal"))}


def test_scan_prints_the_refused_senders_and_no_others(tmp_path: Path) -> None:
    relay01_in(tmp_path)

    ran = authsunset("scan", "logs", "--format", "json", cwd=tmp_path)

    rows = [row for row in json.loads(ran.out) if row["detection"] == "rejection/basic_auth_refused"]
    assert ran.code == 0
    assert {row["sender"] for row in rows} == TRUE_SENDERS
    for row in rows:
        mine = [answer for answer in TRUTH if answer["sender"] == row["sender"]]
        assert row["refusals"] == len({answer["request_id"] for answer in mine})
        assert row["mails"] == len({answer["queue_id"] for answer in mine})
        assert row["way_out"]
        assert row["rescuable"] == 0  # the log goes on until the queue is empty
        assert row["lost"] >= 1
    assert list(tmp_path.iterdir()) == [tmp_path / "logs"], "nothing is kept"


def test_scan_knows_what_can_still_be_rescued(tmp_path: Path) -> None:
    relay01_in(tmp_path)
    log = tmp_path / "logs" / "mail.log"
    until = log.read_bytes().split(b"2026-11-23T18:24:4")[0]  # before the queue gives up
    log.write_bytes(until[: until.rindex(b"\n") + 1])

    rows = json.loads(authsunset("scan", "logs", "--format", "json", cwd=tmp_path).out)

    assert sum(row["rescuable"] for row in rows) > 0


def test_scan_shows_a_table_with_the_way_out_and_hints_on_demand(tmp_path: Path) -> None:
    shutil.copy(REFUSED, tmp_path / "mail.log")

    table = authsunset("scan", "mail.log", cwd=tmp_path)
    hints = authsunset("scan", "mail.log", "--hints", cwd=tmp_path)

    assert "way_out" in table.out
    assert "What it means" not in table.out
    assert "What it means" in hints.out
    assert "postconf" in hints.out


def test_scan_of_a_healthy_folder_says_so_and_what_it_cannot_see(tmp_path: Path) -> None:
    shutil.copy(SAMPLE_DATA / "postfix" / "accepted_by_exchange_online.log", tmp_path / "mail.log")

    ran = authsunset("scan", ".", "--exit-code", cwd=tmp_path)

    assert ran.code == 0
    assert "No sender is refused" in ran.out
    assert "logs nowhere" in ran.out


def test_exit_code_tells_of_findings(tmp_path: Path) -> None:
    shutil.copy(REFUSED, tmp_path / "mail.log")

    assert authsunset("scan", "mail.log", "--exit-code", "--format", "csv", cwd=tmp_path).code == 1


def test_parse_reads_several_files_as_one_log_whatever_their_order(tmp_path: Path) -> None:
    relay01_in(tmp_path)

    ran = authsunset("parse", "logs/mail.log", "logs/mail.log.1.gz", "--format", "ndjson", cwd=tmp_path)

    rows = [json.loads(line) for line in ran.out.splitlines()]
    refused = [row for row in rows if row.get("kind") == "try" and row["reply_class"] == "basic_retired"]
    assert ran.code == 0
    assert {row["request_id"] for row in refused} == {answer["request_id"] for answer in TRUTH}
    assert {row["sender"] for row in refused} == TRUE_SENDERS


@pytest.mark.parametrize("format", ["json", "ndjson", "csv", "md", "table"])
def test_rows_print_in_each_format(format: str, tmp_path: Path) -> None:
    ran = authsunset("parse", REFUSED, "--format", format, cwd=tmp_path)

    assert ran.code == 0
    assert "ticket@fabrikam" in ran.out.replace("\\", "")
    if format == "csv":
        assert len(list(csv.DictReader(io.StringIO(ran.out)))) == 5


def test_run_once_twice_adds_no_row_and_sends_nothing(ran_once: Path, tmp_path: Path) -> None:
    with lake_of(ran_once) as lake:
        before, senders = counts(lake), lake.one("SELECT count(DISTINCT sender) FROM findings")
    mails = mails_in(ran_once.parent)
    assert len(mails) == senders

    second = authsunset("-c", ran_once, "run", "--once", cwd=tmp_path)

    assert second.code == 0
    assert "nothing new" in second.err
    with lake_of(ran_once) as lake:
        assert counts(lake) == before
    assert mails_in(ran_once.parent) == mails


def test_rotation_between_two_runs_is_read_as_one_log(ran_once: Path, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    log = tmp_path / "logs" / "mail.log"
    log.write_bytes(gzip.decompress((RELAY01 / "mail.iso.log.1.gz").read_bytes()))
    authsunset("-c", settings, "ingest", cwd=tmp_path)

    relay01_in(tmp_path)
    authsunset("-c", settings, "ingest", cwd=tmp_path)

    in_two = authsunset("-c", settings, "lake", "hash", cwd=tmp_path)
    at_once = authsunset("-c", ran_once, "lake", "hash", cwd=tmp_path)
    assert (in_two.code, in_two.out) == (0, at_once.out)


def test_senders_lists_states_and_tells_all_of_one(ran_once: Path, tmp_path: Path) -> None:
    listed = json.loads(authsunset("-c", ran_once, "senders", "--format", "json", cwd=tmp_path).out)
    one = authsunset("-c", ran_once, "senders", "veeam@fabrikam.example", cwd=tmp_path)
    none = authsunset("-c", ran_once, "senders", "nobody@contoso.example", cwd=tmp_path)

    assert {row["sender"] for row in listed if row["state"] in {"refused", "partly_refused"}} >= TRUE_SENDERS
    assert "It is over when" in one.out
    assert (none.code, none.out) == (1, "")


def test_saved_queries_and_sql_read_the_lake(ran_once: Path, tmp_path: Path) -> None:
    listed = authsunset("-c", ran_once, "query", cwd=tmp_path)
    refusals = authsunset(
        "-c",
        ran_once,
        "query",
        "refusals",
        "-p",
        "since=2026-11-01",
        "-p",
        "sender=veeam%",
        "--format",
        "json",
        cwd=tmp_path,
    )
    sql = authsunset(
        "-c", ran_once, "query", "--sql", "SELECT count(*) AS n FROM deliveries", "--format", "csv", cwd=tmp_path
    )
    wrong = authsunset("-c", ran_once, "query", "refusal", cwd=tmp_path)

    assert "near_misses" in listed.out
    assert {row["sender"] for row in json.loads(refusals.out)} == {"veeam@fabrikam.example"}
    assert int(sql.out.split()[1]) > 100
    assert wrong.code == 1
    assert "refusals" in wrong.err


@pytest.mark.parametrize(
    "attack",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "COPY (SELECT 1) TO '/tmp/authsunset-attack.csv'",
        "COPY (SELECT 1) TO '{lake}/catalog.sqlite' (FORMAT csv)",
        "COPY (SELECT 1) TO '{lake}/data/main/deliveries/x.parquet'",
        "EXPORT DATABASE '{lake}/export'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{lake}/catalog.sqlite' (FORMAT csv)",
        "SELECT 1; DELETE FROM deliveries",
        "",
        "ATTACH '/tmp/authsunset-attack.db'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "DELETE FROM deliveries",
        "CREATE TABLE lake.x (a INTEGER)",
        "SELECT getenv('HOME')",
    ],
)
def test_sql_cannot_leave_or_change_the_lake(attack: str, ran_once: Path, tmp_path: Path) -> None:
    before = bytes_of(ran_once)
    lake = (ran_once.parent / "lake").as_posix()

    ran = authsunset("-c", ran_once, "query", "--sql", attack.format(lake=lake), cwd=tmp_path)

    assert ran.code == 1
    assert "refused or failed" in ran.err
    assert bytes_of(ran_once) == before


def test_rules_list_show_and_test(tmp_path: Path) -> None:
    listed = authsunset("rules", "list", "--format", "json", cwd=tmp_path)
    shown = authsunset("rules", "show", "basic_auth_refused", cwd=tmp_path)
    tested = authsunset("rules", "test", "basic_auth_refused", cwd=tmp_path)
    unknown = authsunset("rules", "show", "nothing", cwd=tmp_path)

    assert "rejection/basic_auth_refused" in {row["id"] for row in json.loads(listed.out)}
    assert shown.out.startswith("/*---")
    assert tested.code == 0
    assert "cases pass" in tested.out
    assert (unknown.code, "there is" in unknown.err) == (1, True)


def test_demo_runs_the_whole_pipeline_into_a_folder(tmp_path: Path) -> None:
    ran = authsunset("demo", "--into", "out", cwd=tmp_path)

    assert ran.code == 0
    assert "refused  " in ran.out
    assert "does_still" in ran.out
    assert list((tmp_path / "out" / "mail").glob("*.eml"))
    assert list((tmp_path / "out" / "pages").glob("*.html"))
    assert [each.name for each in tmp_path.iterdir()] == ["out"]
    again = authsunset("demo", "--into", "out", cwd=tmp_path)
    assert again.out == ran.out


def test_demo_spares_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")

    ran = authsunset("demo", "--into", "mine", cwd=tmp_path)

    assert ran.code == 2
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["scan", "--help"],
        ["rules", "--help"],
        ["lake", "hash", "--help"],
        ["--version"],
        ["completion", "bash"],
    ],
)
def test_help_answers(command: list[str], tmp_path: Path) -> None:
    ran = authsunset(*command, cwd=tmp_path)

    assert ran.code == 0
    assert ran.out


def test_an_unknown_command_gets_a_hint_and_exit_code_2(tmp_path: Path) -> None:
    ran = authsunset("scann", cwd=tmp_path)

    assert ran.code == 2
    assert "Did you mean 'scan'?" in ran.err


def test_scan_that_can_read_nothing_does_not_call_that_health(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").write_text("buy a scanner that knows OAuth\n" * 50)

    ran = authsunset("scan", "notes", cwd=tmp_path)

    assert ran.code == 1
    assert "nothing was read" in ran.err
    assert "No sender is refused" not in ran.out
    assert "tells nothing about any sender" in ran.out


def test_a_verdict_on_part_of_the_files_says_that_it_is_one(tmp_path: Path) -> None:
    shutil.copy(SAMPLE_DATA / "postfix" / "accepted_by_exchange_online.log", tmp_path / "mail.log")

    ran = authsunset("scan", "mail.log", "missing.log", cwd=tmp_path)

    assert ran.code == 1
    assert "and not all could" in ran.out


def test_an_empty_log_is_not_called_health(tmp_path: Path) -> None:
    (tmp_path / "mail.log").touch()

    ran = authsunset("scan", "mail.log", cwd=tmp_path)

    assert "No sender is refused" not in ran.out


def test_scan_as_the_wrong_format_says_so(tmp_path: Path) -> None:
    ran = authsunset("scan", RELAY01 / "mail.iso.log", "--as", "exchange_smtp", cwd=tmp_path)

    assert ran.code == 1
    assert "is it the right format?" in ran.err


def test_looking_into_the_lake_needs_no_secret_of_a_channel(ran_once: Path, tmp_path: Path) -> None:
    secret = '\n[channel.hook]\nkind = "webhook"\nurl = { env = "AUTHSUNSET_NO_SUCH_VARIABLE" }\n'
    settings = ran_once.with_name("with_secret.toml")
    settings.write_text(ran_once.read_text("utf-8") + secret, "utf-8")

    assert authsunset("-c", settings, "senders", cwd=tmp_path).code == 0
    assert authsunset("-c", settings, "lake", "hash", cwd=tmp_path).code == 0
    assert authsunset("-c", settings, "run", "--once", cwd=tmp_path).code == 78


def test_the_lake_is_beside_its_settings_wherever_we_are_started(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    settings.write_text(settings.read_text("utf-8").replace(f"{tmp_path.as_posix()}/lake", "lake"), "utf-8")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    relay01_in(tmp_path)

    authsunset("-c", settings, "ingest", cwd=elsewhere)

    assert (tmp_path / "lake" / "catalog.sqlite").exists()
    assert list(elsewhere.iterdir()) == []


def test_a_full_disk_under_stdout_is_a_sentence() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", "parse", str(RELAY01 / "mail.iso.log"), "--format", "ndjson"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=SAMPLE_DATA.parent,
        )

    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_each_help_keeps_its_examples_on_lines_of_their_own(command: tuple[str, ...], tmp_path: Path) -> None:
    said = authsunset(*command, "--help", cwd=tmp_path).out

    assert "\\b" not in said
    assert "\b" not in said


@pytest.mark.parametrize("arguments", [("scan", "-v", "."), ("scan", ".", "--verbose")])
def test_options_of_the_whole_program_may_stand_behind_the_command(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00")

    assert "picture.png" in authsunset(*arguments, cwd=tmp_path).err
    assert "picture.png" not in authsunset("scan", ".", cwd=tmp_path).err


def test_a_settings_file_may_be_named_behind_the_command(tmp_path: Path) -> None:
    for arguments in (("lake", "status", "-c", "none.toml"), ("lake", "--config=none.toml", "status")):
        ran = authsunset(*arguments, cwd=tmp_path)

        assert ran.code == 78
        assert "none.toml" in ran.err


def test_what_follows_two_dashes_is_a_path(tmp_path: Path) -> None:
    assert "no such" in authsunset("scan", "--", "-v", cwd=tmp_path).err.lower()
