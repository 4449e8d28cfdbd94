"""What Microsoft lets us do: each missing prerequisite, as Microsoft words it, and its mend."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from pipeline.clock import Clock
from pipeline.doctor.asked import asked, proxy_to
from pipeline.doctor.clock import clock
from pipeline.doctor.microsoft import microsoft, patient
from pipeline.doctor.reach import Network
from pipeline.doctor.result import Group, Result, State
from pipeline.graph.trouble import TRACE_BACKEND
from pipeline.needs import Api, Needs, Permission
from tests.pipeline.doctor.conftest import (
    CANARY,
    CLIENT,
    NOW,
    Answer,
    Microsoft,
    Pair,
    graph_of,
    made,
    refusal,
    serving,
    tls_of,
)

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


def meeting(address: str) -> Result:
    with httpx.Client(verify=ssl.create_default_context(), trust_env=False) as http:
        return asked(address, http, Network(), 5)


def test_a_server_of_microsoft_that_answers_anything_is_well() -> None:
    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(404))) as http:
        found = asked("https://graph.microsoft.com", http, Network(), 5)

    assert (found.state, found.about) == (State.OK, "graph.microsoft.com")


def test_a_name_of_microsoft_that_does_not_resolve_is_told() -> None:
    def unresolved(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("x") from socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with httpx.Client(transport=httpx.MockTransport(unresolved)) as http:
        found = asked("https://graph.microsoft.com", http, Network(), 5)

    assert (found.check, found.state) == ("name", State.BROKEN)
    assert "graph.microsoft.com does not exist" in found.found


def test_a_proxy_that_opens_tls_before_microsoft_is_told_by_its_issuer(tmp_path: Path, authority: Pair) -> None:
    today = datetime.now(UTC)
    pair = made(start=today - timedelta(days=1), end=today + timedelta(days=90), issuer=authority).file(tmp_path)
    with serving(tls_of(pair)) as port:
        found = meeting(f"https://localhost:{port}")

    assert (found.check, found.state) == ("TLS", State.BROKEN)
    assert "issued by CN=Contoso Inspecting Proxy" in found.found


def test_a_port_of_microsoft_that_is_shut_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    found = meeting(f"https://127.0.0.1:{port}")

    assert (found.check, found.state) == ("connection", State.BROKEN)
    assert "nothing listens" in found.found
    assert "HTTPS_PROXY=" in found.mend


@pytest.mark.parametrize("error", [httpx.ConnectTimeout("x"), httpx.RemoteProtocolError("x")])
def test_a_server_of_microsoft_that_is_silent_is_told(error: httpx.HTTPError) -> None:
    def silent(_: httpx.Request) -> httpx.Response:
        raise error

    with httpx.Client(transport=httpx.MockTransport(silent)) as http:
        assert asked("https://graph.microsoft.com", http, Network(), 5).state is State.BROKEN


def test_a_proxy_that_refuses_is_named_without_its_log_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", f"http://me:{CANARY}@proxy.contoso.example:3128")
    monkeypatch.setenv("no_proxy", "login.microsoftonline.com")

    def refused(_: httpx.Request) -> httpx.Response:
        raise httpx.ProxyError("407 Proxy Authentication Required")

    with httpx.Client(transport=httpx.MockTransport(refused)) as http:
        found = asked("https://graph.microsoft.com", http, Network(), 5)

    assert "the proxy proxy.contoso.example:3128 does not let us through" in found.found
    assert "407" in found.found
    assert CANARY not in repr(found)
    assert proxy_to("login.microsoftonline.com", "https") == ""


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
