"""
The service: builds real things from settings, runs a cycle, or puts the same steps on a scheduler.

Nothing else makes a client or a connection. One failing source, detection or channel never stops its neighbours; each
failure is said and counted. The scheduler's own defaults would skip a late job in silence, so they are set here.
"""

from __future__ import annotations

import random
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC
from pathlib import Path
from typing import Any

import httpx

from alerts.channels.email import connect
from alerts.dispatch import Outcome as AlertOutcome
from alerts.dispatch import Send, dispatch, plan
from pipeline.clock import Now, system_clock, utc_now
from pipeline.errors import AuthsunsetError, Place, SettingsError
from pipeline.feeds import forget_feeds
from pipeline.ingest import Outcome as IngestOutcome
from pipeline.ingest import run_source
from pipeline.lake import Lake
from pipeline.lake.maintain import Maintained, maintain, maintained_at
from pipeline.model import Pull, Window
from pipeline.outside import Outside
from pipeline.replay import Replayed, replay
from pipeline.settings import Part, Settings
from pipeline.stopping import until_stopped
from pipeline.zones import zone_of
from queries.detect import Outcome as DetectOutcome
from queries.detect import detect
from queries.detection import Detection, detection, detections
from queries.published import publish
from queries.states import note_states
from queries.tuning import tuned


@dataclass(slots=True)
class Cycle:
    """What one cycle did, and every failure in it as a sentence."""

    ingested: list[IngestOutcome] = field(default_factory=list)
    detected: list[DetectOutcome] = field(default_factory=list)
    alerted: AlertOutcome = field(default_factory=AlertOutcome)
    failures: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many rows were new."""
        return sum(outcome.rows for outcome in self.ingested)


@dataclass(slots=True)
class Service:
    """The three stages with everything handed in; `now` is the clock of all of them, `stop` ends each of them early."""

    settings: Settings
    now: Now = utc_now
    jitter: Callable[[], float] = random.random
    stop: threading.Event = field(default_factory=threading.Event)
    _outside: Outside | None = None
    _making: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def lake(self, *, read_only: bool = False) -> Iterator[Lake]:
        """Open the lake that the settings name."""
        lake = self.settings.lake
        with Lake.open(lake.folder, read_only=read_only, lock_deadline_s=lake.lock_deadline.total_seconds()) as opened:
            if not read_only:
                publish(opened)
                forget_feeds(opened, self.settings.sources)
            yield opened

    @property
    def outside(self) -> Outside:
        """What sources may use of the world, made when the first one is read; `close` ends it."""
        with self._making:  # several sources may be read at once
            if self._outside is None:
                self._outside = outside_of(self.settings, self.now, self.stop)
        return self._outside

    def close(self) -> None:
        """End the connections that sources have used."""
        if self._outside is not None:
            self._outside.http.close()
            self._outside = None

    def with_settings(self, settings: Settings) -> Service:
        """Return this service under other settings; what runs by the old ones keeps the connections that it has."""
        is_same_world = (settings.microsoft, settings.lake) == (self.settings.microsoft, self.settings.lake)
        return replace(self, settings=settings, _outside=self._outside if is_same_world else None)

    def ingest(self, lake: Lake, names: tuple[str, ...] = ()) -> tuple[list[IngestOutcome], list[str]]:
        """Read each source, or those named; return what they brought and what failed."""
        return self._read(lake, self._sources(names), lambda part: part.module.pull_of(part.settings, self.outside), "")

    def backfill(self, lake: Lake, names: tuple[str, ...], window: Window) -> tuple[list[IngestOutcome], list[str]]:
        """Read `window` of the sources named, or of all that can be asked for one, beside their usual runs."""
        parts = [part for part in self._sources(names) if names or hasattr(part.module, "backfill")]
        for part in parts:
            if not hasattr(part.module, "backfill"):
                sentence = f"kind {part.kind!r} reads all that is there anyway, so it takes no span; leave --since out"
                raise SettingsError(sentence, place=part.place)
        if not parts:
            raise SettingsError(
                "no source in the settings can be asked for a span of time", place=Place(self.settings.path)
            )
        errand = f"backfill {window.start.isoformat()}/{window.end.isoformat()}"
        return self._read(lake, parts, lambda part: part.module.backfill(part.settings, self.outside, window), errand)

    def _read(
        self, lake: Lake, parts: list[Part], pull_of: Callable[[Part], Pull], errand: str
    ) -> tuple[list[IngestOutcome], list[str]]:
        outcomes, failures = [], []
        for part in parts:
            if self.stop.is_set():
                break
            try:
                pull = until_stopped(pull_of(part), self.stop)
                outcome = run_source(lake, part.name, pull, self.now, errand=errand)
            except AuthsunsetError as error:
                failures.append(f"source {part.name}: {error}")
                continue
            outcomes.append(outcome)
            failures += [f"{notice.origin}: {notice.sentence}" for notice in outcome.failures]
        return outcomes, failures

    def detect(self, lake: Lake, names: tuple[str, ...] = ()) -> tuple[list[DetectOutcome], list[str]]:
        """Ask each detection, or those named; return what they found and what failed."""
        outcomes, failures = [], []
        for name in names:
            detection(name)  # one that does not exist is said, with those that do
        for each in self.detections():
            if self.stop.is_set():
                break
            if names and not {each.id, each.id.rpartition("/")[2]} & set(names):
                continue
            try:
                outcomes.append(detect(lake, each, self.now()))
            except AuthsunsetError as error:
                failures.append(f"detection {each.id}: {error}")
        return outcomes, failures

    def states(self, lake: Lake) -> int:
        """Keep the states of senders that have changed; return how many have."""
        return note_states(lake, self.now())

    def states_when_they_can(self, lake: Lake) -> list[str]:
        """Keep the states of senders within a cycle; return what failed."""
        try:
            self.states(lake)
        except AuthsunsetError as error:
            return [f"states: {error}"]
        return []

    def alert(self, lake: Lake) -> tuple[AlertOutcome, list[str]]:
        """Plan what is to be said, and send what is due."""
        settings = self.settings
        intended = plan(
            lake, list(settings.channels), self.now(), settings.alerts.remind_after, settings.tenant.domains
        )
        with channels_of(settings) as channels:
            outcome = dispatch(lake, channels, self.now, self.jitter, self.stop.is_set)
        outcome.intended = intended
        return outcome, outcome.errors

    def maintain(self, lake: Lake) -> Maintained:
        """Bring the lake into shape, and let go what the settings no longer keep."""
        settings = self.settings.lake
        return maintain(lake, self.now(), settings.keep, settings.keep_snapshots)

    def maintain_when_due(self, lake: Lake) -> list[str]:
        """Maintain the lake when `maintain_every` is over since the last time; return what failed."""
        last = maintained_at(lake)
        if self.stop.is_set() or (last is not None and self.now() - last < self.settings.lake.maintain_every):
            return []
        try:
            self.maintain(lake)
        except AuthsunsetError as error:
            return [f"maintenance: {error}"]
        return []

    def replay(self, lake: Lake) -> Replayed:
        """Read what is in quarantine again, each record in the zone of its source."""
        zones = {name: zone_of(getattr(part.settings, "zone", "local")) for name, part in self.settings.sources.items()}
        return replay(lake, self.now(), lambda source: zones.get(source, UTC))

    def cycle(self, lake: Lake) -> Cycle:
        """Run each stage once."""
        done = Cycle()
        done.ingested, failures = self.ingest(lake)
        done.failures += failures
        done.detected, failures = self.detect(lake)
        done.failures += failures
        done.failures += self.states_when_they_can(lake)
        done.alerted, failures = self.alert(lake)
        done.failures += failures
        done.failures += self.maintain_when_due(lake)
        return done

    def detections(self) -> list[Detection]:
        """Return the detections as the settings want them; raise SettingsError that names every problem of those."""
        found, problems = tuned(detections(), self.settings.detections, self.settings.place_of_detection)
        if problems:
            raise SettingsError("\n".join(str(problem) for problem in problems))
        return found

    def _sources(self, names: tuple[str, ...]) -> list[Part]:
        unknown = set(names) - set(self.settings.sources)
        if unknown:
            raise SettingsError(
                f"no source {', '.join(sorted(unknown))}; there is {', '.join(self.settings.sources) or 'none'}"
            )
        return [part for name, part in self.settings.sources.items() if not names or name in names]


def outside_of(settings: Settings, now: Now, stop: threading.Event) -> Outside:
    """Return the real world for the sources of `settings`: a clock whose waits `stop` ends, a network, a folder."""
    clock = replace(system_clock(stop), now=now)
    microsoft = settings.microsoft
    # Unlike a webhook, Microsoft may be reached through the proxy that the environment names, as most servers must.
    http = httpx.Client(follow_redirects=False, verify=_trust(microsoft.ca_file if microsoft else None))
    folder = settings.lake.folder
    if microsoft is None:
        return Outside(clock, folder, http)
    from pipeline.graph.client import graph_of

    return Outside(clock, folder, http, graph_of(microsoft, http, folder, clock))


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    """Return what the machine trusts, or `ca_file` alone; raise SettingsError when it holds no authority."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        reason = "it holds no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        sentence = f"'ca_file' {ca_file} cannot be used: {reason}; put the authority's certificate there"
        raise SettingsError(sentence, place=Place(key="microsoft")) from None


@contextmanager
def channels_of(settings: Settings) -> Iterator[dict[str, Send]]:
    """Yield each channel as a function that takes a message, its client handed in; clients are closed after."""
    with httpx.Client(follow_redirects=False, trust_env=False) as client:
        clients: dict[str, Any] = {"http": client, "smtp": connect}
        yield {name: _send_on(part, clients[part.module.USES]) for name, part in settings.channels.items()}


def _send_on(part: Part, client: Any) -> Send:
    return lambda message: part.module.send(message, part.settings, client)
