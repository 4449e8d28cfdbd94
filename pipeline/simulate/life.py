"""
The days of the tenant: devices want to send, try, and are answered.

A device that submits directly has its answer at once, and the own log of a program tells of it. What goes through a
relay is put into the relay's queue here and answered there, see `queues`.
"""

from __future__ import annotations

import math
from datetime import timedelta

from pipeline.simulate.cloud import IN, LATER, REFUSED, Answer, Cloud
from pipeline.simulate.dice import Dice
from pipeline.simulate.ledger import Attempt, Ledger, Mail, Try, Wanted
from pipeline.simulate.logs import own
from pipeline.simulate.moments import DAY, MINUTE, date_of, spaced
from pipeline.simulate.names import subject_of
from pipeline.simulate.plan import Plan
from pipeline.simulate.queues import Arrival
from pipeline.simulate.rhythms import Office
from pipeline.simulate.world import DOMAIN, NEVER, PARTNERS, Device, Sender, Tenant

GRAPH_IP = "2001:db8:40::{:x}"
ACS_IP = "198.51.100.240"


class Life:
    """Lives through all days; afterwards `ledger` holds what happened and `arrivals` what came to the relays."""

    def __init__(self, plan: Plan, tenant: Tenant, cloud: Cloud, ledger: Ledger) -> None:
        self.plan, self.tenant, self.cloud, self.ledger = plan, tenant, cloud, ledger
        self._names = [person.address for person in tenant.people] or [f"office@{DOMAIN}"]
        self.arrivals: dict[str, list[Arrival]] = {host: [] for host in tenant.relays}

    def run(self) -> None:
        """Live through the days of all senders and people."""
        for sender in (*self.tenant.senders, *self.tenant.people):
            for number, device in enumerate(sender.devices):
                _Days(self, sender, number, device).run()

    def recipients(self, sender: Sender, way: str, dice: Dice) -> tuple[str, ...]:
        """Return whom a mail goes to: mostly one, within or without."""
        count = 1 if dice.chance(0.9) else dice.choice((2, 2, 3))
        outside = 0.0 if way == "hve" else sender.external_share
        found = []
        for _ in range(count):
            if dice.chance(outside):
                found.append(f"{dice.choice(('info', 'orders', 'office', 'kontakt'))}@{dice.choice(PARTNERS)}")
            else:
                found.append(self._names[min(int(dice.expovariate(4 / len(self._names))), len(self._names) - 1)])
        return tuple(dict.fromkeys(found))


class _Days:
    """The days of one device."""

    def __init__(self, life: Life, sender: Sender, number: int, device: Device) -> None:
        self._life, self._cloud, self._ledger = life, life.cloud, life.ledger
        self._start, self._end, self._first = life.plan.start, life.plan.end, life.plan.first
        self._sender, self._number, self._device = sender, number, device
        self._facts = self._ledger.of(sender.address)
        self._dice = Dice(life.plan.seed, "days", sender.address, number)
        self._way, self._refused_since = "", NEVER
        self._is_named = not self._dice.chance(life.tenant.rates["app_logs_without_sender"])
        self._size = self._dice.wide(900, 400_000)
        self._office = Office(device.site.region, device.site.zone, device.site.closes)

    def run(self) -> None:
        """Want mails day by day."""
        day = date_of(self._first) - timedelta(days=1)
        last = date_of(self._end) + timedelta(days=1)
        while day <= last:
            for moment in self._device.rhythm.wants(day, self._office, self._dice):
                if self._is_there(moment):
                    self._want(moment)
            day += timedelta(days=1)

    def _is_there(self, moment: int) -> bool:
        device = self._device
        is_inside = self._first <= moment < self._end and device.born <= moment < device.retired
        return is_inside and not device.is_away(moment)

    def _want(self, moment: int) -> None:
        device = self._device
        way = device.way_at(moment)
        if way != self._way:
            self._way, self._refused_since = way, NEVER  # people hear that it was mended
        if moment >= device.dead or self._has_given_up(moment):
            self._facts.missed.append((moment, self._number))
            return
        wanted = Wanted(
            moment,
            self._life.recipients(self._sender, way, self._dice),
            max(400, round(self._dice.lognormvariate(math.log(self._size), 0.8))) % 30_000_000,
            self._sender.subject or subject_of(self._sender.category, self._dice),
            self._message_id(moment),
        )
        if way == "basic" and device.path in self._life.tenant.relays:
            arrival = Arrival(moment, self._sender, self._number, device, wanted)
            self._life.arrivals[device.path].append(arrival)
        else:
            self._submit(wanted, way)

    def _has_given_up(self, moment: int) -> bool:
        """Return whether people have stopped trying a device that refuses: the longer, the more often."""
        if not self._device.tires_after or moment < self._refused_since:
            return False
        days = (moment - self._refused_since) / DAY
        return not self._dice.chance(max(0.02, math.exp(-days / self._device.tires_after)))

    def _message_id(self, moment: int) -> str:
        match self._sender.category:
            case "printer" | "iot" | "person":
                server = f"AM0PR02MB{self._dice.randrange(1000, 9999)}"
                return f"{server}{self._dice.hex(20).upper()}@{server}.eurprd02.prod.outlook.com"
            case "script":
                stamp = spaced(moment).translate({ord(mark): None for mark in "-: "})
                return f"{stamp}.{self._dice.hex(10).upper()}@{self._device.helo.lower()}"
        return f"{self._dice.hex(8)}-{self._dice.hex(4)}-4{self._dice.hex(3)}-{self._dice.hex(12)}@{DOMAIN}"

    def _submit(self, wanted: Wanted, way: str) -> None:
        """Try until it gets in or the device gives up."""
        moment = wanted.at + self._dice.randrange(200, 9000)
        patience = 0 if self._device.tires_after else self._dice.choice((0, 0, 0, 1, 2))
        last = LATER
        for count in range(4):
            if moment >= self._end:
                break
            last = self._try(moment, wanted, way)
            if last == IN:
                return
            if count >= (2 if last == LATER else patience):
                break
            moment += round(self._dice.wide(1, 30) * MINUTE)
        if not (last == REFUSED and self._is_logged(moment)):
            self._facts.missed.append((wanted.at, self._number))

    def _is_logged(self, moment: int) -> bool:
        return ":" in self._device.path and moment >= self._start

    def _try(self, moment: int, wanted: Wanted, way: str) -> str:
        """Try once, note what came of it, and return how it ended."""
        answer = self._ask(moment, wanted, way)
        is_logged = self._is_logged(moment)
        if answer.kind == IN:
            self._refused_since = NEVER
            self._ledger.mails.append(self._mail(moment, wanted, way))
        elif answer.kind == REFUSED:
            self._refused_since = min(self._refused_since, moment)
        if answer.kind != LATER:
            is_named = self._is_named or self._device.path.startswith("msmtp")
            self._facts.tries.append(Try(moment, self._number, way, answer.kind == IN, is_logged, is_named))
        if is_logged:
            self._log(moment, wanted, way, answer)
        return answer.kind

    def _ask(self, moment: int, wanted: Wanted, way: str) -> Answer:
        if way == "outlook":  # waits in the outbox until it gets in
            return Answer(IN, "")
        return self._cloud.ask(moment, self._sender, way, wanted.message_id, self._dice)

    def _log(self, moment: int, wanted: Wanted, way: str, answer: Answer) -> None:
        device, account = self._device, self._sender.address
        address = account if self._is_named else ""
        ip = device.ip_at(moment)
        attempt = Attempt(moment, address, account, wanted, way, answer, device.name, ip, device.helo)
        program, host = device.path.split(":")
        self._ledger.logs.add(host, own.FILES[program], own.lines(program, attempt, self._dice))

    def _mail(self, moment: int, wanted: Wanted, way: str) -> Mail:
        ip = self._device.public_ip
        if way == "graph":
            ip = GRAPH_IP.format(self._dice.randrange(1, 60))
        if way == "acs":
            ip = ACS_IP
        account = self._sender.address
        return Mail(
            moment, account, wanted.recipients, ip, way, account, wanted.size, wanted.subject, wanted.message_id
        )
