from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import FormatError
from pipeline.formats.mailbox_exposure import looks_like, parse
from pipeline.model import EXPOSURE, Chunk, Parsed

AS_OF = datetime(2026, 12, 31, tzinfo=UTC)
SWITCH = "SmtpClientAuthenticationDisabled"


def parsed(body: str | bytes, as_of: datetime = AS_OF) -> Parsed:
    raw = body.encode() if isinstance(body, str) else body
    return parse(Chunk(raw, "export", as_of=as_of), {})


def rows_of(body: str | bytes, as_of: datetime = AS_OF) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parsed(body, as_of).tables["exposure"].to_pylist()
    return rows


def as_csv(*objects: dict[str, str]) -> str:
    lines = [",".join(f'"{word}"' for word in objects[0])]
    lines += [",".join(f'"{value}"' for value in each.values()) for each in objects]
    return "\r\n".join(lines) + "\r\n"


def as_list(*objects: dict[str, str]) -> str:
    blocks = ["".join(f"{name:32} : {value}\r\n" for name, value in each.items()) for each in objects]
    return "\r\n" + "\r\n".join(blocks) + "\r\n"


def as_json(*objects: dict[str, str]) -> str:
    return json.dumps([{name: value or None for name, value in each.items()} for each in objects], indent=4)


FORMS = {"csv": as_csv, "list": as_list, "json": as_json}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize(
    ("word", "state"),
    [
        *((word, True) for word in ("True", "TRUE", "Wahr", "Vrai", "Verdadero", "1")),
        *((word, False) for word in ("False", "Falsch", "Faux", "Falso", "0")),
        *((word, None) for word in ("", "$null", "NULL")),
    ],
)
def test_the_switch_of_a_mailbox_has_three_states_in_every_form(
    form: str, encoding: str, word: str, state: bool | None
) -> None:
    body = FORMS[form]({"PrimarySmtpAddress": "Scan@contoso.example", SWITCH: word}).encode(encoding)

    [row] = rows_of(body)

    assert (row["scope"], row["name"], row["smtp_auth_disabled"]) == ("mailbox", "scan@contoso.example", state)
    assert looks_like(body)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("exported", "expected"),
    [
        ({"Name": "Transport Settings", SWITCH: "True"}, ("tenant", "Transport Settings", True, None, None)),
        ({SWITCH: "True"}, ("tenant", "tenant", True, None, None)),
        ({"Guid": "g-1", SWITCH: "False"}, ("tenant", "g-1", False, None, None)),
        ({"Name": "x", "MaxSendSize": "35 MB", SWITCH: ""}, ("tenant", "x", None, None, None)),
        ({"Name": "Block Basic", "AllowBasicAuthSmtp": "False"}, ("policy", "Block Basic", None, False, None)),
        ({"Identity": "Pilot", "AllowBasicAuthSmtp": "Wahr"}, ("policy", "Pilot", None, True, None)),
        (
            {"Name": "contoso.onmicrosoft.com", "DefaultAuthenticationPolicy": "Block Basic"},
            ("tenant", "contoso.onmicrosoft.com", None, None, "Block Basic"),
        ),
        ({"DefaultAuthenticationPolicy": ""}, ("tenant", "tenant", None, None, None)),
        (
            {"UserPrincipalName": "Scan@contoso.example", "AuthenticationPolicy": "Block Basic"},
            ("mailbox", "scan@contoso.example", None, None, "Block Basic"),
        ),
        ({"Name": "Scanner", SWITCH: "False"}, ("mailbox", "scanner", False, None, None)),
        (
            {"Identity": "scan", "ImapEnabled": "True", "MaxSendSize": "", SWITCH: "False"},
            ("mailbox", "scan", False, None, None),
        ),
    ],
)
def test_each_cmdlet_is_told_by_what_stands_beside_the_switch(
    form: str, exported: dict[str, str], expected: tuple[object, ...]
) -> None:
    [row] = rows_of(FORMS[form](exported))

    assert (row["scope"], row["name"], row["smtp_auth_disabled"], row["basic_smtp_allowed"], row["policy"]) == expected


@pytest.mark.parametrize("form", FORMS)
def test_several_switches_that_belong_to_nobody_are_no_tenants(form: str) -> None:
    found = parsed(FORMS[form]({SWITCH: "True"}, {SWITCH: "False"}))

    assert (found.tables["exposure"].num_rows, len(found.rejects), found.lines) == (0, 2, 2)


def test_a_word_that_is_neither_true_nor_false_is_a_reject() -> None:
    found = parsed(as_csv({"PrimarySmtpAddress": "a@x.example", SWITCH: "maybe"}))

    assert [reject.reason for reject in found.rejects] == [f"{SWITCH} is 'maybe'; expected True, False or nothing"]


def test_the_same_state_is_one_row_a_day() -> None:
    body = as_csv({"PrimarySmtpAddress": "a@x.example", SWITCH: "True"})

    ids = [rows_of(body, AS_OF + timedelta(hours=hours))[0]["event_id"] for hours in (0, 23, 24)]

    assert ids[0] == ids[1] != ids[2]


def test_a_switch_that_inherits_and_a_policy_that_is_none_are_two_things() -> None:
    [mailbox] = rows_of(as_csv({"UserPrincipalName": "a@x.example", SWITCH: ""}))
    [user] = rows_of(as_csv({"UserPrincipalName": "a@x.example", "AuthenticationPolicy": ""}))

    assert mailbox["event_id"] != user["event_id"]


def test_an_identity_that_json_writes_as_an_object_is_read_by_its_name() -> None:
    identity = {"Name": "Block Basic", "DistinguishedName": "CN=Block Basic"}

    [row] = rows_of(json.dumps({"UserPrincipalName": "a@x.example", "AuthenticationPolicy": identity}))

    assert row["policy"] == "Block Basic"


def test_objects_of_a_list_need_no_blank_line_between_them() -> None:
    body = as_list({"Name": "a", SWITCH: "True"}, {"Name": "b", SWITCH: "False"}).replace("\r\n\r\n", "\r\n")

    assert [(row["name"], row["smtp_auth_disabled"]) for row in rows_of(body)] == [("a", True), ("b", False)]


def test_remarks_around_a_list_are_left() -> None:
    body = "PS C:\\> Get-CASMailbox | fl\r\n" + as_list({"Name": "a", SWITCH: "True"}) + "WARNING! more\r\n"

    found = parsed(body)

    assert looks_like(body.encode())
    assert (found.tables["exposure"].num_rows, found.left, found.lines) == (1, 2, 3)


@pytest.mark.parametrize(
    "body", [as_csv({"Name": "a", "Colour": "red"}), as_json({"Name": "a"}), as_list({"Name": "a"}), "", "prose\n"]
)
def test_an_export_without_any_switch_is_set_aside(body: str) -> None:
    assert not looks_like(body.encode())
    with pytest.raises(FormatError, match="Get-CASMailbox"):
        parsed(body)


def test_a_log_that_speaks_of_the_switch_is_no_export() -> None:
    assert not looks_like(f"Dec  1 06:30:00 host app: {SWITCH} : True\n{SWITCH} : True\n".encode())


@pytest.mark.parametrize("form", FORMS)
def test_rows_have_the_schema_of_the_table(form: str) -> None:
    assert parsed(FORMS[form]({"Name": "a", SWITCH: "x"})).tables["exposure"].schema == EXPOSURE


@given(
    st.binary() | st.binary().map(lambda tail: as_list({"Name": "a", SWITCH: "True"}).encode() + tail),
)
def test_no_bytes_raise_anything_but_a_format_error(body: bytes) -> None:
    looks_like(body)

    try:
        found = parsed(body)
    except FormatError:
        return

    assert found.tables["exposure"].num_rows + len(found.rejects) + found.left == found.lines
