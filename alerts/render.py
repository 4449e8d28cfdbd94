"""Write the message about a group of findings: plain words, the numbers that matter, and the way out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from alerts import ourselves
from alerts.decide import Reason
from alerts.group import Group
from alerts.message import Message
from alerts.remedy import WAY_OUT, Advice, advise, render_finding_hint
from pipeline.model import event_id_of
from pipeline.replies import meaning_of
from pipeline.spans import in_words
from queries.detection import detection as detection_of
from queries.facts import SenderFacts
from queries.history import Noted

_MOST_DEVICES = 5
_MOST_OTHERS = 6
_SAID_ELSEWHERE = frozenset({"sender", "first_seen", "last_seen"})
_ABOUT_OUR_JOBS = "health/job_"
_PLACE = re.compile(r"\{(\w+)\}")
_MOMENT = re.compile(r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d):\d\d(?:\.\d+)?\+00:00$")


def render(group: Group, reason: Reason, facts: Mapping[str, SenderFacts], now: datetime) -> Message:
    """Return the message about `group`; `facts` are those of each finding about a sender, by fingerprint."""
    first = group.findings[0]
    is_over = reason is Reason.RESOLVED
    told = _told(group, facts.get(first.fingerprint), reason, now)
    return Message(
        id=event_id_of(group.thread, reason, *sorted(group.firing), now.isoformat()),
        thread=group.thread,
        reason=reason.value,
        severity="info" if is_over else first.severity,
        title=_title(group, is_over=is_over),
        summary=_over(group, now) if is_over else told.summary,
        facts=told.facts,
        hint=told.hint,
        noticed_at=now,
        data=_data(group, facts, told.advice),
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """What differs between a message about a refused sender, one about ourselves, and one about anything else."""

    summary: str
    facts: tuple[tuple[str, str], ...]
    hint: str
    advice: Advice | None = None


def _told(group: Group, about: SenderFacts | None, reason: Reason, now: datetime) -> _Told:
    first = group.findings[0]
    if first.detection.startswith(_ABOUT_OUR_JOBS):
        return _told_of_us(group, reason, now)
    if about and detection_of(first.detection).remedy in WAY_OUT:
        return _told_of_sender(group, about, reason, now)
    return _told_of_finding(group, about, reason, now)


def _told_of_finding(group: Group, about: SenderFacts | None, reason: Reason, now: datetime) -> _Told:
    first = group.findings[0]
    facts = _facts_of_finding(group, about)
    if reason is Reason.RESOLVED:
        return _Told("", facts, "")
    detection = detection_of(first.detection)
    others = sum(other.detection == first.detection for other in group.open if other is not first)
    hint = render_finding_hint(detection.remedy, detection, first.facts, others, about)
    return _Told(_late(first, detection.why, reason, now), facts, hint)


def _facts_of_finding(group: Group, about: SenderFacts | None) -> tuple[tuple[str, str], ...]:
    """Return what the detection found, column by column, and the others in a line each."""
    first = group.findings[0]
    own = [(label_of(name), text_of(value)) for name, value in first.facts.items() if name not in _SAID_ELSEWHERE]
    others = [other for other in group.open if other is not first]
    listed = [
        ("Sender", first.sender),
        ("Device", _devices(about) if about and "devices" not in first.facts else ""),
        *own,
        ("First seen", _moment(first.first_seen)),
        ("Last seen", _moment(first.last_seen)),
        *(("Also", title_of(other)) for other in others[:_MOST_OTHERS]),
        ("Also", f"{len(others) - _MOST_OTHERS} more" if len(others) > _MOST_OTHERS else ""),
    ]
    return tuple((label, value) for label, value in listed if value)


def label_of(column: str) -> str:
    """Return the name of a column as words."""
    words = column.replace("_", " ")
    return f"{words[:1].upper()}{words[1:]}".replace(" ip", " IP")


def text_of(value: Any) -> str:
    """Return a value of a finding as text for people; '' where there is none."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:,.2f}".rstrip("0").rstrip(".")
        case list() | tuple():
            return ", ".join(text_of(each) for each in value)
        case _:
            return _MOMENT.sub(r"\1 \2 UTC", str(value))


def _told_of_sender(group: Group, about: SenderFacts, reason: Reason, now: datetime) -> _Told:
    if reason is Reason.RESOLVED:
        return _Told("", _facts(group, about, None), "")
    advice, hint = advise(about)
    return _Told(_summary(group.findings[0], about, reason, now), _facts(group, about, advice), hint, advice)


def _told_of_us(group: Group, reason: Reason, now: datetime) -> _Told:
    if reason is Reason.RESOLVED:
        return _Told("", ourselves.facts_when_over(group), "")
    return _Told(ourselves.summary(group), ourselves.facts(group, now), ourselves.hint(group))


def hint_of(noted: Noted, facts: SenderFacts) -> tuple[str, Advice | None]:
    """Return the hint for one finding about a sender, and the way out where there is one to choose."""
    detection = detection_of(noted.detection)
    if detection.remedy in WAY_OUT:
        advice, hint = advise(facts)
        return hint, advice
    return render_finding_hint(detection.remedy, detection, noted.facts, 0, facts), None


def title_of(noted: Noted) -> str:
    """Return the title of a finding, with the sender or whatever else it is about."""
    detection = detection_of(noted.detection)
    return _PLACE.sub(lambda place: text_of(noted.facts.get(place[1])) or "(unknown)", detection.title)


def late_by(noted: Noted, now: datetime) -> str:
    """Return how late a finding was noticed, in words; '' when it was not late."""
    return in_words(now - noted.last_seen) if noted.is_late else ""


def _title(group: Group, *, is_over: bool) -> str:
    title = title_of(group.findings[0])
    if is_over:
        return f"Over: {title}"
    more = len(group.open) - 1
    return f"{title} (and {more} more)" if more else title


def _summary(noted: Noted, facts: SenderFacts, reason: Reason, now: datetime) -> str:
    sentences = [detection_of(noted.detection).why]
    if facts.rescuable:
        sentences.append(f"{_mails(facts.rescuable)} still waiting in a relay's queue can be rescued.")
    if facts.lost:
        sentences.append(f"{_mails(facts.lost)} lost so far.")
    return _late(noted, " ".join(sentences), reason, now)


def _late(noted: Noted, said: str, reason: Reason, now: datetime) -> str:
    if not noted.is_late or reason not in {Reason.NEW, Reason.GREW}:
        return said
    return (
        f"{said} This message is late: the last of it happened {late_by(noted, now)} ago, "
        "and its log reached us only now."
    )


def _over(group: Group, now: datetime) -> str:
    ended = [noted for noted in group.findings if not noted.is_open]
    because = "; ".join(sorted({noted.because for noted in ended if noted.because})) or "it is no longer found"
    over_at = max((noted.over_at for noted in ended if noted.over_at), default=now)
    return f"It is over since {_moment(over_at)}: {because}."


def _facts(group: Group, facts: SenderFacts, advice: Advice | None) -> tuple[tuple[str, str], ...]:
    noted = group.findings[0]
    refusals = f"{facts.refusals}, of {_mails(facts.mails)}" if facts.refusals else ""
    fate = f"{facts.rescuable} can be rescued, {facts.lost} lost{_held_too(facts)}" if facts.refusals else ""
    messages = noted.facts.get("messages")
    listed = [
        ("Sender", facts.sender),
        ("Device", _devices(facts)),
        ("Way out", advice.title if advice else ""),
        ("First seen", _moment(noted.first_seen)),
        ("Last seen", _moment(noted.last_seen)),
        ("Refusals", refusals),
        ("Its mails", fate),
        ("Messages with a password", str(messages) if messages is not None and not facts.refusals else ""),
        ("Evidence", str(noted.facts.get("evidence", ""))),
        ("Refused by", ", ".join(facts.endpoints) + (f", at {', '.join(facts.stages)}" if facts.stages else "")),
        ("Through relay", ", ".join(facts.relays)),
        ("Server's words", facts.reply_text),
        ("Meaning", meaning_of(facts.reply_class)),
        ("Also", "; ".join(title_of(other) for other in group.open[1:])),
    ]
    return tuple((label, value) for label, value in listed if value)


def _devices(facts: SenderFacts) -> str:
    shown = [str(device) for device in facts.devices[:_MOST_DEVICES]]
    more = len(facts.devices) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _data(group: Group, facts: Mapping[str, SenderFacts], advice: Advice | None) -> dict[str, Any]:
    return {
        "findings": [
            {
                "fingerprint": noted.fingerprint,
                "detection": noted.detection,
                "state": noted.state,
                "sender": noted.sender,
                "first_seen": noted.first_seen.isoformat(),
                "last_seen": noted.last_seen.isoformat(),
                "is_late": noted.is_late,
                "over_at": noted.over_at.isoformat() if noted.over_at else None,
                "because": noted.because or None,
                "facts": dict(noted.facts) | (_plain(asdict(facts[noted.fingerprint])) if noted.sender else {}),
            }
            for noted in group.findings
        ],
        "way_out": {"way": advice.way, "title": advice.title, "because": list(advice.because)} if advice else None,
    }


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case datetime():
            return value.isoformat()
        case _:
            return value


def _held_too(facts: SenderFacts) -> str:
    more = facts.rescuable + facts.lost - facts.mails
    return f" ({more} of them held back untried behind a refusal)" if more > 0 else ""


def _mails(count: int) -> str:
    return "1 mail" if count == 1 else f"{count} mails"


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
