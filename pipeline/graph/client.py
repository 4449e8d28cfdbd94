"""
Ask Microsoft Graph: log in, keep within the quota, try again what may succeed, and explain what will not.

Every answer tells the time at Microsoft, so spans are cut by Graph's clock and not by one that may be wrong here.
A link to the next page is only followed to Graph itself, because our token travels with it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from pipeline.clock import Clock, Stopped
from pipeline.errors import SourceError
from pipeline.graph.identity import EXCHANGE_ONLINE, Settings
from pipeline.graph.login import Token, token_of
from pipeline.graph.quota import FILE, Quota
from pipeline.graph.trouble import Refusal, RefusedError, sentence_of
from pipeline.retry_after import wait_of

TRIES = 4
LONGEST_BACKOFF_S = 30.0
MOST_BYTES = 64 << 20
UNTOLD_PAUSE_S = 60.0
"""How long nothing is asked after Graph wanted fewer requests and did not say for how long."""


@dataclass(eq=False)
class UnavailableError(SourceError):
    """Graph did not answer this request properly, however often it was asked; another one may still succeed."""

    is_throttled: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What Graph answered: the body as it came, and the same read as JSON."""

    body: bytes
    values: Mapping[str, Any]
    asked_at: datetime

    @property
    def next_link(self) -> str | None:
        """Where the next page is, if there is one."""
        link = self.values.get("@odata.nextLink")
        return link if isinstance(link, str) and link else None


@dataclass(slots=True)
class Graph:
    """One tenant's Graph; `permission` names what a refused request would need."""

    settings: Settings
    http: httpx.Client
    token: Token
    quota: Quota
    clock: Clock
    is_backfill: bool = False
    jitter: Any = random.random
    skew: timedelta = field(default=timedelta(0))

    def now(self) -> datetime:
        """Return the time at Microsoft, as far as its last answer told it."""
        return self.clock.now() + self.skew

    def page(
        self, address: str, permission: str, *, params: Mapping[str, str] | None = None, prefer: str = ""
    ) -> Answer:
        """
        Return one answer in JSON; `address` is a path below Graph, or the link that an earlier answer gave.

        Raise RefusedError for what stays refused, UnavailableError for what failed each time, Stopped when asked to
        stop, SourceError when there is no log-in.
        """
        headers = {"Accept": "application/json"} | ({"Prefer": prefer} if prefer else {})
        return self._ask(address, permission, params, headers, _json)

    def bytes_of(self, address: str, permission: str) -> bytes:
        """Return an answer that is no JSON, such as a message in MIME; raise as `page` does."""
        return self._ask(address, permission, None, {}, _anything).body

    def exchange_online_token(self) -> str:
        """Return a bearer token for Exchange Online's own protocols, such as IMAP."""
        return self.token(EXCHANGE_ONLINE, False)

    def _ask(
        self,
        address: str,
        permission: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
        read: Any,
    ) -> Answer:
        url = self._url(address)
        is_refused, why, is_throttled = False, "", False
        for attempt in range(TRIES):
            if attempt and self.clock.wait(self._backoff_s(attempt)):
                raise Stopped
            token = self.token(self.settings.graph.rstrip("/"), is_refused)
            found = self._send(url, params, {**headers, "Authorization": f"Bearer {token}"}, read)
            if isinstance(found, Answer):
                return found
            if isinstance(found, Refusal):
                if found.status == 401 and not is_refused:
                    is_refused = True
                    continue
                raise RefusedError(sentence_of(found, permission), refusal=found)
            why, is_throttled = found.sentence, found.is_throttled
        sentence = f"Microsoft Graph did not answer in {TRIES} tries: {why}"
        raise UnavailableError(sentence, retry=True, is_throttled=is_throttled)

    def _send(
        self, url: str, params: Mapping[str, str] | None, headers: Mapping[str, str], read: Any
    ) -> Answer | Refusal | _Failure:
        """Return the answer, a refusal for good, or why it may be tried again."""
        api = _api_of(url)
        asked_at = self.now()
        try:
            with (
                self.quota.request(api, is_backfill=self.is_backfill),
                self.http.stream(
                    "GET",
                    url,
                    params=params,
                    headers=headers,
                    timeout=self.settings.timeout_s,
                    follow_redirects=False,
                ) as response,
            ):
                self._note_time(response)
                body = _body_of(response)
        except httpx.InvalidURL:
            raise SourceError("a link to the next page is no address; it is asked for again", retry=True) from None
        except (httpx.HTTPError, _TooLongError) as error:
            return _Failure(f"{type(error).__name__}{_reason_of(error)}")
        if response.is_success:
            return read(body, asked_at)  # type: ignore[no-any-return]
        if response.is_redirect:
            return _Failure("it sends us elsewhere, which is not followed: something on the way wants a log-in")
        refusal = Refusal.of(response.status_code, body, response.headers.get("request-id", ""))
        if refusal.status not in {408, 429} and refusal.status < 500:
            return refusal
        seconds = wait_of(response.headers.get("Retry-After"), self.clock.now())
        if seconds is None and refusal.status == 429:
            seconds = UNTOLD_PAUSE_S
        if seconds:
            self.quota.pause(api, seconds)
        return _Failure(sentence_of(refusal, ""), is_throttled=refusal.status == 429)

    def _url(self, address: str) -> str:
        own = self.settings.graph.rstrip("/")
        if address.startswith("/"):
            return own + address
        if _origin(address) != _origin(own):
            raise SourceError("Graph's link to the next page leads to another host, which gets no token of ours")
        return address

    def _backoff_s(self, attempt: int) -> float:
        return min(LONGEST_BACKOFF_S, 2.0**attempt) * (0.5 + 0.5 * float(self.jitter()))

    def _note_time(self, response: httpx.Response) -> None:
        try:
            there = parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
        except (KeyError, ValueError):
            return
        self.skew = there - self.clock.now()


def graph_of(settings: Settings, http: httpx.Client, folder: Path, clock: Clock) -> Callable[[bool], Graph]:
    """Return what gives a client of the tenant in `settings`, for a backfill or not; both share log-in and quota."""
    quota = Quota(folder / FILE, settings.tenant.lower(), clock)
    live = Graph(settings, http, token_of(settings, http), quota, clock)
    backfill = replace(live, is_backfill=True)
    return lambda is_backfill: backfill if is_backfill else live


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a request may be sent again."""

    sentence: str
    is_throttled: bool = False


class _TooLongError(Exception):
    """An answer larger than any page may be."""


def _body_of(response: httpx.Response) -> bytes:
    body = bytearray()
    for piece in response.iter_bytes():
        body += piece
        if len(body) > MOST_BYTES:
            raise _TooLongError
    return bytes(body)


def _json(body: bytes, asked_at: datetime) -> Answer | _Failure:
    try:
        values = json.loads(body)
    except ValueError:
        return _Failure("the answer broke off in the middle of its JSON")
    return Answer(body, values, asked_at) if isinstance(values, dict) else _Failure("the answer is no JSON object")


def _anything(body: bytes, asked_at: datetime) -> Answer:
    return Answer(body, {}, asked_at)


def _api_of(url: str) -> str:
    """Return the API that Graph counts a request to: the first word behind the version."""
    parts = urlsplit(url).path.split("/")
    return parts[2] if len(parts) > 2 else ""


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.lower()


def _reason_of(error: BaseException) -> str:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return f" ({seen.strerror})"
        seen = seen.__cause__ or seen.__context__
    return ""
