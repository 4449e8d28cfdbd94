"""
The relays' queues: what came from devices is handed on, put off, sent back or lost.

Postfix holds back a destination for a while after a refused log-in, and says of all mail that waits for it what the one
try was told (`echo`); a refusal at AUTH is put off until the mail is too old, unless `soft_bounce` is off. Exim gives
up at once. Exchange tries the oldest mail of its queue again and again, and never says whose log-in was refused.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.simulate.cloud import IN, LATER, REFUSED, Answer, Cloud
from pipeline.simulate.dice import Dice
from pipeline.simulate.ledger import Attempt, Ledger, Mail, Try, Wanted
from pipeline.simulate.logs import exchange, exim, postfix
from pipeline.simulate.moments import DAY, MINUTE, SECOND
from pipeline.simulate.plan import Plan
from pipeline.simulate.world import NEVER, Device, Relay, Sender

_QUEUE_RUN = 5 * MINUTE


class Arrival(NamedTuple):
    """A mail that a device handed to a relay."""

    at: int
    sender: Sender
    number: int
    device: Device
    wanted: Wanted


@dataclass(slots=True, eq=False)
class _Waiting:
    """A mail in a queue, by its queue id."""

    arrival: Arrival
    id: str
    was_answered: bool = False


class _Queue:
    """What all relays share: how a try is made, and how it is noted down."""

    def __init__(self, plan: Plan, relay: Relay, account: Sender, cloud: Cloud, ledger: Ledger) -> None:
        self.plan, self.relay, self.cloud, self.ledger = plan, relay, cloud, ledger
        self.account = account
        self.dice = Dice(plan.seed, "queue", relay.host)

    def run(self, arrivals: list[Arrival]) -> None:
        """Live through all `arrivals`, in order of time, and everything that waits."""
        raise NotImplementedError

    def ask(self, moment: int, arrival: Arrival) -> tuple[str, Answer]:
        """Try to hand on one mail; return the way and the answer."""
        way = self.relay.way_at(moment)
        return way, self.cloud.ask(moment, self.account, way, arrival.wanted.message_id, self.dice)

    def note(self, moment: int, arrival: Arrival, way: str, answer: Answer, *, is_named: bool = True) -> None:
        """Note how a try ended, for the sender and for the account of the relay."""
        if answer.kind == LATER:
            return
        sender, wanted = arrival.sender, arrival.wanted
        is_in, is_logged = answer.kind == IN, moment >= self.plan.start
        for address, device in ((sender.address, arrival.number), (self.account.address, 0)):
            self.ledger.of(address).tries.append(Try(moment, device, way, is_in, is_logged, is_named))
        if is_in:
            ip = self.relay.site.nat
            self.ledger.mails.append(
                Mail(
                    *(moment, sender.address, wanted.recipients, ip, way, self.account.address),
                    *(wanted.size, wanted.subject, wanted.message_id),
                )
            )

    def lose(self, arrival: Arrival, *, is_logged: bool) -> None:
        """Note that a mail is lost; if a log said so it is not missed but refused."""
        if not is_logged:
            self.ledger.of(arrival.sender.address).missed.append((arrival.at, arrival.number))

    def hold(self, arrival: Arrival) -> None:
        """Note that a mail still waits at the end."""
        self.ledger.of(arrival.sender.address).held.append(arrival.at)

    def attempt(self, moment: int, arrival: Arrival, way: str, answer: Answer) -> Attempt:
        """Return the try as a program writes it down."""
        device = arrival.device
        address = arrival.sender.address
        ip = device.ip_at(arrival.at)
        return Attempt(moment, address, address, arrival.wanted, way, answer, device.name, ip, device.helo)


class PostfixQueue(_Queue):
    """The queue of one Postfix."""

    def __init__(self, plan: Plan, relay: Relay, account: Sender, cloud: Cloud, ledger: Ledger) -> None:
        super().__init__(plan, relay, account, cloud, ledger)
        self._lines = postfix.Writer(relay, self.dice)
        self._due: list[tuple[int, int, _Waiting]] = []
        self._suspended_until = -NEVER
        self._last_words = ""
        self._count = 0
        self._width = self.dice.randrange(1, 6)

    def run(self, arrivals: list[Arrival]) -> None:
        """Live through all `arrivals`, in order of time, and everything that waits."""
        for arrival in sorted(arrivals, key=lambda each: (each.at, each.sender.address, each.wanted.message_id)):
            if arrival.at < self.plan.start:
                way, answer = self.ask(arrival.at, arrival)
                self.note(arrival.at + 900, arrival, way, Answer(IN, answer.text))
            else:
                self._push(arrival.at, _Waiting(arrival, self._lines.queue_id()))
        mended = self.relay.mended if self.relay.rescues else NEVER
        while self._due:
            moment = self._due[0][0]
            if moment >= self.plan.end:
                break
            if moment >= mended:
                self._flush(mended)
                mended = NEVER
                continue
            self._turn(moment)
        for _, _, waiting in sorted(self._due):
            self.hold(waiting.arrival)
        self.ledger.logs.add(self.relay.host, postfix.FILE, self._lines.lines)

    def _push(self, moment: int, waiting: _Waiting) -> None:
        self._count += 1
        heapq.heappush(self._due, (moment, self._count, waiting))

    def _flush(self, moment: int) -> None:
        """Try everything that waits at once, as `postqueue -f` does after the way was mended."""
        waiting = [each for each in self._due if each[2].arrival.at < moment]
        self._due = [each for each in self._due if each[2].arrival.at >= moment]
        heapq.heapify(self._due)
        self._suspended_until = -NEVER
        for order, (_, _, each) in enumerate(sorted(waiting)):
            self._push(moment + 4 * MINUTE + order * 150, each)

    def _turn(self, moment: int) -> None:
        """Take all that is due at `moment`: a run of the queue, or one new mail."""
        batch = []
        while self._due and self._due[0][0] == moment:
            batch.append(heapq.heappop(self._due)[2])
        self.dice.shuffle(batch)
        is_open = moment >= self._suspended_until
        for order, waiting in enumerate(batch):
            self._deliver(moment + order * 20, waiting, is_under_way=is_open and order < self._width)

    def _deliver(self, moment: int, waiting: _Waiting, *, is_under_way: bool) -> None:
        """Try one mail, or hold it back; what `is_under_way` began before the first refusal of this run was told."""
        arrival = waiting.arrival
        self._lines.begin(moment, self._attempt_of(moment, arrival), waiting.id, is_new=moment - arrival.at < SECOND)
        is_basic = self.relay.way_at(moment) == "basic"
        if is_basic and moment < self._suspended_until and not is_under_way:
            self._put_off(moment, waiting, Answer(REFUSED, self._last_words), is_echo=True)
            return
        way, answer = self.ask(moment, arrival)
        self.note(moment, arrival, way, answer)
        if answer.kind == IN:
            self._lines.sent(moment, self.attempt(moment, arrival, way, answer), waiting.id)
            return
        if answer.kind == REFUSED:
            waiting.was_answered = True
            self._last_words = answer.text
            self._suspended_until = moment + self.relay.least_wait
        self._put_off(moment, waiting, answer, is_echo=False)

    def _attempt_of(self, moment: int, arrival: Arrival) -> Attempt:
        return self.attempt(moment, arrival, self.relay.way_at(moment), Answer(LATER, ""))

    def _put_off(self, moment: int, waiting: _Waiting, answer: Answer, *, is_echo: bool) -> None:
        arrival, relay = waiting.arrival, self.relay
        attempt = self.attempt(moment, arrival, relay.way_at(moment), answer)
        is_lost = answer.kind == REFUSED and not is_echo and not relay.soft_bounce
        self._lines.put_off(moment, attempt, waiting.id, is_echo=is_echo, is_lost=is_lost)
        age = moment - arrival.at
        if is_lost or age >= relay.lifetime:
            self._lines.end(moment, attempt, waiting.id, is_expired=not is_lost)
            self.lose(arrival, is_logged=waiting.was_answered)
            return
        wait = min(max(age, relay.least_wait), relay.longest_wait)
        due = -(-(moment + wait) // _QUEUE_RUN) * _QUEUE_RUN
        self._push(due, waiting)


class EximQueue(_Queue):
    """Exim as Debian sets it up: after a refused log-in it goes on without one, and gives the mail up."""

    def run(self, arrivals: list[Arrival]) -> None:
        """Hand on each mail once; what is put off is tried again after some minutes."""
        for arrival in sorted(arrivals, key=lambda each: (each.at, each.sender.address, each.wanted.message_id)):
            self._hand_on(arrival)

    def _hand_on(self, arrival: Arrival) -> None:
        id = exim.message_id(arrival.at, self.dice)
        moment, is_new = arrival.at + 300, True
        for _ in range(4):
            if moment >= self.plan.end:
                self.hold(arrival)
                return
            answers = self._answers(moment, arrival)
            way = self.relay.way_at(moment)
            if moment >= self.plan.start:
                attempt = self.attempt(moment, arrival, way, answers[-1])
                lines = exim.lines(self.relay, attempt, answers, id, self.dice, is_new=is_new)
                self.ledger.logs.add(self.relay.host, exim.FILE, lines)
            if answers[-1].kind != LATER:
                return
            moment, is_new = moment + round(self.dice.wide(10, 40) * MINUTE), False
        self.lose(arrival, is_logged=False)

    def _answers(self, moment: int, arrival: Arrival) -> list[Answer]:
        """Return the answers to each mechanism in turn; the first that is no refusal ends it."""
        answers = []
        for _ in self.relay.mechanisms:
            way, answer = self.ask(moment, arrival)
            self.note(moment, arrival, way, answer)
            answers.append(answer)
            if answer.kind != REFUSED or way != "basic":
                break
        return answers


class ExchangeQueue(_Queue):
    """An Exchange server that sends through a connector with a password."""

    _WAIT = 60 * MINUTE

    def run(self, arrivals: list[Arrival]) -> None:
        """Hand on all mails in order; a refusal holds the whole queue until the next try."""
        queue = sorted(arrivals, key=lambda each: (each.at, each.sender.address, each.wanted.message_id))
        free_at = -NEVER
        lifetime = max(self.relay.lifetime, 2 * DAY)
        answered: set[str] = set()
        while queue:
            arrival = queue[0]
            moment = max(arrival.at + 1500, free_at)
            if moment >= self.plan.end:
                break
            if moment - arrival.at > lifetime:
                self.lose(queue.pop(0), is_logged=arrival.wanted.message_id in answered)
                continue
            way, answer = self.ask(moment, arrival)
            self.note(moment, arrival, way, answer, is_named=answer.kind == IN)
            if moment >= self.plan.start:
                attempt = self.attempt(moment, arrival, way, answer)
                name, lines = exchange.session(attempt, self.dice)
                self.ledger.logs.add(self.relay.host, name, lines)
            if answer.kind == IN:
                queue.pop(0)
                free_at = moment + 900
            else:
                answered.add(arrival.wanted.message_id)
                free_at = moment + (self._WAIT if answer.kind == REFUSED else 10 * MINUTE)
        for arrival in queue:
            self.hold(arrival)


QUEUES: dict[str, type[_Queue]] = {"postfix": PostfixQueue, "exim": EximQueue, "exchange": ExchangeQueue}
