"""Secrets, and what proves us to Microsoft, looked at offline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pipeline.doctor.certificate import proof
from pipeline.doctor.result import Result, State
from pipeline.doctor.secrets import secrets
from pipeline.graph.identity import Settings
from pipeline.secret import Secret
from tests.pipeline.doctor.conftest import CANARY, CLIENT, NOW, made, token_with


def kept(path: Path) -> Secret:
    return Secret.from_setting({"file": str(path)})


def proven(folder: Path, text: str, way: str = "certificate") -> Result:
    (folder / "proof").write_text(text)
    settings = Settings(tenant="x", client=CLIENT)
    return proof(replace(settings, **{way: kept(folder / "proof")}), NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("end", "state", "words"),
    [
        (NOW + timedelta(days=31), State.OK, "valid until 2026-12-26"),
        (NOW + timedelta(days=30), State.WARNING, "in 30 days"),
        (NOW + timedelta(hours=1), State.WARNING, "in 0 days"),
        (NOW, State.BROKEN, "expired on 2026-11-25"),
    ],
)
def test_a_certificate_is_judged_by_its_end(end: datetime, state: State, words: str, tmp_path: Path) -> None:
    found = proven(tmp_path, made("authsunset", end=end).pem)

    assert found.state is state
    assert words in found.found
    assert ("openssl req -x509" in found.mend and CLIENT in found.mend) is (state is not State.OK)


def test_a_certificate_of_the_future_hints_at_the_clock(tmp_path: Path) -> None:
    found = proven(tmp_path, made("authsunset", NOW + timedelta(hours=2)).pem)

    assert found.state is State.BROKEN
    assert "clock" in found.found


@pytest.mark.parametrize("cut", ["key", "certificate", "all"])
def test_a_file_that_lacks_key_or_certificate_is_told_without_its_content(cut: str, tmp_path: Path) -> None:
    key, mark, certificate = made().pem.partition("-----BEGIN CERTIFICATE-----")
    text = {"key": mark + certificate, "certificate": key, "all": CANARY}[cut]

    found = proven(tmp_path, text)

    assert found.state is State.BROKEN
    assert "does not hold what is expected" in found.found
    assert CANARY not in repr(found)
    assert key[40:80] not in repr(found)


def test_a_key_of_another_certificate_is_told(tmp_path: Path) -> None:
    key = made().pem.partition("-----BEGIN CERTIFICATE-----")[0]
    certificate = made().pem.partition("-----BEGIN CERTIFICATE-----")[2]

    found = proven(tmp_path, f"{key}-----BEGIN CERTIFICATE-----{certificate}")

    assert "do not belong together" in found.found


@pytest.mark.parametrize(
    ("token", "state", "words"),
    [
        (token_with(exp=(NOW + timedelta(hours=1)).timestamp()), State.OK, "renewed by the platform"),
        (token_with(exp=NOW.timestamp()), State.BROKEN, "does not renew it"),
        (token_with(), State.BROKEN, "no token with an end"),
        (CANARY, State.BROKEN, "no token with an end"),
    ],
)
def test_a_token_of_the_platform_is_judged_by_its_end(token: str, state: State, words: str, tmp_path: Path) -> None:
    found = proven(tmp_path, token, "federated")

    assert found.state is state
    assert words in found.found
    assert CANARY not in repr(found)


def test_a_client_secret_does_not_tell_its_end(tmp_path: Path) -> None:
    assert proven(tmp_path, CANARY, "secret").state is State.SKIPPED


def test_a_certificate_that_is_not_there_is_told_by_its_place(tmp_path: Path) -> None:
    settings = Settings(tenant="x", client=CLIENT, certificate=kept(tmp_path / "app.pem"))

    found = proof(settings, NOW)

    assert found.state is State.BROKEN
    assert str(tmp_path / "app.pem") in found.found


@dataclass(frozen=True)
class Inner:
    key: Secret


@dataclass(frozen=True)
class Section:
    password: Secret
    others: tuple[Secret, ...] = ()
    store: Inner | None = None
    host: str = "relay.contoso.example"


def test_each_secret_is_found_wherever_it_stands(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(CANARY)
    section = Section(kept(tmp_path / "a"), (kept(tmp_path / "b"),), Inner(kept(tmp_path / "c")))

    found = list(secrets({"channel.oncall": section, "source.relay": object()}))

    assert [result.about for result in found] == [
        "[channel.oncall] password",
        "[channel.oncall] others",
        "[channel.oncall] store.key",
    ]
    assert {result.state for result in found} == {State.OK}
    assert CANARY not in repr(found)


def test_secrets_that_are_empty_missing_or_unreadable_are_told(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "latin").write_bytes(b"\xfc\xff" + CANARY.encode())
    unset = Secret.from_setting({"env": "AUTHSUNSET_NO_SUCH_VARIABLE"})
    paths = (tmp_path / "empty", tmp_path / "latin", tmp_path / "missing", tmp_path)

    found = list(secrets({"channel.x": Section(unset, tuple(map(kept, paths)))}))

    assert {result.state for result in found} == {State.BROKEN}
    words = ("is not set", "is empty", "is not UTF-8", "No such file", "directory")
    assert all(word in result.found for word, result in zip(words, found, strict=True))
    assert all("install -m 600" in result.mend for result in found)
    assert CANARY not in repr(found)
