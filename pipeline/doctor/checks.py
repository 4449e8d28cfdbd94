"""Which checks there are, for these settings: one for each thing that can fail or hang by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from pipeline.clock import Now
from pipeline.doctor.asked import asked
from pipeline.doctor.certificate import proof
from pipeline.doctor.clock import clock
from pipeline.doctor.disk import disk, space_of
from pipeline.doctor.exports import ages
from pipeline.doctor.facts import quoted
from pipeline.doctor.files import files
from pipeline.doctor.folder import owner, owners, writable
from pipeline.doctor.lake import openable, unlocked
from pipeline.doctor.meet import trust
from pipeline.doctor.microsoft import microsoft
from pipeline.doctor.reach import Network, reach
from pipeline.doctor.result import Group, Result, Topic
from pipeline.doctor.run import Check
from pipeline.doctor.secrets import secrets
from pipeline.doctor.zone import this_machine, zones
from pipeline.errors import SettingsError
from pipeline.graph.client import Graph
from pipeline.graph.identity import Settings as Tenant
from pipeline.needs import Endpoint, Needs, needs_of
from pipeline.settings import Part, Settings

TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class World:
    """What the checks look at: the clock, the network, and the tenant if there is one."""

    now: Now
    http: httpx.Client
    graph: Graph | None = None
    network: Network = field(default_factory=Network)


def checks_of(settings: Settings, world: World) -> list[Check]:
    """Return all checks of `settings`, whose tenant is that of `world.graph`."""
    return [
        *_of_settings(settings, world.graph),
        *_of_machine(settings, world),
        *_of_lake(settings),
        *_of_microsoft(settings, world),
        *(_of_part(Group.SOURCES, part, world) for part in settings.sources.values()),
        *(_of_part(Group.CHANNELS, part, world) for part in settings.channels.values()),
    ]


def settings_file(settings: Settings | None, path: Path, problems: Sequence[SettingsError]) -> list[Result]:
    """Return how the settings file is; what is wrong in it keeps everything else from starting."""
    topic = Topic(Group.SETTINGS, "settings", str(path))
    if settings and not problems:
        named = f"sources: {', '.join(settings.sources) or 'none'}; channels: {', '.join(settings.channels) or 'none'}"
        nothing = topic.warning("there is no source, so nothing is read", "add a [source.NAME] as README.md shows")
        nobody = topic.warning("there is no channel, so nobody is told", "add a [channel.NAME] as README.md shows")
        return [topic.ok(named), *([] if settings.sources else [nothing]), *([] if settings.channels else [nobody])]
    return [
        Topic(Group.SETTINGS, "settings", str(problem.place)).broken(
            problem.sentence, "correct that line, then look again:\nauthsunset config check"
        )
        for problem in problems
    ]


def _of_settings(settings: Settings, graph: Graph | None) -> Iterator[Check]:
    parts = {part.place.key or name: part.settings for name, part in _parts(settings)}
    sections = ({"microsoft": graph.settings} if graph else {}) | parts
    yield Check(Topic(Group.SETTINGS, "secret", str(settings.path)), lambda: secrets(sections))


def _of_machine(settings: Settings, world: World) -> Iterator[Check]:
    local = [
        name for name, part in settings.sources.items() if str(getattr(part.settings, "zone", "")).lower() == "local"
    ]
    yield Check(Topic(Group.MACHINE, "time zone", ""), lambda: zones(local, this_machine()))
    yield Check(Topic(Group.MACHINE, "clock", ""), lambda: [_clock(world)])


def _clock(world: World) -> Result:
    if world.graph is None:
        return Topic(Group.MACHINE, "clock", "").skipped(
            "without [microsoft] no server is asked for the time; see that NTP keeps it: timedatectl"
        )
    return clock(world.http, world.graph.settings.graph, world.now, TIMEOUT_S)


def _of_lake(settings: Settings) -> Iterator[Check]:
    folder = settings.lake.folder.absolute()
    about = str(folder)
    again = f"authsunset -c {quoted(settings.path.absolute())} doctor"
    yield Check(Topic(Group.LAKE, "folder", about), lambda: [writable(Group.LAKE, about, folder)])
    yield Check(Topic(Group.LAKE, "user", about), lambda: owner(folder, owners(folder), again))
    yield Check(Topic(Group.LAKE, "disk", about), lambda: [disk(folder, space_of(folder))])
    yield Check(Topic(Group.LAKE, "catalog", about), lambda: [openable(folder)])
    yield Check(Topic(Group.LAKE, "writer lock", about), lambda: [unlocked(folder)])


def _of_microsoft(settings: Settings, world: World) -> Iterator[Check]:
    needs = _told(settings.sources)
    graph = world.graph
    if graph is None:
        return
    tenant = graph.settings
    yield Check(Topic(Group.MICROSOFT, "certificate", tenant.client), lambda: [proof(tenant, world.now())])
    yield Check(Topic(Group.MICROSOFT, "ca_file", str(tenant.ca_file)), lambda: _ca_file(tenant))
    for address in (tenant.authority, tenant.graph):
        yield Check(Topic(Group.MICROSOFT, "connection", httpx.URL(address).host), _asking(address, world))
    yield Check(Topic(Group.MICROSOFT, "log-in", tenant.tenant), lambda: microsoft(graph, needs))


def _ca_file(tenant: Tenant) -> Iterator[Result]:
    if tenant.ca_file is not None:
        trust(tenant.ca_file, is_web=False)  # raises what is wrong with it
        yield Topic(Group.MICROSOFT, "ca_file", str(tenant.ca_file)).ok("holds the only authority that is trusted")


def _of_part(group: Group, part: Part, world: World) -> Check:
    return Check(Topic(group, part.kind, part.name), lambda: _part(group, part, world))


def _part(group: Group, part: Part, world: World) -> Iterator[Result]:
    needs = needs_of(part.module, part.settings)
    yield from files(part.name, needs.files)
    for folder in needs.folders:
        yield writable(group, part.name, folder)
    deliveries = getattr(part.module, "ages", None)
    if deliveries is not None:
        tenant = world.graph.settings.tenant if world.graph else ""
        yield from ages(part.name, deliveries(part.settings, world.now()), world.now(), tenant)
    yield from _reaching(group, part.name, needs.endpoints, world)()
    if needs == Needs() and deliveries is None:
        yield Topic(group, part.kind, part.name).skipped("needs nothing that could be looked at")


def _reaching(group: Group, about: str, endpoints: Iterable[Endpoint], world: World) -> Callable[[], Iterator[Result]]:
    def look() -> Iterator[Result]:
        for endpoint in endpoints:
            yield from reach(group, about, endpoint, world.network, world.now())

    return look


def _asking(address: str, world: World) -> Callable[[], list[Result]]:
    return lambda: [asked(address, world.http, world.network, TIMEOUT_S)]


def _told(sources: Mapping[str, Part]) -> dict[str, Needs]:
    """Return what each of `sources` needs; one that cannot say it is told of by its own check."""
    told = {}
    for name, part in sources.items():
        try:
            told[name] = needs_of(part.module, part.settings)
        except SettingsError:
            continue
    return told


def _parts(settings: Settings) -> Iterator[tuple[str, Part]]:
    yield from settings.sources.items()
    yield from settings.channels.items()
