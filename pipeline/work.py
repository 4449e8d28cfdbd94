"""
What each job does: open the lake, let the service do its part, and tell what came of it.

A verdict is about a job as people know it, and is '' where it got through. The delivery speaks for each channel too,
and only for those that had something to take: an outbox that is empty proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from alerts.outbox import waiting
from pipeline.ingest import Outcome as IngestOutcome
from pipeline.lake import Lake
from pipeline.service import Cycle, Service

Say = Callable[[str], None]

_MOST_UNSAID = 10


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run went: the verdict on each job that it speaks for, and each failure as a sentence for people."""

    verdicts: Mapping[str, str]
    failures: Sequence[str] = ()


def ingest(service: Service, name: str, say: Say) -> Ran:
    """Read one source."""
    job = f"source {name}"
    with service.lake() as lake:
        outcomes, failures = service.ingest(lake, (name,))
    for outcome in outcomes:
        if outcome.rows or outcome.rejects:
            say(f"{job}: {outcome.rows} new rows, {outcome.rejects} rejects")
    return Ran({f"source {each.source}": trouble_of(each) for each in outcomes} or _failed([job], failures), failures)


def detect(service: Service, id: str, say: Say) -> Ran:
    """Ask one detection."""
    job = f"detection {id}"
    with service.lake() as lake:
        outcomes, failures = service.detect(lake, (id,))
    for outcome in outcomes:
        if outcome.noted:
            say(f"{job}: {outcome.opened} opened, {outcome.changed} changed, {outcome.ended} over")
    return Ran({f"detection {each.detection}": "" for each in outcomes} or _failed([job], failures), failures)


def states(service: Service, say: Say) -> Ran:
    """Keep the states of senders that have changed."""
    with service.lake() as lake:
        changed = service.states(lake)
    if changed:
        say(f"states: {changed} senders have another one")
    return Ran({"states": ""})


def alert(service: Service, say: Say) -> Ran:
    """Write and send what is due on all channels."""
    with service.lake() as lake:
        outcome, failures = service.alert(lake)
        unsaid = _unsaid(lake) if failures else []
    if outcome.intended or outcome.delivered:
        say(
            f"delivery: {outcome.intended} new, {outcome.delivered} delivered, "
            f"{outcome.failed} to try again, {outcome.dead} given up"
        )
    channels = {f"channel {name}": answer for name, answer in outcome.answers.items()}
    return Ran({"delivery": "", **channels}, [*failures, *unsaid])


def maintain(service: Service, say: Say) -> Ran:
    """Look after the lake."""
    with service.lake() as lake:
        for sentence in service.maintain(lake).sentences:
            say(f"maintenance: {sentence}")
    return Ran({"maintenance": ""})


def verdicts_of(cycle: Cycle, jobs: Sequence[str]) -> dict[str, str]:
    """Return the verdict on each of `jobs` that `cycle` has run."""
    through = {f"source {each.source}": trouble_of(each) for each in cycle.ingested}
    through |= {f"detection {each.detection}": "" for each in cycle.detected}
    through |= {f"channel {name}": answer for name, answer in cycle.alerted.answers.items()}
    return {"states": "", "delivery": "", "maintenance": ""} | _failed(jobs, cycle.failures) | through


def trouble_of(outcome: IngestOutcome) -> str:
    """Return what a source could not read and will not the next time either; a gap is said once and is no trouble."""
    lasting = (notice for notice in outcome.failures if not notice.is_gap and not notice.is_foreign)
    return "; ".join(f"{notice.origin} {notice.sentence}" for notice in lasting)


def _failed(jobs: Sequence[str], failures: Sequence[str]) -> dict[str, str]:
    """Return the error of each of `jobs` that one of `failures` begins with."""
    named = ((job, failure) for failure in failures for job in jobs if failure.startswith(f"{job}: "))
    return {job: failure.removeprefix(f"{job}: ") for job, failure in named}


def _unsaid(lake: Lake) -> list[str]:
    """Return what each channel that takes nothing has not been told of, for those who read along here."""
    by_channel: dict[str, list[str]] = {}
    for row in waiting(lake):
        if row["state"] == "failed":
            by_channel.setdefault(row["channel"], []).append(row["thread"])
    return [
        f"channel {name} was not told of {', '.join(threads[:_MOST_UNSAID])}"
        + (f" and {len(threads) - _MOST_UNSAID} more" if len(threads) > _MOST_UNSAID else "")
        for name, threads in by_channel.items()
    ]
