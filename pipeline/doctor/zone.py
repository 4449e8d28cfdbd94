"""In which time zone a log is read whose times name none, and whether zones are known here at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path

from pipeline.doctor.result import Group, Result, Topic
from pipeline.errors import SettingsError
from pipeline.zones import zone_of

SAMPLE = "Europe/Berlin"
"""Any zone that is not UTC: where it is missing, all are."""

_TELLING = ("/etc/localtime", "/etc/timezone", "/etc/sysconfig/clock", "/usr/local/etc/localtime")
_CONTAINER = ("/.dockerenv", "/run/.containerenv")
_MEND = (
    "name the zone in which the log is written, in the table of each of these sources:\n"
    'zone = "Europe/Berlin"\nor set it for the machine or container:\ntimedatectl set-timezone Europe/Berlin'
)


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine says of its zone: whether it says one at all, and whether it is only a container."""

    is_told: bool
    is_container: bool


def this_machine() -> Machine:
    """Return what the system says; on Windows it always tells."""
    is_told = os.name == "nt" or bool(os.environ.get("TZ")) or any(Path(path).exists() for path in _TELLING)
    marks = any(Path(path).exists() for path in _CONTAINER)
    return Machine(is_told, marks or bool(os.environ.get("KUBERNETES_SERVICE_HOST")))


def zones(local_sources: Sequence[str], machine: Machine, find: Callable[[str], tzinfo] = zone_of) -> Iterator[Result]:
    """Yield whether zones are known here, and which one `local_sources`, whose zone is 'local', are read in."""
    topic = Topic(Group.MACHINE, "time zones", SAMPLE)
    try:
        find(SAMPLE)
    except SettingsError:
        mend = "install them:\napt-get install tzdata\nor, into our own environment:\npip install tzdata"
        yield topic.broken("this machine knows no time zones: the tz database is missing", mend)
    else:
        yield topic.ok("the tz database is there")
    if local_sources:
        yield _local(Topic(Group.MACHINE, "time zone", ", ".join(local_sources)), machine, find)


def _local(topic: Topic, machine: Machine, find: Callable[[str], tzinfo]) -> Result:
    try:
        name = str(find("local"))
    except SettingsError as error:
        return topic.broken(error.sentence, _MEND)
    read = f"times that name no zone are read as {name}, which is this machine's"
    if not machine.is_told:
        return topic.warning(f"this machine does not tell its zone; {read} for want of another", _MEND)
    if machine.is_container and name.rpartition("/")[2].upper() in {"UTC", "UCT", "ZULU", "GMT"}:
        return topic.warning(f"{read}, but only because a container has no other; the log's writer may have one", _MEND)
    return topic.ok(read)
