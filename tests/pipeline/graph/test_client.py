from __future__ import annotations

import traceback
from datetime import timedelta

import httpx
import pytest

from pipeline.errors import SourceError
from pipeline.graph.client import TRIES, UnavailableError
from pipeline.graph.trouble import TRACE_BACKEND, RefusedError
from tests.pipeline.graph.conftest import Scripted

PERMISSION = "ExchangeMessageTrace.Read.All"
PAGE = {"value": [], "@odata.nextLink": "https://graph.microsoft.com/v1.0/next"}


def error(code: str, words: str) -> dict[str, dict[str, str]]:
    return {"error": {"code": code, "message": words}}


def test_a_page_comes_with_its_link_and_the_time_there(scripted: Scripted) -> None:
    scripted.answer(json=PAGE, headers={"Date": "Thu, 31 Dec 2026 11:50:00 GMT"})
    graph = scripted.graph()

    answer = graph.page("/v1.0/x", PERMISSION, params={"$top": "5"}, prefer="a")

    assert answer.next_link == "https://graph.microsoft.com/v1.0/next"
    assert graph.skew == timedelta(minutes=-10)
    [request] = scripted.requests
    assert str(request.url) == "https://graph.microsoft.com/v1.0/x?%24top=5"
    assert (request.headers["Authorization"], request.headers["Prefer"]) == ("Bearer token-1", "a")


def test_a_link_is_followed_unchanged_and_to_graph_alone(scripted: Scripted) -> None:
    scripted.answer(json=PAGE)
    graph = scripted.graph()

    graph.page("https://graph.microsoft.com/v1.0/x?$skiptoken=a%2Bb", PERMISSION)
    assert "skiptoken=a%2Bb" in str(scripted.requests[0].url)
    with pytest.raises(SourceError, match="leads to another host, which gets no token of ours"):
        graph.page("https://graph.microsoft.com.evil.example/x", PERMISSION)

    assert len(scripted.requests) == 1


def test_a_token_that_is_refused_once_is_renewed(scripted: Scripted) -> None:
    scripted.answer(401, error("InvalidAuthenticationToken", "Access token has expired"))
    scripted.answer(json=PAGE)

    assert scripted.graph().page("/v1.0/x", PERMISSION).values["value"] == []
    assert scripted.tokens == [False, True]


def test_a_missing_service_principal_is_explained_with_the_command_that_makes_it(scripted: Scripted) -> None:
    words = (
        f"Service principal-less authentication failed: The service principal for App ID {TRACE_BACKEND} was not found."
    )
    scripted.answer(401, error("UnauthorizedAccess", words), {"request-id": "abc-1"})

    with pytest.raises(RefusedError) as refused:
        scripted.graph().page("/v1.0/x", PERMISSION)

    assert f"New-MgServicePrincipal -AppId {TRACE_BACKEND}" in str(refused.value)
    assert "(request-id abc-1)" in str(refused.value)


@pytest.mark.parametrize(
    ("status", "body", "mend"),
    [
        (403, error("Authorization_RequestDenied", "Insufficient privileges"), f"grant {PERMISSION} as an application"),
        (
            403,
            error("Authentication_RequestFromNonPremiumTenantOrB2CTenant", "…"),
            "needs an Entra ID P1 or P2 licence",
        ),
        (401, error("InvalidAuthenticationToken", "…"), "this machine's clock"),
        (404, error("ResourceNotFound", "…"), "global cloud only"),
        (400, error("BadRequest", "no idea \x1b[31m what\nthis is"), 'Microsoft said: "no idea [31m what this is"'),
    ],
    ids=["permission", "licence", "token", "not_there", "unknown"],
)
def test_what_stays_refused_is_said_with_its_mend_and_not_tried_again(
    scripted: Scripted, status: int, body: object, mend: str
) -> None:
    scripted.answer(status, body)

    with pytest.raises(RefusedError) as refused:
        scripted.graph().page("/v1.0/x", PERMISSION)

    assert mend in str(refused.value)
    assert len(scripted.requests) == (2 if status == 401 else 1)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_out_of_order_is_asked_again_a_few_times(scripted: Scripted, status: int) -> None:
    for _ in range(TRIES - 1):
        scripted.answer(status, text="<html>")
    scripted.answer(json=PAGE)

    assert scripted.graph().page("/v1.0/x", PERMISSION).values["value"] == []
    assert scripted.seconds >= 2 + 4 + 8


@pytest.mark.parametrize("fault", ["reset", "truncated", "list", "redirect", "endless"])
def test_what_fails_each_time_may_still_succeed_elsewhere(scripted: Scripted, fault: str) -> None:
    if fault == "reset":
        scripted.fail(httpx.ReadError)
    else:
        text = {"truncated": '{"value": [{"id": "1"', "list": "[]", "endless": " " * (65 << 20)}.get(fault, "")
        scripted.answer(302 if fault == "redirect" else 200, text=text, headers={"Location": "https://proxy.example/"})

    with pytest.raises(UnavailableError) as failed:
        scripted.graph().page("/v1.0/x", PERMISSION)

    assert not failed.value.is_throttled
    assert len(scripted.requests) == TRIES


@pytest.mark.parametrize(("retry_after", "waits"), [("120", 120), ("Thu, 31 Dec 2026 12:03:00 GMT", 180), (None, 60)])
def test_too_many_requests_are_sent_as_late_as_microsoft_asks(
    scripted: Scripted, retry_after: str | None, waits: int
) -> None:
    scripted.answer(429, error("TooManyRequests", ""), {"Retry-After": retry_after} if retry_after else None)
    scripted.answer(json=PAGE)

    scripted.graph().page("/v1.0/x", PERMISSION)

    assert scripted.seconds >= waits


def test_throttling_for_good_is_not_the_fault_of_the_span(scripted: Scripted) -> None:
    scripted.answer(429, error("TooManyRequests", ""), {"Retry-After": "1"})

    with pytest.raises(UnavailableError) as failed:
        scripted.graph().page("/v1.0/x", PERMISSION)

    assert failed.value.is_throttled


@pytest.mark.parametrize("status", [400, 401, 403, 500])
def test_a_token_stands_in_no_error(scripted: Scripted, status: int) -> None:
    scripted.answer(status, error("x", "y"))

    with pytest.raises(SourceError) as failed:
        scripted.graph().page("/v1.0/x", PERMISSION)

    assert "token-" not in "".join(traceback.format_exception(failed.value))
