"""
The state that a sender is truly in when the days end, by what happened to it; the words stand in `docs/simulate.md`.

`may_also_be` names the states that one who knew everything but only had these files could not rule out, and why.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from pipeline.simulate.calendar import workday_from
from pipeline.simulate.cloud import allows_basic
from pipeline.simulate.ledger import Facts, Try
from pipeline.simulate.moments import DAY, date_of, midnight
from pipeline.simulate.plan import Plan
from pipeline.simulate.rhythms import Office, People
from pipeline.simulate.world import NEVER, PASSWORD_WAYS, Device, Sender, Tenant

STATES = (
    *("can_still", "does_still", "refused", "partly_refused", "went_silent"),
    *("migrated", "verified", "regressed", "unknown"),
)
SURPRISE = 7.0
"""Nats of silence that stand out: one in 1,100."""
_SUSPICION = 5.0
_RECENT = 90 * DAY
_TRIED = 14 * DAY
_SETTLED = 3 * DAY
_LEARNT = 3
"""Mails without which a rhythm cannot be learnt: a monthly job shows three times in the history."""


@dataclass(slots=True)
class Judgement:
    """A state, what else it may look like, and why."""

    state: str
    may_also_be: list[str] = field(default_factory=list)
    why: str = ""

    def unsure(self, states: list[str], why: str) -> Judgement:
        """Return the same state with others that cannot be told from it."""
        added = [state for state in states if state != self.state and state not in self.may_also_be]
        reasons = dict.fromkeys(filter(None, (*self.why.split("; "), why if added else "")))
        return Judgement(self.state, self.may_also_be + added, "; ".join(reasons))


@dataclass(frozen=True, slots=True)
class Silence:
    """How long a sender has been silent for: when that stood out, and by how many nats it does at the end."""

    overdue_at: int | None
    nats: float
    nats_with_holidays: float


def silence_of(plan: Plan, sender: Sender, facts: Facts) -> Silence:
    """Return the silence of `sender` at the end, to one who knows its rhythm."""
    if sender.category == "person":
        return Silence(None, 0.0, 0.0)  # nobody waits for the mail of a person
    since = max((each.at for each in facts.tries if each.is_in), default=plan.first)
    is_missed = any(moment > since for moment, _ in facts.missed)
    is_retired = any(device.retired < plan.end for device in sender.devices)
    slots = sorted(
        (slot for device in sender.devices for slot in _slots(plan, device, since)), key=lambda each: each.by
    )
    nats, overdue = 0.0, None
    for slot in slots:
        nats += 0.0 if slot.is_away else slot.nats
        if nats >= SURPRISE and overdue is None:
            overdue = _with_slack(slot.by, slot.device)
    if not is_missed and not is_retired:
        overdue = None
    return Silence(overdue, nats, nats + sum(slot.nats for slot in slots if slot.is_away))


class _Slot(NamedTuple):
    """Something that was due from a device, and had not come by then."""

    by: int
    nats: float
    is_away: bool
    device: Device


def _slots(plan: Plan, device: Device, since: int) -> Iterator[_Slot]:
    office = Office(device.site.region, device.site.zone, device.site.closes)
    day = date_of(since) - timedelta(days=1)
    while midnight(day) < plan.end:
        for due, by, nats in device.rhythm.silence(day, office):
            if due > max(since, device.born) and by < plan.end:
                yield _Slot(by, nats, device.is_away(due), device)
        day += timedelta(days=1)


def _with_slack(moment: int, device: Device) -> int:
    """Return a day later; where people cause the mail, not before the next working day."""
    later = moment + DAY
    if not isinstance(device.rhythm, People):
        return later
    day = date_of(later)
    return later + (midnight(workday_from(day, device.site.region, closes=device.site.closes)) - midnight(day))


def judge(plan: Plan, tenant: Tenant, sender: Sender, facts: Facts, silence: Silence) -> Judgement:
    """Return the state of `sender` at the end."""
    found = _judge(plan, tenant, sender, facts, silence)
    if sender.category == "relay_account" and facts.tries and found.state not in {"migrated", "verified"}:
        return found.unsure([*STATES], "no log names the account of a relay")
    if "stolen password" in sender.attacks:
        return found.unsure(["can_still", "went_silent", "unknown"], "only the thief used the password")
    if any(device.retired < plan.end for device in sender.devices):
        others = [_by_what_got_in(plan, tenant, sender, facts).state, "went_silent"]
        return found.unsure(others, "a device was retired, which only the inventory tells")
    return found


def _judge(plan: Plan, tenant: Tenant, sender: Sender, facts: Facts, silence: Silence) -> Judgement:
    last = _last_tries(facts)
    refused = {device: each for device, each in last.items() if not each.is_in}
    shown = [run for device in refused if (run := _run_of(facts, device)) and any(t.is_logged for t in run)]
    if shown:
        return _refused(plan, tenant, sender, facts, last, shown)
    by_mail = _by_what_got_in(plan, tenant, sender, facts)
    count = sum(each.is_in for each in facts.tries)
    if not count:
        return by_mail  # no file has ever shown it
    if silence.overdue_at is not None and silence.overdue_at + DAY <= plan.end:
        return _silent(plan, silence, by_mail, count)
    if refused and len(refused) == len(last):
        return by_mail.unsure(
            ["does_still", "went_silent", "unknown", "can_still"], "refused where nothing logs it, and not overdue yet"
        )
    if refused:
        return by_mail.unsure(
            ["does_still", "partly_refused", "went_silent"], "one of its devices is refused where nothing logs it"
        )
    if silence.overdue_at is not None or silence.nats >= _SUSPICION:
        return by_mail.unsure(["went_silent"], "silent for almost long enough to stand out")
    if silence.nats_with_holidays >= _SUSPICION:
        return by_mail.unsure(["went_silent"], "the one person who uses it is on holiday")
    return by_mail


def _silent(plan: Plan, silence: Silence, by_mail: Judgement, count: int) -> Judgement:
    found = Judgement("went_silent")
    if (silence.overdue_at or 0) > plan.end - 3 * DAY:
        found = found.unsure([by_mail.state], "it fell silent only just now")
    if count < _LEARNT:
        found = found.unsure([by_mail.state], "it had sent too little for anybody to learn its rhythm")
    return found


def _last_tries(facts: Facts) -> dict[int, Try]:
    return {each.device: each for each in facts.tries if each.way != "outlook"}


def _run_of(facts: Facts, device: int) -> list[Try]:
    """Return the refusals that a device has met since it last got in."""
    run: list[Try] = []
    for each in facts.tries:
        if each.device == device:
            run = [] if each.is_in else [*run, each]
    return run


def _refused(
    plan: Plan, tenant: Tenant, sender: Sender, facts: Facts, last: dict[int, Try], shown: list[list[Try]]
) -> Judgement:
    first = min(run[0].at for run in shown)
    others = [each for each in last.values() if each.is_in and each.at > first]
    named = any(each.is_named and each.is_logged for run in shown for each in run)
    found = Judgement("partly_refused" if others else "refused")
    by_mail = _by_what_got_in(plan, tenant, sender, facts).state
    if not named:
        found = found.unsure(
            ["went_silent", "unknown", by_mail], "the log that shows the refusal does not say whose it is"
        )
    refusals = sum(len(run) for run in shown)
    first_ever = _first_refusal(facts)
    mixed = any(each.is_in and each.at > first_ever for each in facts.tries)
    if not others and mixed and refusals <= 2:
        found = found.unsure(["partly_refused"], "it got in between its refusals, and tried once or twice since")
    if others and len(last) > 1 and any(sender.devices[run[0].device].retired < plan.end for run in shown):
        found = found.unsure([by_mail], "the device that was refused is retired")
    return found


def _first_refusal(facts: Facts) -> int:
    return next((each.at for each in facts.tries if not each.is_in), NEVER)


def _by_what_got_in(plan: Plan, tenant: Tenant, sender: Sender, facts: Facts) -> Judgement:
    ins = [each for each in facts.tries if each.is_in and each.way != "outlook"]
    passwords = [each.at for each in ins if each.way in PASSWORD_WAYS]
    can = sender.is_listed and allows_basic(sender, tenant, plan.end - 1)
    possible = Judgement("can_still" if can else "unknown")
    if not passwords:
        return possible
    if ins[-1].way in PASSWORD_WAYS or _still_uses_password(plan, tenant, sender, facts):
        if passwords[-1] < plan.end - _RECENT:
            return possible
        return _still(plan, sender, ins, passwords[-1])
    return _moved(plan, facts, [each.at for each in ins if each.at > passwords[-1]])


def _still_uses_password(plan: Plan, tenant: Tenant, sender: Sender, facts: Facts) -> bool:
    """Return whether a device of several got in with a password at its last try, and has no other way now."""
    if len(sender.devices) < 2:
        return False
    return any(
        each.is_in and each.way in PASSWORD_WAYS and tenant.way_now(sender.devices[device], plan.end) in PASSWORD_WAYS
        for device, each in _last_tries(facts).items()
    )


def _still(plan: Plan, sender: Sender, ins: list[Try], last_password: int) -> Judgement:
    has_gone_back = _has_gone_back(ins)
    if len(sender.devices) == 1:
        return Judgement("regressed" if has_gone_back else "does_still")
    found, why = Judgement("does_still"), "its devices send in several ways, each in its own time"
    if has_gone_back:
        found = found.unsure(["regressed"], why)
    if last_password < plan.end - 2 * DAY and ins[-1].at > last_password:
        found = found.unsure(["migrated", "verified"], why)
    return found


def _has_gone_back(ins: list[Try]) -> bool:
    """Return whether a password was used again after at least three days of another way only."""
    first_new = None
    for each in ins:
        if each.way not in PASSWORD_WAYS:
            first_new = each.at if first_new is None else first_new
        elif first_new is not None:
            if each.at - first_new >= _SETTLED:
                return True
            first_new = None
    return False


def _moved(plan: Plan, facts: Facts, new: list[int]) -> Judgement:
    is_refused = any(not each.is_in and each.at > new[0] for each in facts.tries)
    age = plan.end - new[0]
    is_verified = age >= _TRIED and len(new) >= 2 and not is_refused
    found = Judgement("verified" if is_verified else "migrated")
    if abs(age - _TRIED) < DAY // 4:
        found = found.unsure(["migrated", "verified"], "its last password was used just about 14 days ago")
    return found
