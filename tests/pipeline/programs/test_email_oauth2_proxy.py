"""Email OAuth 2.0 Proxy: what the sample pairs cannot show."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.model import Chunk
from pipeline.reading import read

REFUSED = "550 5.7.30 Basic authentication is not supported for Client Submission."


def rows_of(*said: str) -> list[dict[str, Any]]:
    log = "".join(f"2026-12-30 09:00:00: {words}\n" for words in said)
    rows: list[dict[str, Any]] = read("log", Chunk(log.encode(), "log"), {}).tables["deliveries"].to_pylist()
    return rows


@pytest.mark.parametrize(
    ("label", "device", "user"),
    [
        ("127.0.0.1:5-{127.0.0.1:1587}-smtp.office365.com:587", None, None),
        ("192.0.2.60:5-{198.51.100.2:1587}-smtp.office365.com:587; Scan@b.example", "192.0.2.60", "scan@b.example"),
        ("[2001:db8::60]:5-{[::]:1587}-smtp.office365.com:587", "2001:db8::60", None),
        ("localhost:1587; ::1:51978->smtp.office365.com:587", None, None),
        ("0.0.0.0:587; 192.0.2.61:46764->smtp.office365.com:587; a@b.example", "192.0.2.61", "a@b.example"),
    ],
)
def test_a_label_names_device_server_and_account_in_every_version(
    label: str, device: str | None, user: str | None
) -> None:
    rows = rows_of(
        f"SMTP ({label})     --> b'AUTH XOAUTH2\\r\\n'",
        f"SMTP ({label})     <-- b'{REFUSED}\\r\\n'",
        f"SMTP ({label}) <-- b'{REFUSED}\\r\\n'",
    )

    assert [(row["client_ip"], row["auth_user"], row["endpoint"], row["stage"]) for row in rows] == [
        (device, user, "smtp.office365.com", "auth")
    ]


def test_a_refusal_whose_conversation_began_in_another_log_is_kept() -> None:
    rows = rows_of(f'SMTP (192.0.2.60:5-{{[::]:1587}}-smtp.office365.com:587)     <-- b"{REFUSED}"')

    assert [(row["reply_class"], row["stage"], row["format"]) for row in rows] == [
        ("basic_retired", "unknown", "email_oauth2_proxy")
    ]


def test_what_the_mail_says_is_no_answer() -> None:
    label = "192.0.2.60:5-{[::]:1587}-smtp.office365.com:587"

    assert (
        rows_of(f"SMTP ({label})     --> b'Subject: {REFUSED}\\r\\n'", f"SMTP ({label}) --> b'{REFUSED}\\r\\n'") == []
    )
