"""What the commands share: the settings, the service, and where the lake is."""

from __future__ import annotations

from pathlib import Path

from pipeline.cli.output import Screen
from pipeline.lake.maintain import Maintained
from pipeline.service import Cycle, Service
from pipeline.settings import Settings, load


def settings_of(screen: Screen) -> Settings:
    """Return the settings that `--config` or the usual places hold."""
    return load(screen.config)


def service_of(screen: Screen) -> Service:
    """Return the service as the settings describe it."""
    return Service(settings_of(screen))


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
