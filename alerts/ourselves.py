"""
Say in words that a part of authsunset itself is in trouble: what, since when, with which error, and what is not known.

Such findings are about a job and not about a sender, so no evidence of mail belongs into them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from alerts.group import Group
from alerts.outbox import GIVE_UP_AFTER
from alerts.remedy.hint import render_own_hint
from pipeline.spans import in_words
from queries.detection import detection as detection_of
from queries.detection import detections
from queries.history import Noted

_A_LITTLE = timedelta(minutes=5)
_MOST_OTHERS = 6

_MEANWHILE: Mapping[str, str] = {
    "source": "Not seen meanwhile: what comes by {jobs}. A sender that is refused there raises no alarm, and no "
    "open problem there is called over.",
    "detection": "Not said meanwhile: the findings of {jobs}.",
    "delivery": "No message about any sender is written or sent meanwhile, on any channel.",
    "channel": f"No message reaches {{jobs}}: what is to be said there waits, is tried again for {GIVE_UP_AFTER.days} "
    "days, and only other channels say it.",
    "states": "The states of senders are still told by `authsunset senders`; only their history is not kept.",
    "reload": "The new settings are not in force; authsunset goes on with those of before.",
    "maintenance": "The lake is not looked after: nothing is missing, it only grows and gets slower.",
}
"""What a trouble means for those who rely on authsunset, by the first word of a job's name, the gravest first."""


def summary(group: Group) -> str:
    """Return what the trouble means for those who rely on authsunset, a line for each kind of job."""
    jobs = [job_of(noted) for noted in group.open]
    by_kind = {kind: [job for job in jobs if job.partition(" ")[0] == kind] for kind in _MEANWHILE}
    return "\n".join(_MEANWHILE[kind].format(jobs=_listed(named)) for kind, named in by_kind.items() if named)


def facts(group: Group, now: datetime) -> tuple[tuple[str, str], ...]:
    """Return the facts of the job that has been in trouble for longest, and the others in a line each."""
    worst, others = _worst_first(group)
    is_failing = _is_failing(worst)
    listed = [
        ("What fails" if is_failing else "What goes on", job_of(worst)),
        ("Since", f"{_moment(worst.first_seen)}, {in_words(now - worst.first_seen)} ago"),
        ("How often" if is_failing else "Turns that wait", _times(worst)),
        ("Last error", _error_of(worst)),
        *(("Also", _other(each, worst)) for each in others[:_MOST_OTHERS]),
        ("Also", f"{len(others) - _MOST_OTHERS} more" if len(others) > _MOST_OTHERS else ""),
    ]
    return tuple((label, value) for label, value in listed if value)


def facts_when_over(group: Group) -> tuple[tuple[str, str], ...]:
    """Return which jobs were in trouble, from when to when."""
    return tuple((job_of(each), f"{_moment(each.first_seen)} to {_moment(each.over_at)}") for each in group.findings)


def hint(group: Group) -> str:
    """Return the Markdown hint: what to look at first, and what then."""
    worst, others = _worst_first(group)
    kind, _, name = job_of(worst).partition(" ")
    return render_own_hint(
        detection_of(worst.detection).remedy,
        {
            "job": job_of(worst),
            "kind": kind,
            "name": name,
            "just_before": (worst.first_seen - _A_LITTLE).strftime("%Y-%m-%d %H:%M:%S UTC"),
            "looks_for": _looked_for(name) if kind == "detection" else "",
            "others": len(others),
            "is_one_cause": {_error_of(each) for each in others} == {_error_of(worst)},
        },
    )


def job_of(noted: Noted) -> str:
    """Return the job that a finding is about."""
    return str(noted.facts.get("job") or "")


def _worst_first(group: Group) -> tuple[Noted, tuple[Noted, ...]]:
    first, *others = group.open or group.findings
    return first, tuple(others)


def _listed(jobs: Sequence[str]) -> str:
    shown, more = jobs[:_MOST_OTHERS], len(jobs) - _MOST_OTHERS
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _looked_for(id: str) -> str:
    """Return what a detection says when it finds something."""
    title = next((each.title for each in detections() if each.id == id), "")
    return title.replace("{sender}", "a sender").replace("{job}", "a job")


def _other(noted: Noted, worst: Noted) -> str:
    error = _error_of(noted)
    why = "the same error" if error == _error_of(worst) else error
    return f"{job_of(noted)}, since {_moment(noted.first_seen)}" + (f": {why}" if why else "")


def _is_failing(noted: Noted) -> bool:
    return "error" in noted.facts


def _error_of(noted: Noted) -> str:
    return str(noted.facts.get("error") or "")


def _times(noted: Noted) -> str:
    times = int(noted.facts.get("times") or 0)
    return f"{times} times in a row" if _is_failing(noted) else str(times)


def _moment(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC") if moment else "now"
