from __future__ import annotations

import copy
import json
import pickle
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from pipeline.errors import SettingsError
from pipeline.secret import Secret

CANARY = "hunter2-canary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    password: Secret
    others: tuple[Secret, ...] = ()


def _in_file(folder: Path, content: bytes) -> Secret:
    path = folder / "secret"
    path.write_bytes(content)
    return Secret.from_setting({"file": str(path)})


def _revealing(secret: Secret) -> str:
    with pytest.raises(SettingsError) as caught:
        secret.reveal()
    return "".join(traceback.format_exception(caught.value)) + str(caught.value)


def test_a_file_is_read_without_its_last_line_end(tmp_path: Path) -> None:
    for content in (b"hunter2\n", b"hunter2\r\n", b"hunter2", b"\xef\xbb\xbfhunter2\r\n"):
        secret = _in_file(tmp_path, content)

        assert secret.reveal() == "hunter2"


def test_spaces_of_a_password_are_kept(tmp_path: Path) -> None:
    assert _in_file(tmp_path, b" hunter2 \n").reveal() == " hunter2 "


def test_a_rotated_file_is_seen_without_a_restart(tmp_path: Path) -> None:
    secret = _in_file(tmp_path, b"old")
    assert secret.reveal() == "old"

    _in_file(tmp_path, b"new")

    assert secret.reveal() == "new"


def test_an_environment_variable_is_read_when_it_is_revealed(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = Secret.from_setting({"env": "AUTHSUNSET_TEST_SECRET"})

    monkeypatch.setenv("AUTHSUNSET_TEST_SECRET", CANARY)

    assert secret.reveal() == CANARY


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUTHSUNSET_TEST_SECRET", raising=False)

    said = _revealing(Secret.from_setting({"env": "AUTHSUNSET_TEST_SECRET"}))

    assert "environment variable AUTHSUNSET_TEST_SECRET is not set" in said


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    said = _revealing(Secret.from_setting({"file": str(tmp_path / "gone")}))

    assert str(tmp_path / "gone") in said
    assert "No such file" in said


def test_a_folder_is_no_secret(tmp_path: Path) -> None:
    assert str(tmp_path) in _revealing(Secret.from_setting({"file": str(tmp_path)}))


@pytest.mark.parametrize("content", [b"", b"\n", b" \t\r\n"])
def test_an_empty_file_is_said_to_be_empty(tmp_path: Path, content: bytes) -> None:
    assert "is empty" in _revealing(_in_file(tmp_path, content))


def test_a_file_that_is_not_utf_8_is_named_and_not_quoted(tmp_path: Path) -> None:
    said = _revealing(_in_file(tmp_path, CANARY.encode() + b"\xff\xfe"))

    assert "is not UTF-8 text" in said
    assert CANARY not in said


def test_loading_settings_reads_nothing() -> None:
    settings = TypeAdapter(Settings).validate_python({"password": {"file": "/nowhere/at/all"}})

    assert settings.password.where == "the file /nowhere/at/all"


def test_a_tuple_of_secrets_loads() -> None:
    tables = [{"env": "A"}, {"file": "b"}]

    settings = TypeAdapter(Settings).validate_python({"password": {"env": "A"}, "others": tables})

    assert settings.others == (Secret("env", "A"), Secret("file", "b"))


def test_a_secret_that_was_made_already_loads() -> None:
    secret = Secret("env", "A")

    assert TypeAdapter(Settings).validate_python({"password": secret}).password is secret


@pytest.mark.parametrize(
    "value",
    [
        CANARY,
        7,
        None,
        [CANARY],
        {},
        {"file": "a", "env": "b"},
        {"value": CANARY},
        {"file": ""},
        {"file": 7},
        {"env": "A\0B"},
        {7: "a"},
    ],
)
def test_anything_but_a_file_or_a_variable_is_refused_and_not_shown(value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Settings).validate_python({"password": value})

    (problem,) = caught.value.errors()
    assert problem["loc"] == ("password",)
    assert 'must be given as { file = "…" } or { env = "…" }' in problem["msg"]
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.errors()) + caught.value.json()
    assert CANARY not in shown


def test_nothing_that_prints_shows_the_value(tmp_path: Path) -> None:
    settings = Settings(password=_in_file(tmp_path, CANARY.encode()))
    secret = settings.password
    secret.reveal()

    shown = [
        repr(settings),
        str(secret),
        f"{secret} {secret!r} {secret!s} {secret:>9}",
        f"{asdict(settings)}",
        json.dumps({"password": secret}, default=str),
        TypeAdapter(Settings).dump_json(settings).decode(),
        repr(pickle.dumps(secret)),
        repr(vars(Secret)),
    ]

    assert not [text for text in shown if CANARY in text]
    assert TypeAdapter(Settings).dump_json(settings) == b'{"password":"***","others":[]}'


def test_secrets_from_the_same_place_are_equal() -> None:
    assert {Secret("env", "A"), copy.deepcopy(Secret("env", "A"))} == {Secret("env", "A")}
    assert Secret("env", "A") != Secret("file", "A")


def test_the_schema_for_editors_knows_both_forms() -> None:
    schema = TypeAdapter(Settings).json_schema()

    forms = [next(iter(form["properties"])) for form in schema["properties"]["password"]["oneOf"]]
    assert forms == ["file", "env"]
