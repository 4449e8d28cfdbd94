"""The commands that look after the lake, as a person meets them: gaps, quarantine, audit, maintain, purge."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest

from pipeline.lake.audit import audit
from pipeline.lake.hash import hash_of
from tests.cli import SAMPLE_DATA, authsunset, lake_of, settings_in

BROKEN = b"\xffno header \x1b[2J of a line that names anna@contoso.example\n"


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return settings of a lake with evidence, one line in quarantine, and one gap."""
    folder = tmp_path_factory.mktemp("lake")
    settings = settings_in(folder)
    log = folder / "logs" / "mail.log"
    shutil.copy(SAMPLE_DATA / "postfix" / "refused_at_mail_from.log", log)
    with log.open("ab") as growing:
        growing.write(BROKEN)
    packed = gzip.compress((SAMPLE_DATA / "relay01" / "mail.iso.log").read_bytes())
    (folder / "logs" / "mail.log.1.gz").write_bytes(packed[: len(packed) // 2])
    authsunset("-c", settings, "ingest", cwd=folder)
    return settings


def run(settings: Path, *arguments: str, code: int = 0) -> tuple[str, str]:
    ran = authsunset("-c", settings, *arguments, cwd=settings.parent)
    assert ran.code == code, ran.err
    return ran.out, ran.err


def test_gaps_say_what_is_missing_and_why(ingested: Path) -> None:
    out, _ = run(ingested, "gaps", "--format", "json")
    [gap] = json.loads(out)

    assert gap["source"] == "relay"
    assert gap["origin"].endswith("mail.log.1.gz")
    assert "copy the file again" in gap["cause"]
    run(ingested, "gaps", "--exit-code", code=1)


def test_of_a_source_that_is_none_nobody_says_that_nothing_is_missing(ingested: Path) -> None:
    settings = ingested.parent / "two.toml"
    settings.write_text(f'{ingested.read_text("utf-8")}[source.new]\nkind = "files"\npaths = ["/var/log/no*"]\n')

    _, typo = run(ingested, "gaps", "--source", "realy", code=2)
    _, other = run(ingested, "gaps", "--source", "scanners", "--format", "json", code=2)

    assert "there is no source 'realy'; there is relay; did you mean 'relay'?" in typo
    assert "there is no source 'scanners'; there is relay\n" in other
    run(ingested, "gaps", "--source", "relay", "--exit-code", code=1)
    assert run(settings, "gaps", "--source", "new", "--exit-code") == ("", "nothing is known to be missing\n")


def test_a_source_that_does_not_get_through_is_said_beside_the_gaps(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    run(settings, "run", "--once", code=1)  # there is no log

    _, err = run(settings, "gaps", "--exit-code")
    (tmp_path / "logs" / "mail.log").write_bytes((SAMPLE_DATA / "postfix" / "refused_at_mail_from.log").read_bytes())
    run(settings, "run", "--once")
    _, over = run(settings, "gaps", "--source", "relay")

    assert "source relay has not got through since 20" in err
    assert "mail.log* names no file" in err
    assert "nothing else is known to be missing" in err
    assert over == "nothing is known to be missing\n"


def test_quarantine_lists_each_record_with_its_place_and_reason_and_no_terminal_escapes(ingested: Path) -> None:
    out, err = run(ingested, "quarantine", "list")
    [row] = json.loads(run(ingested, "quarantine", "list", "--format", "json")[0])

    assert "\x1b" not in out
    assert "1 in quarantine" in err
    assert row["origin"].endswith("mail.log")
    assert row["reason"] == "has no syslog header that we know"
    assert "no header" in row["raw"]


def test_what_was_read_adds_up(ingested: Path) -> None:
    out, err = run(ingested, "lake", "audit", "--format", "json")

    assert all(check["holds"] for check in json.loads(out))
    assert "equations hold" in err


def test_an_audit_that_does_not_add_up_ends_with_1(ingested: Path, tmp_path: Path) -> None:
    shutil.copytree(ingested.parent, tmp_path / "copy")
    settings = settings_in(tmp_path / "copy")
    run(settings, "lake", "maintain")
    for file in (tmp_path / "copy" / "lake" / "data" / "main" / "deliveries").rglob("*.parquet"):
        file.unlink()

    _, err = run(settings, "lake", "audit", code=1)

    assert "do not hold" in err


def test_maintain_says_what_it_did_and_leaves_the_evidence_as_it_is(ingested: Path) -> None:
    with lake_of(ingested) as lake:
        before = hash_of(lake)

    _, first = run(ingested, "lake", "maintain")
    _, again = run(ingested, "lake", "maintain")

    assert "written from the catalog into files" in first
    assert "snapshots" not in again
    with lake_of(ingested) as lake:
        assert hash_of(lake) == before
        assert all(check.holds for check in audit(lake))


def test_a_replay_reads_what_was_put_right(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    log = tmp_path / "logs" / "mail.log"
    good = (SAMPLE_DATA / "postfix" / "refused_at_mail_from.log").read_bytes()
    log.write_bytes(good.replace(b" relay", b"", 1) + BROKEN)
    run(settings, "ingest")
    log.write_bytes(good)

    _, err = run(settings, "quarantine", "replay")

    assert "2 records tried, 1 read at last" in err
    [left] = json.loads(run(settings, "quarantine", "list", "--format", "json")[0])
    assert "no header" in left["raw"]  # no file holds it any more, so nobody has read it
    run(settings, "lake", "audit")


def test_reasons_add_up_what_is_in_quarantine(ingested: Path) -> None:
    [row] = json.loads(run(ingested, "quarantine", "reasons", "--format", "json")[0])

    assert (row["records"], row["reason"]) == (1, "has no syslog header that we know")
    assert "no header" in row["first"]
    assert "quarantine replay" in run(ingested, "quarantine", "reasons")[1]


def test_a_purge_asks_first_and_then_leaves_nothing(ingested: Path, tmp_path: Path) -> None:
    shutil.copytree(ingested.parent, tmp_path / "copy")
    settings = settings_in(tmp_path / "copy")
    sender = json.loads(run(settings, "query", "refusals", "-p", "since=2026-01-01", "--format", "json")[0])[0][
        "sender"
    ]

    _, asked = run(settings, "lake", "purge", sender, code=130)
    _, done = run(settings, "lake", "purge", sender, "--yes")

    assert "cannot be undone" in asked
    assert "removed or blanked" in done
    with lake_of(settings) as lake:
        assert lake.one("SELECT count(*) FROM deliveries WHERE sender = ?", [sender]) == 0


def test_settings_name_a_table_whose_rows_may_go(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    text = settings.read_text("utf-8")
    settings.write_text(text.replace("[tenant]", 'keep = { delivery = "400d" }\n\n[tenant]'), "utf-8")

    ran = authsunset("-c", settings, "config", "check", cwd=tmp_path)

    assert ran.code == 78
    assert "no table 'delivery' of which old rows may go; did you mean 'deliveries'?" in ran.err + ran.out
    settings.write_text(text.replace("[tenant]", 'keep = { deliveries = "400d", reads = "2y" }\n\n[tenant]'), "utf-8")
    assert "is no span of time" in authsunset("-c", settings, "config", "check", cwd=tmp_path).err
