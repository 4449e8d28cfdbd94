"""hMailServer: what the sample pairs cannot show."""

from __future__ import annotations

import base64

import pytest

from pipeline.model import Chunk
from pipeline.reading import read


def in_base64(word: str) -> str:
    return base64.b64encode(word.encode()).decode()


def users_of(*said: str) -> list[str | None]:
    lines = [f'"SMTPD"\t1\t4\t"2026-12-30 09:00:00.00{n}"\t"192.0.2.60"\t"{words}"' for n, words in enumerate(said)]
    tables = read("hmailserver", Chunk("\r\n".join([*lines, ""]).encode(), "log"), {}).tables
    users: list[str | None] = tables["signins"]["user"].to_pylist() if "signins" in tables else []
    return users


@pytest.mark.parametrize(
    "said",
    [
        ["RECEIVED: AUTH LOGIN", "SENT: 334 VXNlcm5hbWU6", "RECEIVED: {}", "SENT: 334 UGFzc3dvcmQ6", "RECEIVED: ***"],
        ["RECEIVED: AUTH LOGIN {}", "SENT: 334 UGFzc3dvcmQ6", "RECEIVED: ***"],
        ["RECEIVED: AUTH PLAIN {} ***"],
    ],
)
@pytest.mark.parametrize(
    ("name", "user"),
    [
        ("Scan@contoso.example", "scan@contoso.example"),
        ("Canary-Passwort!", None),
        ("\0scan@contoso.example\0pw", None),
    ],
)
def test_a_user_is_named_only_where_it_is_an_account(said: list[str], name: str, user: str | None) -> None:
    talk = [words.format(in_base64(name)) for words in said]

    assert users_of(*talk, "SENT: 535 Authentication failed.") == [user]


def test_a_password_is_no_user_whatever_it_looks_like() -> None:
    asked = ["RECEIVED: AUTH LOGIN", "SENT: 334 VXNlcm5hbWU6", "RECEIVED: ***", "SENT: 334 UGFzc3dvcmQ6"]

    assert users_of(*asked, f"RECEIVED: {in_base64('pass@word.example')}", "SENT: 235 authenticated.") == [None]


def test_a_mechanism_that_is_not_there_is_no_sign_in() -> None:
    assert users_of("RECEIVED: AUTH CRAM-MD5", "SENT: 504 Authentication mechanism not supported.") == []
