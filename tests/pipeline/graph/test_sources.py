"""The sources of Graph through the settings, the service and the command, against a real server on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.clock import Clock
from pipeline.errors import SettingsError
from pipeline.graph.client import Graph
from pipeline.graph.identity import Settings as Microsoft
from pipeline.graph.quota import FILE, Quota
from pipeline.graph.trouble import TRACE_BACKEND
from pipeline.lake import Lake
from pipeline.lake.hash import hash_of
from pipeline.model import Pulled, Window
from pipeline.outside import Outside
from pipeline.service import Service, outside_of
from pipeline.settings import AlertSettings, LakeSettings, Settings, TenantSettings, load, read
from tests.cli import authsunset
from tests.fake_graph.clock import SharedTime
from tests.fake_graph.server import TOKEN, FakeGraph, Faults, records_of
from tests.fake_graph.traces import traces

NOW = datetime(2026, 12, 31, 12, 0, tzinfo=UTC)
CLIENT = "11111111-2222-4333-8444-555555555555"
SETTINGS = f"""\
[lake]
folder = "lake"
[microsoft]
tenant = "contoso.example"
client = "{CLIENT}"
secret = {{ env = "AUTHSUNSET_TEST_SECRET" }}
graph = "http://127.0.0.1:1"
[source.traces]
kind = "graph_message_trace"
start = "2d"
page_size = 150
[source.signins]
kind = "graph_signins"
start = "2d"
"""


def signins(span: Window, now: datetime, filter: str) -> list[dict[str, Any]]:
    kind = "nonInteractiveUser" if "nonInteractiveUser" in filter else "interactiveUser"
    moments = [NOW - timedelta(hours=hour, minutes=5) for hour in range(60)]
    return [
        {
            "id": f"{kind}-{moment:%d%H}",
            "createdDateTime": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
            "userPrincipalName": "scan@contoso.example",
            "ipAddress": "192.0.2.9",
            "clientAppUsed": "Authenticated SMTP",
            "userAgent": "BAV2ROPC",
            "authenticationProtocol": "ropc",
            "appDisplayName": "Office 365 Exchange Online",
            "resourceDisplayName": "Office 365 Exchange Online",
            "isInteractive": kind == "interactiveUser",
            "status": {"errorCode": 0},
        }
        for moment in moments
        if span.start <= moment <= span.end and moment <= now
    ]


@dataclass
class Tenant:
    """A tenant behind a fake Graph, and the service that reads it."""

    fake: FakeGraph
    time: SharedTime
    service: Service
    settings: Path

    @property
    def shown(self) -> int:
        """How many messages can have been read by now."""
        return len(self.fake.traces(Window(NOW - timedelta(days=2), self.time.now()), self.time.now(), ""))


@pytest.fixture
def tenant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tenant]:
    monkeypatch.setenv("AUTHSUNSET_TEST_SECRET", "canary")
    settings = tmp_path / "authsunset.toml"
    settings.write_text(SETTINGS)
    time = SharedTime(tmp_path / "time", NOW)
    truth = traces(3, Window(NOW - timedelta(days=30), NOW + timedelta(days=3)), 100)
    fake = FakeGraph(time, records_of(truth), signins)
    with fake.served() as address, httpx.Client(trust_env=False) as http:
        clock = Clock(time.now, lambda: time.seconds, time.pass_)
        microsoft = Microsoft(tenant="contoso.example", client=CLIENT, graph=address)
        graph = Graph(microsoft, http, lambda *_: TOKEN, Quota(tmp_path / FILE, "contoso.example", clock), clock)
        outside = Outside(clock, tmp_path, http, lambda is_backfill: replace(graph, is_backfill=is_backfill))
        yield Tenant(fake, time, Service(load(settings), now=time.now, _outside=outside), settings)


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with Lake.open(tmp_path / "lake") as opened:
        yield opened


def test_both_sources_read_what_is_there_and_say_until_when(tenant: Tenant, lake: Lake) -> None:
    outcomes, failures = tenant.service.ingest(lake)

    assert failures == []
    assert [outcome.rejects for outcome in outcomes] == [0, 0]
    assert lake.one("SELECT count(*) FROM traces") > 150
    rows = lake.rows(
        "SELECT auth_protocol, service, is_interactive, count(*) AS n FROM signins GROUP BY ALL ORDER BY 3"
    )
    assert [(row["auth_protocol"], row["service"]) for row in rows] == [("basic", "exchange_online")] * 2
    assert [row["is_interactive"] for row in rows] == [False, True]
    complete = lake.rows("SELECT name, complete_until FROM cursors WHERE complete_until IS NOT NULL ORDER BY name")
    assert [row["name"] for row in complete] == ["source signins", "source traces"]
    assert all(timedelta(0) < NOW - row["complete_until"] <= timedelta(minutes=31) for row in complete)


def test_the_same_pulls_three_times_over_leave_the_same_lake(tenant: Tenant, lake: Lake) -> None:
    tenant.service.ingest(lake)
    first = hash_of(lake)

    for _ in range(2):
        with lake.writing():
            lake.connection.execute("DELETE FROM cursors")  # as if nothing had ever been read
        tenant.service.ingest(lake)

    assert hash_of(lake) == first


def test_a_backfill_brings_what_the_first_look_left_out_any_number_of_times(tenant: Tenant, lake: Lake) -> None:
    tenant.service.ingest(lake, ("traces",))
    window = Window(NOW - timedelta(days=8), NOW - timedelta(days=2))
    before = lake.one("SELECT min(received_at) FROM traces")

    [outcome], failures = tenant.service.backfill(lake, ("traces",), window)
    first = hash_of(lake)
    [again], _ = tenant.service.backfill(lake, ("traces",), window)

    assert failures == []
    assert outcome.rows > 500
    assert again.rows == 0
    assert hash_of(lake) == first
    assert before > NOW - timedelta(days=2, minutes=30)
    [position] = lake.rows("SELECT state FROM cursors WHERE name = 'source traces\nat message traces passes'")
    assert NOW.strftime("%Y-%m-%d") in position["state"], "the live pull goes on where it was"


def test_a_fortnight_in_small_pages_keeps_within_a_hundred_requests_in_five_minutes(tenant: Tenant) -> None:
    part = tenant.service.settings.sources["traces"]
    small = replace(part.settings, page_size=10, start="15d")

    pages = sum(1 for found in part.module.pull_of(small, tenant.service.outside)({}) if isinstance(found, Pulled))

    assert pages > 150
    assert 90 <= tenant.fake.most_in_a_span() <= 100
    assert tenant.fake.refused == 0


@pytest.mark.parametrize(
    ("status", "code", "words", "mends"),
    [
        (
            *(403, "Authorization_RequestDenied", "Insufficient privileges"),
            (
                "grant ExchangeMessageTrace.Read.All as an application permission",
                "grant AuditLog.Read.All as an application permission",
            ),
        ),
        (
            *(401, "UnknownError", f"The service principal for App ID {TRACE_BACKEND} was not found."),
            (f"make it with `New-MgServicePrincipal -AppId {TRACE_BACKEND}`",) * 2,
        ),
        (
            *(403, "Authentication_RequestFromNonPremiumTenantOrB2CTenant", "Neither tenant is B2C"),
            ("needs an Entra ID P1 or P2 licence",) * 2,
        ),
        (
            *(401, "InvalidAuthenticationToken", "Lifetime validation failed"),
            ("this machine's clock is",) * 2,
        ),
    ],
    ids=["permission", "service_principal", "licence", "token"],
)
def test_a_source_that_microsoft_refuses_fails_alone_and_says_the_mend(
    tenant: Tenant, lake: Lake, status: int, code: str, words: str, mends: tuple[str, str]
) -> None:
    tenant.fake.faults = Faults(refusal=(status, {"error": {"code": code, "message": words}}))

    _, failures = tenant.service.ingest(lake)

    assert [failure.partition(":")[0] for failure in failures] == ["source traces", "source signins"]
    for failure, mend in zip(failures, mends, strict=True):
        assert f"Microsoft Graph answered {status} {code}" in failure
        assert mend in failure
    assert lake.one("SELECT count(*) FROM cursors WHERE complete_until IS NOT NULL") == 0


@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "no PEM"])
def test_an_authority_that_cannot_be_trusted_is_told_as_a_matter_of_the_settings(
    tmp_path: Path, content: str | None
) -> None:
    ca_file = tmp_path / "ca.pem"
    if content:
        ca_file.write_text(content)
    microsoft = Microsoft(tenant="contoso.example", client=CLIENT, ca_file=ca_file)
    settings = Settings(tmp_path / "authsunset.toml", LakeSettings(), TenantSettings(), AlertSettings(), microsoft)

    with pytest.raises(SettingsError, match=r"ca\.pem cannot be used: .*; put the authority's certificate there"):
        outside_of(settings, lambda: NOW, threading.Event())


def test_a_file_source_takes_no_span_and_a_wrong_span_is_a_usage_error(tmp_path: Path) -> None:
    settings = tmp_path / "authsunset.toml"
    settings.write_text('[lake]\nfolder = "lake"\n[source.relay]\nkind = "files"\npaths = ["/tmp/none"]\n')

    def ingest(*options: str) -> tuple[int, str]:
        ran = authsunset("-c", settings, "ingest", *options, cwd=tmp_path)
        return ran.code, ran.err

    for options, code, words in (
        (("--since", "30d", "--source", "relay"), 78, "reads all that is there anyway"),
        (("--since", "30d"), 78, "no source in the settings can be asked for a span of time"),
        (("--since", "soon"), 2, "'soon' is no time; give how long ago, such as 30d"),
        (("--since", "1d", "--until", "2d"), 2, "the span ends before it begins"),
        (("--until", "2d"), 2, "--until needs --since"),
    ):
        found = ingest(*options)
        assert (found[0], words in found[1]) == (code, True), found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (SETTINGS.replace("[microsoft]", "[microsft]"), "unknown table [microsft]; did you mean 'microsoft'?"),
        (SETTINGS.replace('start = "2d"', 'start = "200d"'), "Microsoft keeps 90 days"),
        (SETTINGS.replace("page_size = 150", "page_size = 9000"), "Microsoft takes 1 to 5000"),
        (SETTINGS.replace('secret = { env = "AUTHSUNSET_TEST_SECRET" }', ""), "exactly one of 'certificate'"),
        ("[lake]\n" + SETTINGS[SETTINGS.index("[source") :], "kind 'graph_signins' needs a table [microsoft]"),
    ],
)
def test_settings_that_cannot_work_are_told_offline(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "authsunset.toml"
    path.write_text(text)

    _, problems = read(path)

    assert problem in "\n".join(map(str, problems))
