"""Whether this machine's clock is right, as far as a server's Date header tells it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from pipeline.clock import Now
from pipeline.doctor.result import Group, Result, Topic

WARNING = timedelta(seconds=60)
BROKEN = timedelta(seconds=300)
"""Five minutes is what Entra ID forgives in the times of a signed log-in."""

_MEND = "set the clock and keep it set; with systemd:\ntimedatectl set-ntp true\non Windows: w32tm /resync"


def skew_at(http: httpx.Client, address: str, now: Now, timeout_s: float) -> timedelta | None:
    """Return how much the clock at `address` is ahead of ours, or None when its answer tells no time."""
    before = now()
    response = http.head(address, timeout=timeout_s, follow_redirects=False)
    middle = before + (now() - before) / 2
    try:
        return parsedate_to_datetime(response.headers["Date"]).astimezone(UTC) - middle
    except (KeyError, ValueError):
        return None


def clock(http: httpx.Client, address: str, now: Now, timeout_s: float) -> Result:
    """Return whether our clock agrees with the one at `address`."""
    topic = Topic(Group.MACHINE, "clock", httpx.URL(address).host)
    try:
        skew = skew_at(http, address, now, timeout_s)
    except httpx.HTTPError as error:
        return topic.skipped(f"no time came from there: {type(error).__name__}")
    return topic.skipped("the answer told no time") if skew is None else judged(topic, skew, now())


def judged(topic: Topic, skew: timedelta, now: datetime) -> Result:
    """Return what a difference of `skew` between there and here means."""
    seconds = abs(round(skew.total_seconds()))
    direction = "behind" if skew > timedelta(0) else "ahead"
    found = f"this machine's clock is {seconds} s {direction}: it says {now.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    if abs(skew) > BROKEN:
        return topic.broken(f"{found}; log-ins at Microsoft fail beyond {BROKEN.seconds} s", _MEND)
    if abs(skew) > WARNING:
        return topic.warning(found, _MEND)
    return topic.ok(f"this machine's clock is right to within {max(1, seconds)} s")
