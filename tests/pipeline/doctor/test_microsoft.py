"""What Microsoft lets us do: each missing prerequisite, as Microsoft words it, and its mend."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from pipeline.clock import Clock
from pipeline.doctor.clock import clock
from pipeline.doctor.microsoft import endpoints_of, microsoft, patient, without_microsoft
from pipeline.doctor.result import Group, Result, State
from pipeline.graph.identity import Settings
from pipeline.graph.trouble import TRACE_BACKEND
from pipeline.needs import Api, Endpoint, Needs, Permission
from tests.pipeline.doctor.conftest import CANARY, CLIENT, NOW, Answer, Microsoft, graph_of, refusal

TRACES = Needs(
    permissions=(Permission("ExchangeMessageTrace.Read.All"),),
    asks=("/v1.0/admin/exchange/tracing/messageTraces?$top=1",),
)
SIGNINS = Needs(permissions=(Permission("AuditLog.Read.All"),), asks=("/v1.0/auditLogs/signIns?$top=1",))
MAIL = Needs(permissions=(Permission("Mail.Read"),), asks=("/v1.0/users/x/messages",))
IMAP = Needs(permissions=(Permission("IMAP.AccessAsApp", Api.EXCHANGE_ONLINE),))

TRACES_PATH = "/v1.0/admin/exchange/tracing/messageTraces"
SIGNINS_PATH = "/v1.0/auditLogs/signIns"


def looked_at(folder: Path, answering: Answer, sources: Mapping[str, Needs]) -> list[Result]:
    with graph_of(answering, folder) as graph:
        return list(microsoft(graph, sources))


def broken_in(results: list[Result]) -> list[Result]:
    return [result for result in results if result.state is State.BROKEN]


def test_all_is_well_when_each_source_is_answered(tmp_path: Path) -> None:
    there = Microsoft(graph_roles=("ExchangeMessageTrace.Read.All", "AuditLog.Read.All"))

    found = looked_at(tmp_path, there, {"traces": TRACES, "signins": SIGNINS})

    assert {result.state for result in found} == {State.OK}
    assert [(result.group, result.check, result.about) for result in found] == [
        (Group.MICROSOFT, "log-in", "contoso.onmicrosoft.com"),
        (Group.SOURCES, "permission", "traces"),
        (Group.SOURCES, "answer", "traces"),
        (Group.SOURCES, "permission", "signins"),
        (Group.SOURCES, "answer", "signins"),
    ]
    assert there.asked == [TRACES_PATH, SIGNINS_PATH], "one request for each source"


def test_a_missing_permission_is_named_with_the_commands_that_grant_it(tmp_path: Path) -> None:
    there = Microsoft(
        graph_roles=("AuditLog.Read.All",),
        answers={TRACES_PATH: refusal(403, "Forbidden", "Missing application role")},
    )

    found = looked_at(tmp_path, there, {"traces": TRACES, "signins": SIGNINS})

    [broken] = broken_in(found)
    assert (broken.check, broken.about) == ("permission", "traces")
    assert "lacks ExchangeMessageTrace.Read.All" in broken.found
    assert "New-MgServicePrincipalAppRoleAssignment" in broken.mend
    assert f"appId eq '{CLIENT}'" in broken.mend
    assert "00000003-0000-0000-c000-000000000000" in broken.mend


def test_a_permission_at_exchange_online_is_looked_for_in_its_own_token(tmp_path: Path) -> None:
    lacking = looked_at(tmp_path, Microsoft(exchange_roles=("full_access_as_app",)), {"bounces": IMAP})
    having = looked_at(tmp_path, Microsoft(exchange_roles=("IMAP.AccessAsApp",)), {"bounces": IMAP})

    [broken] = broken_in(lacking)
    assert "lacks IMAP.AccessAsApp" in broken.found
    assert "00000002-0000-0ff1-ce00-000000000000" in broken.mend
    assert {result.state for result in having} == {State.OK}


def test_a_permission_that_exchange_gives_for_one_mailbox_is_no_fault(tmp_path: Path) -> None:
    found = looked_at(tmp_path, Microsoft(), {"bounces": MAIL})

    assert not broken_in(found)
    assert any("the request is answered" in result.found for result in found)


def test_a_mailbox_that_is_refused_although_the_permission_is_there_is_told(tmp_path: Path) -> None:
    there = Microsoft(
        graph_roles=("Mail.Read",), answers={"/v1.0/users/x/messages": refusal(403, "ErrorAccessDenied", "Denied")}
    )

    [broken] = broken_in(looked_at(tmp_path, there, {"bounces": MAIL}))

    assert (broken.check, broken.about) == ("answer", "bounces")
    assert "about this mailbox" in broken.mend


def test_permissions_that_no_source_needs_are_a_warning_and_the_strong_ones_stand_out(tmp_path: Path) -> None:
    there = Microsoft(graph_roles=("AuditLog.Read.All", "User.Read.All", "Mail.Send", "Directory.ReadWrite.All"))

    found = looked_at(tmp_path, there, {"signins": SIGNINS})

    [warning] = [result for result in found if result.state is State.WARNING]
    assert warning.check == "permissions"
    assert "Directory.ReadWrite.All, Mail.Send, User.Read.All; Directory.ReadWrite.All, Mail.Send can do more" in (
        warning.found
    )
    assert warning.mend.count("Remove-MgServicePrincipalAppRoleAssignment") == 3


def test_roles_that_are_no_names_of_permissions_are_not_repeated(tmp_path: Path) -> None:
    there = Microsoft(graph_roles=("'; Remove-Item x; '", "AuditLog.Read.All"))

    found = looked_at(tmp_path, there, {"signins": SIGNINS})

    assert not any("Remove-Item" in result.found + result.mend for result in found)


def test_a_missing_service_principal_is_explained_with_the_command_that_makes_it(tmp_path: Path) -> None:
    words = (
        "Service principal-less authentication failed: The service principal for App ID "
        f"{TRACE_BACKEND} was not found. Create a service principal for this App ID in your tenant."
    )
    there = Microsoft(
        graph_roles=("ExchangeMessageTrace.Read.All",),
        answers={TRACES_PATH: refusal(401, "UnknownError", words)},
    )

    [broken] = broken_in(looked_at(tmp_path, there, {"traces": TRACES}))

    assert (broken.check, broken.about) == ("answer", "traces")
    assert "Service principal-less authentication failed" in broken.found
    assert f"New-MgServicePrincipal -AppId {TRACE_BACKEND}" in broken.mend
    assert "hours" in broken.mend


def test_a_missing_p1_licence_is_explained(tmp_path: Path) -> None:
    words = "Tenant is not a B2C tenant and doesn't have premium license"
    code = "Authentication_RequestFromNonPremiumTenantOrB2CTenant"
    there = Microsoft(graph_roles=("AuditLog.Read.All",), answers={SIGNINS_PATH: refusal(403, code, words)})

    [broken] = broken_in(looked_at(tmp_path, there, {"signins": SIGNINS}))

    assert code in broken.found
    assert "P1 or P2" in broken.mend
    assert "Get-MgSubscribedSku" in broken.mend


@pytest.mark.parametrize(
    ("code", "mend"),
    [
        ("AADSTS7000222", "Certificates & secrets"),
        ("AADSTS700016", "compare tenant and client"),
        ("AADSTS99999", "look again"),
    ],
)
def test_a_log_in_that_is_refused_is_told_and_the_sources_wait(code: str, mend: str, tmp_path: Path) -> None:
    there = Microsoft(refused_login={"error": "invalid_client", "error_description": f"{code}: no. Trace ID: 1"})

    found = looked_at(tmp_path, there, {"traces": TRACES})

    [broken] = broken_in(found)
    assert broken.check == "log-in"
    assert code in broken.found
    assert mend in broken.mend
    assert [(result.about, result.state) for result in found[1:]] == [("traces", State.SKIPPED)]


def test_a_log_in_without_an_answer_is_told(tmp_path: Path) -> None:
    def silent(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("no answer")

    [broken] = broken_in(looked_at(tmp_path, silent, {"traces": TRACES}))

    assert "ConnectTimeout" in broken.found


def test_a_secret_that_is_not_there_is_told_by_its_place(tmp_path: Path) -> None:
    with graph_of(Microsoft(), tmp_path) as graph:
        (tmp_path / "secret").unlink()

        [broken] = broken_in(list(microsoft(graph, {})))

    assert str(tmp_path / "secret") in broken.found


def test_an_answer_that_does_not_come_is_a_warning_and_not_waited_for(tmp_path: Path) -> None:
    there = Microsoft(graph_roles=("AuditLog.Read.All",), answers={SIGNINS_PATH: httpx.Response(503)})

    with graph_of(there, tmp_path, is_patient=False) as graph:
        found = list(microsoft(graph, {"signins": SIGNINS}))

    [warning] = [result for result in found if result.state is State.WARNING]
    assert (warning.check, warning.about) == ("answer", "signins")


def test_a_side_that_is_out_of_order_however_often_it_is_asked_is_told(tmp_path: Path) -> None:
    there = Microsoft(graph_roles=("AuditLog.Read.All",), answers={SIGNINS_PATH: httpx.Response(503)})

    [broken] = broken_in(looked_at(tmp_path, there, {"signins": SIGNINS}))

    assert "503" in broken.found
    assert "out of order" in broken.found


def test_a_token_that_cannot_be_read_blames_nobody(tmp_path: Path) -> None:
    def opaque(request: httpx.Request) -> httpx.Response:
        there = Microsoft()
        if request.url.path.endswith("/token"):
            return httpx.Response(200, json={"access_token": CANARY, "token_type": "Bearer", "expires_in": 3600})
        return there(request)

    found = looked_at(tmp_path, opaque, {"bounces": IMAP, "traces": TRACES})

    assert {result.state for result in found} == {State.OK}
    assert not any(CANARY in result.found + result.mend for result in found)


def test_no_token_or_secret_is_shown(tmp_path: Path) -> None:
    there = Microsoft(
        graph_roles=("User.Read.All",),
        answers={TRACES_PATH: refusal(403, "Forbidden", "no"), SIGNINS_PATH: refusal(401, "InvalidToken", "no")},
    )

    found = looked_at(tmp_path, there, {"traces": TRACES, "signins": SIGNINS, "bounces": IMAP})

    assert len(broken_in(found)) == 3
    assert not any(CANARY in repr(result) for result in found)


def test_a_source_that_needs_microsoft_is_broken_without_its_table() -> None:
    [broken] = without_microsoft({"traces": TRACES, "relay": Needs(files=("/var/log/mail.log",))})

    assert broken.about == "traces"
    assert "no table [microsoft]" in broken.found
    assert '[microsoft]\ntenant = "' in broken.mend


def test_the_servers_of_microsoft_are_those_in_the_settings(tmp_path: Path) -> None:
    settings = Settings(
        tenant="x", client=CLIENT, graph="https://graph.contoso.example:8443", ca_file=tmp_path / "ca.pem"
    )

    assert endpoints_of(settings) == (
        Endpoint("login.microsoftonline.com", 443, ca_file=tmp_path / "ca.pem", is_web=True),
        Endpoint("graph.contoso.example", 8443, ca_file=tmp_path / "ca.pem", is_web=True),
    )


@pytest.mark.parametrize(
    ("ahead_s", "state", "words"),
    [
        (0, State.OK, "right to within 1 s"),
        (60, State.OK, "within 60 s"),
        (-60, State.OK, "within 60 s"),
        (61, State.WARNING, "61 s behind"),
        (-61, State.WARNING, "61 s ahead"),
        (300, State.WARNING, "300 s behind"),
        (301, State.BROKEN, "301 s behind"),
        (-86_400, State.BROKEN, "86400 s ahead"),
    ],
)
def test_a_clock_is_judged_by_the_date_at_microsoft(ahead_s: int, state: State, words: str) -> None:
    there = Microsoft(ahead=timedelta(seconds=ahead_s))

    with httpx.Client(transport=httpx.MockTransport(there)) as http:
        found = clock(http, "https://graph.microsoft.com", lambda: NOW, 5)

    assert found.state is state
    assert words in found.found
    assert ("timedatectl" in found.mend) is (state is not State.OK)


def test_a_server_that_tells_no_time_leaves_the_clock_unjudged() -> None:
    def silent(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("no answer")

    for answering in (silent, lambda _: httpx.Response(200, headers={"Date": "soon"}), lambda _: httpx.Response(200)):
        with httpx.Client(transport=httpx.MockTransport(answering)) as http:
            assert clock(http, "https://graph.microsoft.com", lambda: NOW, 5).state is State.SKIPPED


def test_who_is_patient_waits_no_longer_than_allowed() -> None:
    ticks = 0.0

    def wait(seconds: float) -> bool:
        nonlocal ticks
        ticks += seconds
        return False

    short = patient(Clock(lambda: NOW, lambda: ticks, wait), 5)

    assert [short.wait(4), short.wait(2), short.wait(1)] == [False, True, False]
    assert ticks == 5
