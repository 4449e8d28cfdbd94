"""What the commands share: the settings, the service, and where the lake is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from pipeline.cli.output import Screen
from pipeline.lake.maintain import Maintained
from pipeline.model import Window
from pipeline.service import Cycle, Service
from pipeline.settings import Settings, load
from pipeline.spans import span_of


def settings_of(screen: Screen) -> Settings:
    """Return the settings that `--config` or the usual places hold."""
    return load(screen.config)


def service_of(screen: Screen) -> Service:
    """Return the service as the settings describe it."""
    return Service(settings_of(screen))


def span_asked(since: str | None, until: str | None, now: datetime) -> Window:
    """Return the span that the options name; raise UsageError for one that is none."""
    if since is None:
        raise click.UsageError("--until needs --since, where the span begins")
    window = Window(_moment("--since", since, now), _moment("--until", until, now) if until else now)
    if window.start >= window.end:
        raise click.UsageError(f"the span ends before it begins: --since is {since}, --until {until or 'now'}")
    return window


def _moment(option: str, text: str, now: datetime) -> datetime:
    """Return the whole second that `text` names: how long ago, or a date or time, in UTC where it names no zone."""
    try:
        moment = now - span_of(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            example = "give how long ago, such as 30d, or a time, such as 2026-12-01 or 2026-12-01T06:00Z"
            raise click.UsageError(f"{option}: {text!r} is no time; {example}") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).replace(microsecond=0)


def lake_folder(screen: Screen) -> Path:
    """Return the folder of the lake that the settings name."""
    return load(screen.config, with_parts=False).lake.folder


def tell(screen: Screen, cycle: Cycle) -> None:
    """Say on stderr what a cycle did, and every failure in it."""
    for outcome in cycle.ingested:
        for notice in outcome.notices:
            if not notice.is_failure:
                screen.say(f"{notice.origin}: {notice.sentence}")
        if outcome.chunks:
            screen.say(
                f"source {outcome.source}: {outcome.rows} new rows, {outcome.lines} lines, {outcome.rejects} rejects"
            )
    for found in cycle.detected:
        if found.noted:
            screen.say(
                f"detection {found.detection}: {found.opened} opened, {found.changed} changed, {found.ended} over"
            )
    sent = cycle.alerted
    if sent.intended or sent.delivered or sent.failed or sent.dead:
        screen.say(
            f"alerts: {sent.intended} new, {sent.delivered} delivered, {sent.failed} to try again, {sent.dead} given up"
        )
    for failure in cycle.failures:
        screen.warn(failure)
    if not cycle.rows and not sent.delivered and not cycle.failures:
        screen.say("nothing new")


def tell_maintained(screen: Screen, done: Maintained) -> None:
    """Say on stderr what maintenance did."""
    for sentence in done.sentences:
        screen.say(sentence)
    if not done.sentences:
        screen.say("the lake is in shape; nothing to do")
