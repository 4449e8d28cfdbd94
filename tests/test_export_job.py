"""
The PowerShell of the export job: it only reads, it writes what our format knows, and its commands exist.

No PowerShell runs here; the script is looked at as text, apart from its comments and strings.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.doctor.exports import JOB, schedule
from pipeline.exports.tables import fold
from pipeline.formats import mailbox_exposure
from pipeline.model import Chunk
from tests.cli import ROOT

SCRIPT = (ROOT / JOB).read_bytes().decode()
GUIDE = (ROOT / "deploy" / "export-job.md").read_text("utf-8")

QUOTED = re.compile(r"<#.*?#>|#[^\n]*|'(?:[^']|'')*'|\"(?:[^\"`]|`.)*\"", re.DOTALL)


def without_words(found: re.Match[str]) -> str:
    """Return what is code in a string or comment: nothing, but for `$(…)` in double quotes."""
    inside = re.findall(r"\$\([^\"]*\)", found[0]) if found[0][0] == '"' else []
    return f"'' {' '.join(inside)}" if found[0][0] in "'\"" else ""


CODE = QUOTED.sub(without_words, SCRIPT)
COMMANDS = set(re.findall(r"(?<![\w.$-])[A-Z][A-Za-z]*-[A-Z]\w+", CODE))
DEFINED = set(re.findall(r"function ([A-Z]\w+-\w+)", CODE))
PARAMETERS = set(re.findall(r"\] \$(\w+)", CODE[CODE.index("param(") : CODE.index("Set-StrictMode")]))

READING = {
    "Get-CASMailbox",
    "Get-User",
    "Get-AuthenticationPolicy",
    "Get-TransportConfig",
    "Get-OrganizationConfig",
    "Get-HistoricalSearch",
}
ASKING = {"Start-HistoricalSearch"}
SESSION = {"Import-Module", "Connect-ExchangeOnline", "Disconnect-ExchangeOnline"}
LOCAL = {
    "ConvertTo-Csv",
    "ConvertTo-SecureString",
    "Join-Path",
    "New-Object",
    "Resolve-Path",
    "Select-Object",
    "Set-StrictMode",
    "Split-Path",
    "Test-Path",
    "Where-Object",
    "Write-Output",
}
METHODS = {"Error", "WriteAllLines", "Move", "GetEnvironmentVariable", "UtcNow", "InvariantCulture", "Local"}

EXPORTS = {
    name: columns.replace("'", "").split(", ")
    for name, columns in re.findall(r"Name = '(\w+)'\s+Columns = @\(([^)]*)\)", SCRIPT)
}


def test_only_cmdlets_that_read_ask_for_a_report_or_work_on_this_machine_occur() -> None:
    assert COMMANDS - DEFINED == READING | ASKING | SESSION | LOCAL


def test_the_session_loads_no_other_cmdlets() -> None:
    [listed] = re.findall(r"\$Cmdlets = @\((.*?)\n\)", SCRIPT, re.DOTALL)

    assert set(re.findall(r"'([^']+)'", listed)) == READING | ASKING


def test_nothing_is_run_by_another_name() -> None:
    assert set(re.findall(r"::(\w+)", CODE)) == METHODS
    assert re.findall(r"&[^\n]*", CODE) == ["& $Export.Read)"]
    assert not re.findall(r"\b(?:iex|icm|saps|Invoke|Create|DownloadString)\b", CODE, re.IGNORECASE)


def test_windows_powershell_reads_each_sign_of_it() -> None:
    assert SCRIPT.isascii(), "Windows PowerShell takes a script without a mark for the local code page"
    assert all(CODE.count(opening) == CODE.count(closing) for opening, closing in ("()", "{}", "[]"))


def test_no_secret_is_taken_as_a_parameter_or_printed() -> None:
    assert not [name for name in PARAMETERS if re.search(r"password$|secret|token", name, re.IGNORECASE)]
    assert re.findall(r"Write-\w+[^\n]*\$(plain|login|CertificatePassword\b)", CODE) == []


def test_a_task_of_windows_is_short_enough() -> None:
    for text in (GUIDE, schedule(Path("/srv/exports"), "contoso-international.onmicrosoft.com")):
        [command] = re.findall(r"/TR \"([^\"]*)\"", text)
        filled = (
            command.replace("APP-ID", "0" * 36).replace("THUMBPRINT", "0" * 40).replace("FOLDER", r"\\files\exports")
        )

        assert len(filled) <= 261


def test_each_parameter_has_its_help() -> None:
    assert set(re.findall(r"\.PARAMETER (\w+)", SCRIPT)) == PARAMETERS


@pytest.mark.parametrize("text", [SCRIPT, GUIDE, schedule(Path("/srv/exports"))], ids=["help", "guide", "doctor"])
def test_commands_that_are_shown_use_parameters_that_exist(text: str) -> None:
    shown = re.findall(r"export-job\.ps1 ([^\n\"]*(?:`\n[^\n\"]*)*)", text)

    used = {option for line in shown for option in re.findall(r"(?<!\S)-([A-Z]\w+)", line)}
    assert used
    assert used <= PARAMETERS


def test_each_column_is_one_that_the_format_knows() -> None:
    assert set(EXPORTS) == {"casmailbox", "user", "authenticationpolicy", "transportconfig", "organizationconfig"}
    for columns in EXPORTS.values():
        assert all(fold(column) in mailbox_exposure._NAMES for column in columns)
    assert set(re.findall(r"MustHave = '(\w+)'", SCRIPT)) == {
        mailbox_exposure._PROPERTIES[switch][0] for switch in mailbox_exposure._SWITCHES
    }


def written(name: str, *objects: dict[str, str]) -> bytes:
    """Return the bytes that the job writes for `objects`: quoted, with a byte order mark; NULL is empty."""
    lines = [EXPORTS[name], *([each.get(column, "") for column in EXPORTS[name]] for each in objects)]
    text = "".join(",".join(f'"{value}"' for value in line) + "\r\n" for line in lines)
    return text.encode("utf-8-sig")


def read(name: str, *objects: dict[str, str]) -> list[dict[str, Any]]:
    body = written(name, *objects)
    parsed = mailbox_exposure.parse(Chunk(body, f"{name}.csv", as_of=datetime(2026, 11, 25, tzinfo=UTC)), {})
    assert mailbox_exposure.looks_like(body)
    assert parsed.rejects == ()
    rows: list[dict[str, Any]] = parsed.tables["exposure"].to_pylist()
    return rows


def test_a_switch_of_a_mailbox_keeps_its_three_states() -> None:
    rows = read(
        "casmailbox",
        {"PrimarySmtpAddress": "Scan@contoso.example", "SmtpClientAuthenticationDisabled": "False"},
        {"PrimarySmtpAddress": "erp@contoso.example", "SmtpClientAuthenticationDisabled": "True"},
        {"PrimarySmtpAddress": "anna@contoso.example"},
    )

    assert [(row["scope"], row["name"], row["smtp_auth_disabled"]) for row in rows] == [
        ("mailbox", "scan@contoso.example", False),
        ("mailbox", "erp@contoso.example", True),
        ("mailbox", "anna@contoso.example", None),
    ]


def test_policies_and_switches_of_the_tenant_are_known_for_what_they_are() -> None:
    user = {"UserPrincipalName": "a@contoso.example", "WindowsEmailAddress": "anna@contoso.example"}
    found = [
        *read("user", {**user, "RecipientTypeDetails": "UserMailbox", "AuthenticationPolicy": "Block Basic"}),
        *read("authenticationpolicy", {"Name": "Block Basic", "AllowBasicAuthSmtp": "False"}),
        *read("transportconfig", {"Name": "Transport Settings", "AllowLegacyTLSClients": "False"}),
        *read("organizationconfig", {"Name": "contoso.onmicrosoft.com", "DefaultAuthenticationPolicy": "Block Basic"}),
    ]

    assert [(row["scope"], row["name"], row["policy"]) for row in found] == [
        ("mailbox", "anna@contoso.example", "Block Basic"),
        ("policy", "Block Basic", None),
        ("tenant", "Transport Settings", None),
        ("tenant", "contoso.onmicrosoft.com", "Block Basic"),
    ]


def test_an_export_without_any_object_is_read_as_such() -> None:
    assert read("authenticationpolicy") == []
