"""
Microsoft Graph as far as we use it: a real HTTP server on loopback with a time of its own, truth, and faults.

It counts requests in every sliding five minutes as the real one does, and remembers when each came.
"""

from __future__ import annotations

import base64
import json
import random
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from pipeline.model import Window
from tests.fake_graph.clock import SharedTime

Records = Callable[[Window, datetime, str], list[dict[str, Any]]]
"""The records of a span as they show at a moment; the last argument is the filter as it was sent."""

SPAN = re.compile(r"(\w+DateTime) ge (\S+?Z) and \1 le (\S+?Z)")
LIMIT, SPAN_S = 100, 300.0
LINK_LASTS_S = 1_200.0
TOKEN = "token-of-the-fake"


@dataclass
class Faults:
    """How often, out of one, each thing goes wrong; and what is broken for good."""

    throttled: float = 0.0
    unavailable: float = 0.0
    reset: float = 0.0
    truncated: float = 0.0
    doubled: float = 0.0
    shuffled: float = 0.0
    expired: float = 0.0
    logged_out: float = 0.0
    slow: float = 0.0
    broken: Window | None = None
    refusal: tuple[int, dict[str, Any]] | None = None

    @classmethod
    def all(cls, often: float = 0.03) -> Faults:
        """Return every fault that passes."""
        return cls(often, often, often, often, often, often, often, often, often)


@dataclass
class FakeGraph:
    """The server's state; `skew` is how far Microsoft's clock is ahead of the time, `arrivals` when requests came."""

    time: SharedTime
    traces: Records
    signins: Records = lambda *_: []
    faults: Faults = field(default_factory=Faults)
    skew: timedelta = timedelta(0)
    seed: int = 1
    arrivals: list[float] = field(default_factory=list)
    refused: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Make the dice."""
        self.chance = random.Random(self.seed)  # noqa: S311 - repeatable on purpose

    def now(self) -> datetime:
        """Return the time at Microsoft."""
        return self.time.now() + self.skew

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve on a free port of loopback; yield the address."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _answering(self))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def most_in_a_span(self) -> int:
        """Return the most requests that came in any sliding five minutes."""
        most, first = 0, 0
        for last, arrived in enumerate(self.arrivals):
            while arrived - self.arrivals[first] >= SPAN_S:
                first += 1
            most = max(most, last - first + 1)
        return most

    def is_due(self, share: float) -> bool:
        """Throw the dice."""
        return self.chance.random() < share

    def is_over_limit(self) -> bool:
        """Count one request; return whether it is one too many."""
        self.time.pass_(self.chance.uniform(0.05, 1.5) + (90 if self.is_due(self.faults.slow) else 0))
        now = self.time.seconds
        self.arrivals.append(now)
        return sum(now - arrived < SPAN_S for arrived in self.arrivals[-LIMIT - 1 :]) > LIMIT


Answer = tuple[int, dict[str, Any], dict[str, str]]


def _error(status: int, code: str, words: str, **headers: str) -> Answer:
    return status, {"error": {"code": code, "message": words}}, headers


def answer(fake: FakeGraph, path: str, query: dict[str, str], authorization: str) -> Answer:
    """Return what Graph would answer."""
    faults = fake.faults
    if fake.is_over_limit():
        fake.refused += 1
        return _error(429, "TooManyRequests", "Too many requests", **{"Retry-After": "60"})
    if faults.refusal:
        status, body = faults.refusal
        return status, body, {"request-id": "5c1f0000-0000-4000-8000-000000000001"}
    if authorization != f"Bearer {TOKEN}" or fake.is_due(faults.logged_out):
        return _error(401, "InvalidAuthenticationToken", "Access token has expired or is not yet valid.")
    if fake.is_due(faults.throttled):
        wait = {"Retry-After": str(fake.chance.randint(1, 120))} if fake.chance.random() < 0.5 else {}
        return _error(429, "TooManyRequests", "Too many requests", **wait)
    if fake.is_due(faults.unavailable):
        return _error(fake.chance.choice([500, 502, 503]), "UnknownError", "")
    return _page(fake, path, query)


def _page(fake: FakeGraph, path: str, query: dict[str, str]) -> Answer:
    if token := query.get("$skiptoken"):
        found = json.loads(base64.urlsafe_b64decode(token))
        asked, skip, issued_at = found["query"], found["skip"], found["at"]
        if fake.time.seconds - issued_at > LINK_LASTS_S or fake.is_due(fake.faults.expired):
            return _error(400, "BadRequest", "The skip token is invalid or has expired.")
    else:
        asked, skip = query, 0
    is_traces = path.endswith("/messageTraces")
    span = _span(asked.get("$filter", ""))
    if span is None:
        return _error(400, "BadRequest", "Invalid filter clause")
    if refused := _wrong(fake, span, timedelta(days=90 if is_traces else 30)):
        return refused
    if fake.faults.broken and span.start < fake.faults.broken.end and fake.faults.broken.start <= span.end:
        return _error(500, "UnknownError", "")
    records = (fake.traces if is_traces else fake.signins)(span, fake.now(), asked.get("$filter", ""))
    top = int(asked.get("$top", 1000))
    page = records[skip : skip + top]
    if skip and fake.is_due(fake.faults.doubled):
        page = records[max(0, skip - 3) : skip] + page
    if fake.is_due(fake.faults.shuffled):
        fake.chance.shuffle(page)
    body: dict[str, Any] = {"@odata.context": f"https://graph.microsoft.com{path}", "value": page}
    if skip + top < len(records):
        link = {"query": asked, "skip": skip + top, "at": fake.time.seconds}
        skiptoken = base64.urlsafe_b64encode(json.dumps(link).encode()).decode()
        body["@odata.nextLink"] = f"{{host}}{path}?$skiptoken={quote(skiptoken)}"
    return 200, body, {}


def _span(filter: str) -> Window | None:
    match = SPAN.search(filter)
    return Window(*(datetime.fromisoformat(match[each]) for each in (2, 3))) if match else None


def _wrong(fake: FakeGraph, span: Window, history: timedelta) -> Answer | None:
    if span.end > fake.now():
        return _error(400, "InvalidRequest", "The end date cannot be in the future.")
    if span.length > timedelta(days=10):
        return _error(400, "InvalidRequest", "The date range cannot exceed 10 days.")
    if span.start < fake.now() - history:
        return _error(400, "InvalidRequest", f"The start date must be within the last {history.days} days.")
    return None


def _answering(fake: FakeGraph) -> type[BaseHTTPRequestHandler]:
    class Answering(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            with fake.lock:
                status, body, headers = answer(fake, parts.path, query, self.headers.get("Authorization", ""))
                is_reset, is_truncated = fake.is_due(fake.faults.reset), fake.is_due(fake.faults.truncated)
            sent = json.dumps(body).replace("{host}", f"http://{self.headers['Host']}").encode()
            if is_reset:
                self.close_connection = True
                self.connection.close()
                return
            if status == 200 and is_truncated:
                sent = sent[: len(sent) // 2]
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def date_time_string(self, _timestamp: float | None = None) -> str:
            return format_datetime(fake.now().astimezone(UTC), usegmt=True)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def finish(self) -> None:
            try:
                super().finish()
            except (OSError, ValueError):
                return  # we have cut the connection ourselves, or the reader was killed

    return Answering


def records_of(traces: list[Any]) -> Records:
    """Return the records of `traces`, newest first, as Graph lists them."""

    def records(span: Window, now: datetime, _filter: str) -> list[dict[str, Any]]:
        shown = (each.at(now) for each in reversed(traces) if span.start <= each.received_at <= span.end)
        return [each for each in shown if each is not None]

    return records
