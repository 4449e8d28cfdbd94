"""What could not be read is read at last: from its file where that is there, else by itself."""

from __future__ import annotations

import gzip
from datetime import UTC
from pathlib import Path

from pipeline.ingest import run_source
from pipeline.lake import Lake
from pipeline.lake.audit import audit
from pipeline.replay import replay
from pipeline.sources.files import Settings, pull_of
from tests.conftest import NOW

CLIENT = b"2026-12-30T08:00:00Z relay postfix/smtpd[7]: A1B2C3D4E5: client=mfp.contoso.example[192.0.2.9]\n"
QUEUED = b"2026-12-30T08:00:00Z relay postfix/qmgr[7]: A1B2C3D4E5: from=<scan@contoso.example>, size=1, nrcpt=1 (q)\n"
DELIVERY = (
    b"2026-12-30T08:00:01Z relay postfix/smtp[7]: A1B2C3D4E5: to=<ops@contoso.example>, "
    b"relay=smtp.office365.com[203.0.113.7]:587, delay=1, delays=0/0/1/0, dsn=5.7.30, status=bounced (host "
    b"smtp.office365.com[203.0.113.7] said: 550 5.7.30 Basic authentication is not supported for Client Submission. "
    b"[A.PROD.OUTLOOK.COM 2026-12-30T08:00:01.000Z 08DE2811AAAA0001] (in reply to MAIL FROM command))\n"
)
BROKEN = b"no header: " + DELIVERY


def ingest(lake: Lake, log: Path) -> None:
    run_source(lake, "relay", pull_of(Settings(paths=(str(log),), zone="UTC")), lambda: NOW)


def quarantined(lake: Lake) -> int:
    return int(lake.one("SELECT count(*) FROM quarantine"))


def test_a_record_whose_file_was_put_right_comes_with_its_session(lake: Lake, tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_bytes(CLIENT + QUEUED + BROKEN)
    ingest(lake, log)
    log.write_bytes(CLIENT + QUEUED + DELIVERY)

    done = replay(lake, NOW, lambda _source: UTC)

    assert (done.tried, done.read, done.rows) == (1, 1, 1)
    assert quarantined(lake) == 0
    assert lake.rows("SELECT sender, client_ip, request_id, format FROM deliveries") == [
        {
            "sender": "scan@contoso.example",
            "client_ip": "192.0.2.9",
            "request_id": "08DE2811AAAA0001",
            "format": "postfix",
        }
    ]
    assert all(check.holds for check in audit(lake))


def test_a_record_whose_file_is_gone_is_read_by_itself(lake: Lake, tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_bytes(CLIENT + BROKEN)
    ingest(lake, log)
    log.unlink()
    with lake.writing():  # as an older version left it, which could not read such a line
        lake.connection.execute("UPDATE quarantine SET raw = ?", [DELIVERY.rstrip()])

    done = replay(lake, NOW, lambda _source: UTC)

    assert (done.tried, done.read, done.rows) == (1, 1, 1)
    assert lake.one("SELECT request_id FROM deliveries") == "08DE2811AAAA0001"
    assert all(check.holds for check in audit(lake))


def test_what_still_cannot_be_read_stays_and_a_second_replay_adds_nothing(lake: Lake, tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_bytes(CLIENT + QUEUED + DELIVERY + BROKEN)
    ingest(lake, log)

    for _ in range(2):
        done = replay(lake, NOW, lambda _source: UTC)

        assert (done.tried, done.read, done.rows) == (1, 0, 0)
    assert quarantined(lake) == 1
    assert all(check.holds for check in audit(lake))


def test_a_record_stays_when_another_log_has_taken_the_place_of_its_file(lake: Lake, tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_bytes(CLIENT + b"half a line, and nobody knows of what\n")
    ingest(lake, log)
    log.write_bytes(CLIENT.replace(b"A1B2C3D4E5", b"0FFFFFFFFF") * 20)

    done = replay(lake, NOW, lambda _source: UTC)

    assert (done.tried, done.read) == (1, 0)
    assert quarantined(lake) == 1
    assert all(check.holds for check in audit(lake))


def test_a_record_is_read_from_the_part_that_rotation_has_made_of_its_file(lake: Lake, tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_bytes(CLIENT + QUEUED + BROKEN)
    ingest(lake, log)
    (tmp_path / "mail.log.1.gz").write_bytes(gzip.compress(CLIENT + QUEUED + DELIVERY))
    log.write_bytes(CLIENT.replace(b"A1B2C3D4E5", b"0FFFFFFFFF") * 20)

    done = replay(lake, NOW, lambda _source: UTC)

    assert (done.tried, done.read, done.rows) == (1, 1, 1)
    assert lake.one("SELECT client_ip FROM deliveries") == "192.0.2.9"
    assert quarantined(lake) == 0


def test_a_record_that_says_nothing_by_itself_stays(lake: Lake, tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_bytes(CLIENT + BROKEN)
    ingest(lake, log)
    log.unlink()
    with lake.writing():
        lake.connection.execute("UPDATE quarantine SET raw = ?", [CLIENT.rstrip()])

    assert replay(lake, NOW, lambda _source: UTC).read == 0
    assert quarantined(lake) == 1


def test_of_several_records_only_those_that_are_read_leave(lake: Lake, tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    other = b"half a line, and nobody knows of what\n"
    log.write_bytes(CLIENT + QUEUED + other + BROKEN)
    ingest(lake, log)
    log.write_bytes(CLIENT + QUEUED + other + DELIVERY)

    done = replay(lake, NOW, lambda _source: UTC)

    assert (done.tried, done.read, done.rows) == (2, 1, 1)
    assert lake.rows("SELECT raw FROM quarantine") == [{"raw": other.rstrip()}]
    assert all(check.holds for check in audit(lake))
