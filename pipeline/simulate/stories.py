"""
What happens to a sender: ways out and back, deaths, switches. Drawn before anything is sent.

Administrators act in office hours, some before the cutover and some after it; nothing here looks at whether a mail got
in, except that a way out after the cutover follows the refusals.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from pipeline.simulate.calendar import workday_from
from pipeline.simulate.cloud import BLOCKING
from pipeline.simulate.dice import Dice
from pipeline.simulate.moments import DAY, date_of, local
from pipeline.simulate.plan import Plan
from pipeline.simulate.world import NEVER, Device, Relay, Sender, Since, Site

_WAYS_OUT: dict[str, tuple[tuple[str, float], ...]] = {
    "printer": (("hve", 30), ("connector", 35), ("oauth", 20), ("acs", 15)),
    "business": (("oauth", 40), ("graph", 35), ("acs", 10), ("connector", 15)),
    "script": (("graph", 50), ("oauth", 20), ("acs", 15), ("connector", 15)),
    "print_server": (("connector", 60), ("hve", 40)),
    "monitoring": (("graph", 20), ("oauth", 30), ("connector", 40), ("hve", 10)),
    "iot": (("hve", 30), ("connector", 40), ("acs", 30)),
    "legacy_saas": (("acs", 30), ("oauth", 40), ("graph", 30)),
}


@dataclass(frozen=True, slots=True)
class Mood:
    """How ready this tenant is, which all its stories share."""

    early: float
    late: float
    patience: float  # days that a way out takes on average after the cutover
    goes_back: float
    dies: float
    retires: float
    blocks_early: float
    reopened: int
    disabled: bool

    @classmethod
    def of(cls, plan: Plan, reopened: int, *, disabled: bool) -> Mood:
        """Return the mood of the tenant of this seed."""
        dice = Dice(plan.seed, "mood")
        return cls(
            dice.uniform(0.15, 0.55),
            dice.uniform(0.25, 0.7),
            dice.wide(2, 10),
            dice.uniform(0.04, 0.14),
            dice.uniform(0.03, 0.07),
            dice.uniform(0.003, 0.012),
            dice.uniform(0.005, 0.03),
            reopened,
            disabled,
        )


def in_office(moment: int, site: Site, dice: Dice) -> int:
    """Return the next office hour from `moment` on."""
    day = date_of(moment)
    hour = dice.uniform(8.5, 16.5)
    found = local(workday_from(day, site.region, closes=site.closes), hour, site.zone)
    if found >= moment:
        return found
    following = workday_from(day + timedelta(days=1), site.region, closes=site.closes)
    return local(following, hour, site.zone)


def holidays_of_one(plan: Plan, dice: Dice) -> list[tuple[int, int]]:
    """Return when one person is away: some weeks of the year, each over a weekend or more."""
    found = []
    for _ in range(dice.poisson((plan.end - plan.first) / (75 * DAY))):
        start = dice.randrange(plan.first, plan.end)
        found.append((start, start + dice.choice((3, 7, 9, 9, 16)) * DAY))
    return sorted(found)


def of_relay(plan: Plan, kind: str, site: Site, dice: Dice) -> tuple[Since[str], bool]:
    """Return how a relay hands on its mail, and whether its queue is flushed when that is mended."""
    ways: Since[str] = [(-NEVER, "basic")]
    better = dice.pick([("relay_oauth", 0.65), ("connector", 0.35)])
    longest = 6.0 if kind == "exchange" else 11.0
    match dice.pick([("before", 0.25), ("after", 0.5), ("never", 0.0 if kind == "exchange" else 0.25)]):
        case "before":
            moment = dice.randrange(plan.start, plan.cutover)
        case "after":
            moment = plan.cutover + round(dice.wide(0.3, longest) * DAY)
        case _:
            return ways, False
    if kind == "exchange":
        better = "connector"
    return [*ways, (in_office(moment, site, dice), better)], dice.chance(0.7)


def tell(plan: Plan, sender: Sender, relays: dict[str, Relay], mood: Mood, dice: Dice) -> None:
    """Fill in what will happen to `sender`."""
    shared = _ways(plan, sender, sender.devices[0], mood, dice)
    is_shared = len(sender.devices) == 1 or dice.chance(0.5)
    for number, device in enumerate(sender.devices):
        device.ways = shared if number == 0 or is_shared else _ways(plan, sender, device, mood, dice)
        _ends(plan, sender, device, mood, dice)
    if len(sender.devices) == 1 and dice.chance(0.05):
        sender.devices[0].born = dice.randrange(plan.start, plan.cutover)
    _switches(plan, sender, relays, mood, dice)


def _ways(plan: Plan, sender: Sender, device: Device, mood: Mood, dice: Dice) -> Since[str]:
    is_behind_relay = device.path != "direct" and ":" not in device.path
    ways: Since[str] = [(-NEVER, "basic")]
    if is_behind_relay and not dice.chance(0.1):
        return ways  # moves with its relay
    out = dice.pick(_WAYS_OUT[sender.category])
    if (out == "hve" and sender.external_share) or (out == "acs" and sender.external_share > 0.5):
        out = "connector"
    if dice.chance(0.03):
        return [(-NEVER, out)]
    if dice.chance(mood.early):
        return _early(plan, ways, out, device, mood, dice)
    if dice.chance(mood.late):
        return _late(plan, ways, out, device, mood, dice)
    return ways


def _early(plan: Plan, ways: Since[str], out: str, device: Device, mood: Mood, dice: Dice) -> Since[str]:
    earliest = plan.first + 20 * DAY if plan.history > 40 else plan.start
    moment = in_office(dice.randrange(earliest, plan.cutover), device.site, dice)
    ways.append((moment, out))
    if dice.chance(mood.goes_back):
        ways.append((in_office(moment + round(dice.wide(1, 22) * DAY), device.site, dice), "basic"))
    return ways


def _late(plan: Plan, ways: Since[str], out: str, device: Device, mood: Mood, dice: Dice) -> Since[str]:
    moment = in_office(plan.cutover + round(dice.expovariate(1 / mood.patience) * DAY), device.site, dice)
    if moment > mood.reopened:
        return ways  # there is no hurry any more
    ways.append((moment, out))
    if mood.reopened < NEVER and dice.chance(0.25 + mood.goes_back):
        back = max(mood.reopened, moment) + round(dice.wide(1, 12) * DAY)
        ways.append((in_office(back, device.site, dice), "basic"))
    return ways


def _ends(plan: Plan, sender: Sender, device: Device, mood: Mood, dice: Dice) -> None:
    moment = dice.randrange(plan.start - (15 * DAY if plan.history > 30 else 0), plan.end)
    if dice.chance(mood.dies):
        device.dead = moment
        sender.notes.append(f"{device.name} died of something else")
    elif dice.chance(mood.retires):
        device.retired = in_office(moment, device.site, dice)
        sender.notes.append(f"inventory: {device.name} was retired")


def _switches(plan: Plan, sender: Sender, relays: dict[str, Relay], mood: Mood, dice: Dice) -> None:
    logs_in = any(device.path not in relays for device in sender.devices)
    if logs_in:
        sender.switches.append((-NEVER, False if mood.disabled or dice.chance(0.3) else None))
    else:
        sender.switches.append((-NEVER, dice.choice((None, None, False, True))))
    sender.policies.append((-NEVER, ""))
    last_ways = [device.ways[-1] for device in sender.devices]
    if logs_in and all(way != "basic" for _, way in last_ways):
        _harden(sender, max(moment for moment, _ in last_ways), plan, dice)
    elif logs_in and dice.chance(mood.blocks_early) and plan.days > 8:
        _block(sender, plan, dice)


def _harden(sender: Sender, migrated: int, plan: Plan, dice: Dice) -> None:
    """Close the mailbox for Basic some days after its last device has left it, as careful administrators do."""
    if not dice.chance(0.4):
        return
    moment = max(migrated, plan.first) + round(dice.wide(1, 14) * DAY)
    uses_smtp = any(way == "oauth" for device in sender.devices for _, way in device.ways)
    if uses_smtp or dice.chance(0.5):
        sender.policies.append((moment, BLOCKING))
    else:
        sender.switches.append((moment, True))


def _block(sender: Sender, plan: Plan, dice: Dice) -> None:
    """Close the mailbox for Basic before the cutover, whether or not it is still used."""
    moment = dice.randrange(plan.start + 3 * DAY, plan.cutover)
    if dice.chance(0.7):
        sender.policies.append((moment, BLOCKING))
        sender.notes.append("an authentication policy blocked it before the cutover")
    else:
        sender.switches.append((moment, True))
        sender.notes.append("SMTP AUTH was switched off for the mailbox before the cutover")
