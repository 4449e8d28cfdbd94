"""All checks of some settings: what sources and channels say they need, and that no secret shows."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from pipeline.doctor.checks import World, checks_of, settings_file
from pipeline.doctor.meet import Met
from pipeline.doctor.reach import Network
from pipeline.doctor.result import Group, Result, State
from pipeline.doctor.run import run
from pipeline.errors import Place, SettingsError
from pipeline.graph.client import Graph
from pipeline.kinds import find, known
from pipeline.needs import Age, Endpoint, Needs, Permission, Way
from pipeline.secret import Secret
from pipeline.settings import AlertSettings, LakeSettings, Part, Settings, TenantSettings
from tests.alerts.channels.samples import CANARY, URL, settings_of
from tests.pipeline.doctor.conftest import NOW, Microsoft, Pair, graph_of

EVERY = timedelta(seconds=10)
CHANNELS = [find("alerts.channels", name) for name in known("alerts.channels")]


@dataclass(frozen=True)
class Source:
    password: Secret | None = None
    zone: str = "UTC"


def part(
    name: str,
    needs: Callable[[object], Needs] | None = None,
    ages: Callable[[object, datetime], Iterable[Age]] | None = None,
    settings: object = Source(),
) -> Part:
    module = ModuleType(name)
    if needs is not None:
        module.needs = needs  # type: ignore[attr-defined]
    if ages is not None:
        module.ages = ages  # type: ignore[attr-defined]
    return Part(name, f"kind_of_{name}", module, settings, EVERY, Place("x.toml", 1, f"source.{name}"))


def settings_with(folder: Path, sources: Iterable[Part] = (), channels: Iterable[Part] = ()) -> Settings:
    lake = LakeSettings(folder=folder / "lake")
    return Settings(
        folder / "x.toml",
        lake,
        TenantSettings(),
        AlertSettings(),
        sources={each.name: each for each in sources},
        channels={each.name: each for each in channels},
    )


def looked_at(
    settings: Settings, graph: Graph | None = None, meet: Callable[[Endpoint], Met] | None = None
) -> list[Result]:
    network = Network(lambda _host, _port: ["192.0.2.1"], meet or (lambda _: Met("TLSv1.3")))
    with httpx.Client(transport=httpx.MockTransport(Microsoft())) as http:
        return run(checks_of(settings, World(lambda: NOW, http, graph, network)), 10)


def about(name: str, results: Iterable[Result]) -> list[Result]:
    return [result for result in results if result.about.partition(":")[0] == name]


def test_each_group_is_looked_at(tmp_path: Path) -> None:
    traces = Needs(permissions=(Permission("AuditLog.Read.All"),), asks=("/v1.0/auditLogs/signIns?$top=1",))
    there = Microsoft(graph_roles=("AuditLog.Read.All",))
    oncall = part("oncall", lambda _: Needs(endpoints=(Endpoint("relay.contoso.example", 25, Way.STARTTLS),)))

    with graph_of(there, tmp_path) as graph:
        found = looked_at(settings_with(tmp_path, [part("signins", lambda _: traces)], [oncall]), graph)

    assert list(dict.fromkeys(result.group for result in found)) == list(Group)
    assert not [result for result in found if result.state is State.BROKEN]
    assert [result.about for result in found if result.check == "connection"] == [
        "login.microsoftonline.com",
        "graph.microsoft.com",
        "oncall",
    ]


def test_a_source_says_itself_what_it_reads_writes_and_waits_for(tmp_path: Path) -> None:
    shutil.copy(__file__, tmp_path / "mail.log")
    needs = Needs(files=(str(tmp_path / "*.log"),), folders=(tmp_path,))
    late = Age("switches", tmp_path, NOW - timedelta(days=3), timedelta(days=1))
    exports = part("exports", lambda _: needs, lambda _settings, now: [late] if now == NOW else [])

    found = about("exports", looked_at(settings_with(tmp_path, [exports])))

    assert [(result.check, result.state) for result in found] == [
        ("files", State.OK),
        ("folder", State.OK),
        ("export", State.BROKEN),
    ]


def test_one_that_says_nothing_is_told_as_such(tmp_path: Path) -> None:
    [found] = about("quiet", looked_at(settings_with(tmp_path, [part("quiet")])))

    assert found.state is State.SKIPPED


def test_one_that_cannot_say_what_it_needs_does_not_stop_the_others(tmp_path: Path) -> None:
    def fails(_: object) -> Needs:
        raise SettingsError("the variable URL is not set: it should hold a secret")

    well = part("well", lambda _: Needs(permissions=(Permission("AuditLog.Read.All"),)))
    with graph_of(Microsoft(graph_roles=("AuditLog.Read.All",)), tmp_path) as graph:
        found = looked_at(settings_with(tmp_path, [part("ill", fails), well]), graph)

    [ill] = about("ill", found)
    assert (ill.state, ill.found) == (State.BROKEN, "the variable URL is not set: it should hold a secret")
    assert {result.state for result in about("well", found)} == {State.OK}


def test_secrets_of_all_tables_are_looked_at(tmp_path: Path) -> None:
    missing = Source(Secret.from_setting({"file": str(tmp_path / "none")}))
    with graph_of(Microsoft(), tmp_path) as graph:
        found = looked_at(settings_with(tmp_path, [part("bounces", settings=missing)]), graph)

    assert [(result.about, result.state) for result in found if result.check == "secret"] == [
        ("[microsoft] secret", State.OK),
        ("[source.bounces] password", State.BROKEN),
    ]


def test_two_constants_say_what_a_source_needs_of_graph(tmp_path: Path) -> None:
    signins = part("signins")
    signins.module.PERMISSIONS = ("AuditLog.Read.All",)  # type: ignore[attr-defined]
    signins.module.PATH = "/v1.0/auditLogs/signIns"  # type: ignore[attr-defined]
    there = Microsoft(graph_roles=("AuditLog.Read.All",))

    with graph_of(there, tmp_path) as graph:
        found = about("signins", looked_at(settings_with(tmp_path, [signins]), graph))

    assert [(result.check, result.state) for result in found] == [("permission", State.OK), ("answer", State.OK)]
    assert there.asked == ["/v1.0/auditLogs/signIns"]


def test_a_ca_file_of_microsoft_is_looked_at(tmp_path: Path, authority: Pair) -> None:
    there = Microsoft()
    with graph_of(there, tmp_path, ca_file=tmp_path / "none.pem") as graph:
        ill = looked_at(settings_with(tmp_path), graph)
    with graph_of(there, tmp_path, ca_file=authority.file(tmp_path)) as graph:
        well = looked_at(settings_with(tmp_path), graph)

    assert ["none.pem cannot be read" in result.found for result in ill if result.check == "ca_file"] == [True]
    assert [result.state for result in well if result.check == "ca_file"] == [State.OK]


def test_without_microsoft_the_clock_is_not_judged(tmp_path: Path) -> None:
    found = looked_at(settings_with(tmp_path))

    assert [result.state for result in found if result.check == "clock"] == [State.SKIPPED]
    assert not [result for result in found if result.group is Group.MICROSOFT]


def test_sources_in_the_local_zone_are_named(tmp_path: Path) -> None:
    sources = [part("relay", settings=Source(zone="local")), part("other", settings=Source(zone="UTC"))]

    found = looked_at(settings_with(tmp_path, sources))

    assert [result.about for result in found if result.check == "time zone"] == ["relay"]


def test_looking_leaves_no_trace(tmp_path: Path) -> None:
    looked_at(settings_with(tmp_path))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.__name__)
def test_a_channel_says_where_it_goes_and_shows_no_more_than_the_host(channel: ModuleType, tmp_path: Path) -> None:
    oncall = Part("oncall", "x", channel, settings_of(channel, tmp_path), EVERY, Place(key="channel.oncall"))

    def unreachable(_: Endpoint) -> Met:
        raise TimeoutError

    well = looked_at(settings_with(tmp_path, channels=[oncall]))
    ill = looked_at(settings_with(tmp_path, channels=[oncall]), meet=unreachable)

    assert [result.state for result in about("oncall", well)] == [State.OK]
    assert [result.state for result in about("oncall", ill)] == [State.BROKEN]
    shown = repr([*well, *ill])
    assert CANARY not in shown
    assert URL not in shown
    assert "sig=" not in shown


def test_problems_of_the_settings_file_are_told_by_their_place(tmp_path: Path) -> None:
    [found] = settings_file(None, tmp_path / "x.toml", [SettingsError("unknown key 'pth'", place=Place("x.toml", 3))])

    assert (found.about, found.state, found.found) == ("x.toml:3", State.BROKEN, "unknown key 'pth'")
    assert "authsunset config check" in found.mend


def test_settings_without_sources_or_channels_are_a_warning(tmp_path: Path) -> None:
    found = settings_file(settings_with(tmp_path), tmp_path / "x.toml", [])

    assert [result.state for result in found] == [State.OK, State.WARNING, State.WARNING]
    assert found[0].found == "sources: none; channels: none"
