"""Found the tenant: its sites, relays, senders with their devices, and people. What happens to them is `stories`."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from pipeline.simulate import stories
from pipeline.simulate.cloud import BLOCKING
from pipeline.simulate.dice import Dice
from pipeline.simulate.moments import DAY, HOUR, MINUTE
from pipeline.simulate.names import FIRST, LAST, LOCAL_PARTS, PLACES, ROOMS, helo_of
from pipeline.simulate.plan import Plan
from pipeline.simulate.rhythms import Bursts, Daily, People, Periodic, Rhythm
from pipeline.simulate.world import DOMAIN, NEVER, Device, Relay, Sender, Site, Tenant

CATEGORIES = (
    ("printer", 34.0),
    ("business", 14.0),
    ("script", 18.0),
    ("print_server", 5.0),
    ("monitoring", 9.0),
    ("iot", 13.0),
    ("legacy_saas", 7.0),
)
_OWN_LOGS = ("msmtp", "smtplib", "phpmailer", "nodemailer")
_PATHS: dict[str, tuple[tuple[str, float], ...]] = {
    "printer": (("direct", 76), ("relay", 24)),
    "business": (("direct", 25), ("own", 40), ("relay", 31), ("exchange", 4)),
    "script": (("direct", 25), ("own", 45), ("relay", 30)),
    "print_server": (("direct", 35), ("relay", 58), ("exchange", 7)),
    "monitoring": (("direct", 28), ("own", 22), ("relay", 50)),
    "iot": (("direct", 70), ("relay", 30)),
    "legacy_saas": (("direct", 88), ("own", 12)),
}
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def found(plan: Plan) -> Tenant:
    """Return the tenant that the seed of `plan` stands for, with all that will happen to it."""
    dice = Dice(plan.seed, "tenant")
    sites = _sites(plan)
    relays = {relay.host: relay for relay in _relays(plan, sites)}
    disabled = dice.chance(0.6)
    mode = dice.pick([("at_once", 0.6), ("phased", 0.4)])
    reopened = plan.cutover + round(dice.wide(0.6, 16) * DAY) if dice.chance(0.35) else NEVER
    mood = stories.Mood.of(plan, reopened, disabled=disabled)
    senders = tuple(_sender(plan, number, sites, relays, mood) for number in range(plan.senders))
    return Tenant(
        sites,
        relays,
        senders,
        people=tuple(_person(plan, number, sites, mood) for number in range(plan.senders)),
        accounts=tuple(_account(plan, relay, disabled=disabled) for relay in relays.values()),
        locale=dice.choice(("en-US", "de-DE", "iso")),
        tenant_disabled=disabled,
        mode=mode,
        phase=round(dice.wide(1.5, 12) * DAY),
        reopened=reopened,
        off_spans=_off_spans(plan, dice),
        rates=_rates(dice),
    )


def _rates(dice: Dice) -> dict[str, float]:
    return {
        "temporary": dice.wide(0.0008, 0.012),
        "troubles": dice.uniform(1, 6),
        "late_traces": dice.uniform(0.005, 0.05),
        "failed_traces": dice.uniform(0.003, 0.02),
        "missing_exports": dice.uniform(0.02, 0.1),
        "repeated_exports": dice.uniform(0.01, 0.08),
        "late_exports": dice.uniform(0.02, 0.15),
        "near_misses_a_day": dice.uniform(0.5, 4),
        "app_logs_without_sender": dice.uniform(0.0, 0.06),
    }


def _off_spans(plan: Plan, dice: Dice) -> tuple[tuple[int, int], ...]:
    if not dice.chance(0.25):
        return ()
    start = plan.start + round(dice.uniform(0.1, 0.45) * (plan.end - plan.start))
    return ((start, start + round(dice.wide(1, 20) * HOUR)),)


def _sites(plan: Plan) -> tuple[Site, ...]:
    dice = Dice(plan.seed, "sites")
    places = dice.sample(PLACES, dice.randrange(4, 8))
    regions = dice.choices(("DE-BY", "DE-BW", "DE-NW", "DE-HE", "DE-HH", "DE-SN"), k=len(places))
    found = []
    for number, (place, region) in enumerate(zip(places, regions, strict=True)):
        is_american = place in {"bos", "chi"}
        zone = ZoneInfo("America/New_York" if is_american else "Europe/Berlin")
        own = "US" if is_american else region
        found.append(Site(place, own, zone, dice.chance(0.35), f"203.0.113.{10 + 3 * number}"))
    centre = Site("dc1", regions[0], ZoneInfo("Europe/Berlin"), closes=False, nat="203.0.113.200")
    return (*found, centre)


def _relays(plan: Plan, sites: tuple[Site, ...]) -> list[Relay]:
    dice = Dice(plan.seed, "relays")
    kinds = ["postfix"] * (dice.randrange(2, 4) + (plan.senders >= 200)) + ["exim", "exchange"]
    counts: dict[str, int] = {}
    found = []
    for kind in kinds:
        counts[kind] = counts.get(kind, 0) + 1
        name = {"postfix": "relay", "exim": "mx", "exchange": "ex"}[kind]
        found.append(_relay(plan, kind, f"{name}{counts[kind]:02}", dice.choice(sites), dice))
    return found


def _relay(plan: Plan, kind: str, host: str, site: Site, dice: Dice) -> Relay:
    ways, rescues = stories.of_relay(plan, kind, site, dice)
    is_watched = len(ways) > 1 and ways[-1][0] < plan.cutover + 3 * DAY  # who looks soon can afford a patient queue
    return Relay(
        host,
        kind,
        site,
        account=f"smtp-{host}@{DOMAIN}",
        endpoint=dice.pick([("smtp.office365.com", 8.0), ("outlook.office365.com", 1.0)]),
        ways=ways,
        rescues=rescues,
        soft_bounce=not dice.chance(0.15),
        lifetime=dice.choice((2, 5, 5, 5) if is_watched else (1, 1, 2)) * DAY,
        least_wait=dice.choice((5, 5, 10, 15)) * MINUTE,
        longest_wait=dice.choice((67, 120, 240, 480) if is_watched else (240, 480)) * MINUTE,
        stamps=dice.choice(("iso", "syslog")),
        tag=dice.choice(("postfix", "postfix", "postfix-o365")),
        long_ids=dice.chance(0.5),
        logs_subjects=dice.chance(0.4),
        knows_devices=dice.chance(0.35),
        mechanisms=dice.choice((("plain", "login"), ("login",))) if kind == "exim" else ("LOGIN",),
    )


def _account(plan: Plan, relay: Relay, *, disabled: bool) -> Sender:
    """Return the account that a relay logs in with; now and then somebody blocks it, and is told so."""
    dice = Dice(plan.seed, "account", relay.host)
    policies = [(-NEVER, "")]
    if dice.chance(0.1) and plan.days > 8:
        moment = dice.randrange(plan.start + DAY, plan.cutover - DAY)
        policies += [(moment, BLOCKING), (moment + round(dice.wide(0.05, 0.9) * DAY), "")]
    return Sender(relay.account, "relay_account", [], [(-NEVER, False if disabled else None)], policies)


def _person(plan: Plan, number: int, sites: tuple[Site, ...], mood: stories.Mood) -> Sender:
    dice = Dice(plan.seed, "person", number)
    name = f"{FIRST[number % len(FIRST)]}.{LAST[number // len(FIRST) % len(LAST)]}"
    serial = number // (len(FIRST) * len(LAST))
    address = f"{name}{serial or ''}@{DOMAIN}"
    rhythm = People(dice.wide(0.08, 3), dice.uniform(0.4, 3), 0.05, 1.0, plan.start)
    site = dice.choice(sites[:-1])
    device = Device("outlook", site, rhythm, "direct", "", [(-NEVER, site.nat)], [(-NEVER, "outlook")])
    if dice.chance(0.3):
        device.owns_public_ip = f"2001:db8:{dice.randrange(0x100, 0xFFF):x}::{dice.randrange(1, 0xFFFF):x}"
    device.away = stories.holidays_of_one(plan, dice)
    open_share = 0.15 if mood.disabled else 0.8
    switch = (False if dice.chance(0.5) or mood.disabled else None) if dice.chance(open_share) else True
    if switch and mood.disabled and dice.chance(0.8):
        switch = None
    return Sender(address, "person", [device], [(-NEVER, switch)], [(-NEVER, "")], external_share=dice.uniform(0, 0.8))


def _sender(plan: Plan, number: int, sites: tuple[Site, ...], relays: dict[str, Relay], mood: stories.Mood) -> Sender:
    dice = Dice(plan.seed, "sender", number)
    category = dice.pick(CATEGORIES)
    site = dice.choice(sites[:-1]) if category == "printer" or dice.chance(0.4) else sites[-1]
    part = dice.choice(LOCAL_PARTS[category])
    address = f"{part}-{site.name}-{dice.choice(ROOMS)}{number:03}@{DOMAIN}"
    path = _path(category, relays, dice)
    count = dice.choice((2, 2, 3, 4)) if category in {"printer", "iot", "script"} and dice.chance(0.13) else 1
    devices = [_device(plan, category, site, path, dice)]
    for _ in range(count - 1):
        other = _path(dice.choice(("script", "print_server")), relays, dice) if dice.chance(0.6) else path
        devices.append(_device(plan, category, site, other, dice))
    sender = Sender(address, category, devices, [], [], external_share=dice.choice((0.0, 0.0, 0.1, 0.3, 0.7)))
    sender.is_listed = not dice.chance(0.02)
    stories.tell(plan, sender, relays, mood, dice)
    return sender


def _path(category: str, relays: dict[str, Relay], dice: Dice) -> str:
    match dice.pick(_PATHS[category]):
        case "own":
            return f"{dice.choice(_OWN_LOGS)}:app{dice.randrange(1, 5):02}"
        case "relay":
            return dice.choice([host for host, relay in relays.items() if relay.kind != "exchange"])
        case "exchange":
            return next(host for host, relay in relays.items() if relay.kind == "exchange")
    return "direct"


def _device(plan: Plan, category: str, site: Site, path: str, dice: Dice) -> Device:
    ip = f"192.0.2.{dice.randrange(2, 250)}" if dice.chance(0.9) else f"2001:db8:10::{dice.randrange(2, 0xFFFF):x}"
    helo = helo_of(category, dice)
    rhythm = rhythm_of(category, plan, dice)
    device = Device(f"{helo.split('.', maxsplit=1)[0]}-{dice.hex(4)}", site, rhythm, path, helo, [(-NEVER, ip)], [])
    if isinstance(rhythm, People):
        device.tires_after = dice.wide(2, 40)
    if site.name == "dc1" and path == "direct" and dice.chance(0.4):
        device.owns_public_ip = f"198.51.100.{dice.randrange(20, 180)}"
    if category == "printer" and dice.chance(0.12):
        device.away = stories.holidays_of_one(plan, dice)
    if dice.chance(0.06):
        device.ips.append((dice.randrange(plan.first, plan.end), f"192.0.2.{dice.randrange(2, 250)}"))
    return device


def rhythm_of(category: str, plan: Plan, dice: Dice) -> Rhythm:
    """Return when a device of `category` sends; no two are alike."""
    match category:
        case "printer":
            return _people(plan, dice, 0.25 if dice.chance(0.04) else 1.0, 14, 0.0 if dice.chance(0.7) else 0.05)
        case "business":
            kind = dice.pick([("people", 0.6), ("hours", 0.2), ("periodic", 0.2)])
            if kind == "people":
                return _people(plan, dice, 1.5, 14, dice.uniform(0.02, 0.7))
            return _hours(dice, workdays=True) if kind == "hours" else _periodic(dice)
        case "script":
            return dice.pick([(_nightly, 0.42), (_hours, 0.13), (_periodic, 0.45)])(dice)
        case "print_server":
            return _nightly(dice) if dice.chance(0.3) else Bursts(dice.wide(0.4, 3), 1.6, dice.uniform(0.7, 4))
        case "monitoring":
            return Bursts(dice.wide(0.3, 5), dice.uniform(1, 4), dice.uniform(0.5, 4))
        case "iot":
            kind = dice.pick([("nightly", 0.47), ("periodic", 0.3), ("trouble", 0.23)])
            if kind == "trouble":
                return Bursts(dice.wide(0.015, 0.25), dice.uniform(1, 3), dice.uniform(0.4, 2))
            return _nightly(dice) if kind == "nightly" else _periodic(dice)
    return _people(plan, dice, 0.6, 7, dice.uniform(0.2, 1))


def _people(plan: Plan, dice: Dice, low: float, high: float, weekend: float) -> People:
    return People(dice.wide(low, high), dice.wide(1.2, 8), weekend, dice.uniform(0.93, 1.07), plan.start)


def _nightly(dice: Dice) -> Rhythm:
    hour = dice.choice((0.25, 1, 2, 3, 4, 5, 6.5, 19, 21, 22, 23)) + dice.choice((0, 0.0833, 0.25, 0.5))
    return Daily((hour,), dice.chance(0.25), dice.wide(0.3, 12), dice.wide(0.0005, 0.03), dice.chance(0.3))


def _hours(dice: Dice, *, workdays: bool | None = None) -> Rhythm:
    step = dice.choice((1, 2, 3, 4, 6, 8))
    minute = dice.randrange(0, 60) / 60
    only = dice.chance(0.3) if workdays is None else workdays
    hours = tuple(hour + minute for hour in range(6 if only else 0, 20 if only else 24, step))
    return Daily(hours, only, dice.wide(0.2, 6), dice.wide(0.0005, 0.05), catches_up=False)


def _periodic(dice: Dice) -> Rhythm:
    monthly = ("day 1", "day 15", "last working day", "first working day", f"day {dice.randrange(2, 29)}", "day 31")
    rule = dice.choice((*monthly, "first Monday")) if dice.chance(0.55) else f"each {dice.choice(_WEEKDAYS)}"
    return Periodic(rule, dice.uniform(0, 23.5), dice.wide(0.3, 30), dice.wide(0.001, 0.06))
