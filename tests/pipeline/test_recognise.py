"""A file is known by its content: each sample by its own format, and anything else by none."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.kinds import find, known
from pipeline.recognise import HEAD_BYTES, Kind, always, kind_of, recognise

SAMPLE_DATA = Path(__file__).parents[2] / "sample_data"
RELAYS = sorted(path for folder in ("relay01", "relay02") for path in (SAMPLE_DATA / folder).glob("mail*"))
REFUSED = (
    "A1B2C3D4E5: to=<ops@contoso.example>, relay=smtp.office365.com[203.0.113.7]:587, delay=2.1, delays=0/0/2/0, "
    "dsn=4.7.30, status=deferred (SASL authentication failed; server smtp.office365.com[203.0.113.7] said: 550 5.7.30)"
)
CRON = b"Nov 23 18:00:01 relay cron[7]: (root) CMD (true)\n"


@pytest.mark.parametrize("path", RELAYS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_log_of_a_relay_is_known_behind_any_header(path: Path) -> None:
    body = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()

    assert recognise(body[:HEAD_BYTES]) == Kind("log", is_whole=False)


@pytest.mark.parametrize(
    "line",
    [
        "Nov 23 18:24:02 relay postfix/master[1]: daemon started -- version 3.7.11, configuration /etc/postfix",
        "<22>Nov 23 18:24:02 relay postfix-o365/submission/smtpd[1]: connect from unknown[192.0.2.9]",
        "<22>1 2026-11-23T18:24:02Z relay postfix 1 - - connect from unknown[192.0.2.9]",
        f"2026-11-23T18:24:02Z relay out-eu/smtp[1]: {REFUSED}",
        f"<22>1 2026-11-23T18:24:02Z relay out-eu 1 - - {REFUSED}",
        "<22>1 2026-11-23T18:24:02Z relay out-eu 1 - - A1B2C3D4E5: client=unknown[192.0.2.9]",
        "<22>1 2026-11-23T18:24:02Z relay out-eu 1 - - A1B2C3D4E5: from=<a@b.example>, size=9, nrcpt=1 (queue active)",
    ],
)
def test_one_line_of_postfix_is_enough_behind_pages_of_another_daemon(line: str) -> None:
    assert recognise(CRON * 2_000 + line.encode() + b"\n" + CRON) == Kind("log", is_whole=False)


@pytest.mark.parametrize(
    "line",
    [
        "postfixadmin[9]: login of admin@contoso.example",
        "web/relay[9]: 200 GET /",
        "kernel: [12345.678] usb 1-1: new device",
        "sshd[9]: Failed password for root from 192.0.2.9 port 550 ssh2",
    ],
)
def test_the_log_of_a_program_that_sends_no_mail_is_no_log_of_ours(line: str) -> None:
    assert recognise((CRON.decode() + f"Nov 23 18:16:44 gw {line}\n").encode()) is None


@pytest.mark.parametrize(
    "body",
    [
        'Sender,Reply\na@b.example,"Nov 23 18:24:02 relay postfix/smtp[1]: x"\n',
        '{"ticket":7,"text":"Nov 23 18:24:02 relay postfix/smtp[1]: A1B2C3D4E5: removed"}\n',
        f"# How it looks\n\nPostfix writes:\n\n```\nNov 23 18:24:02 relay postfix/smtp[1]: {REFUSED}\n```\n",
        f"Final-Recipient: rfc822; a@b.example\nStatus: 4.7.30\n\nNov 23 18:24:02 relay postfix/smtp[1]: {REFUSED}\n",
    ],
    ids=["csv", "json", "prose", "bounce"],
)
def test_what_only_quotes_a_log_is_no_log(body: str) -> None:
    assert recognise(body.encode()) is None


def test_a_log_that_begins_in_the_middle_of_a_line_is_known() -> None:
    assert recognise(f"ce unavailable)\nNov 23 18:24:02 relay postfix/smtp[1]: {REFUSED}\n".encode()) is not None


def test_a_format_that_was_named_is_taken_without_a_look() -> None:
    assert always("postfix")(b"\x00anything") == Kind("postfix", is_whole=False)
    assert kind_of("message_trace_csv") == Kind("message_trace_csv", is_whole=True)


def test_a_misspelt_format_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(
        SettingsError,
        match=r"no 'postfx' in pipeline formats or pipeline programs; there is .*; did you mean 'postfix'\?",
    ):
        kind_of("postfx")


def test_the_file_name_is_the_registration() -> None:
    files = {path.stem for path in (Path(__file__).parents[2] / "pipeline" / "formats").glob("[a-z]*.py")}

    assert set(known("pipeline.formats")) == files
    assert find("pipeline.programs", "postfix").__name__ == "pipeline.programs.postfix"
