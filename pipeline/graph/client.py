"""
Ask Microsoft Graph: log in, keep within the quota, try again what may succeed, and explain what will not.

Every answer tells the time at Microsoft, so spans are cut by Graph's clock and not by one that may be wrong here.
A link to the next page is only followed to Graph itself, because our token travels with it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from pipeline.clock import Clock
from pipeline.errors import SourceError
from pipeline.graph.identity import EXCHANGE_ONLINE, Settings, Token
from pipeline.graph.quota import Quota, Stopped
from pipeline.graph.trouble import Refusal, RefusedError, sentence_of
from pipeline.retry_after import wait_of

TRIES = 4
LONGEST_BACKOFF_S = 30.0
MOST_BYTES = 64 << 20


@dataclass(eq=False)
class UnavailableError(SourceError):
    """Graph did not answer this request properly, however often it was asked; another one may still succeed."""


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
        is_refused, why = False, ""
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
            why = found
        raise UnavailableError(f"Microsoft Graph did not answer in {TRIES} tries: {why}", retry=True)

    def _send(
        self, url: str, params: Mapping[str, str] | None, headers: Mapping[str, str], read: Any
    ) -> Answer | Refusal | str:
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
            return f"{type(error).__name__}{_reason_of(error)}"
        if response.is_success:
            return read(body, asked_at)  # type: ignore[no-any-return]
        refusal = Refusal.of(response.status_code, body, response.headers.get("request-id", ""))
        seconds = wait_of(response.headers.get("Retry-After"), self.clock.now())
        if seconds is not None and (refusal.status == 429 or refusal.status >= 500):
            self.quota.pause(api, seconds)
        if refusal.status in {408, 429} or refusal.status >= 500:
            return sentence_of(refusal, "")
        return refusal

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


class _TooLongError(Exception):
    """An answer larger than any page may be."""


def _body_of(response: httpx.Response) -> bytes:
    body = bytearray()
    for piece in response.iter_bytes():
        body += piece
        if len(body) > MOST_BYTES:
            raise _TooLongError
    return bytes(body)


def _json(body: bytes, asked_at: datetime) -> Answer | str:
    try:
        values = json.loads(body)
    except ValueError:
        return "the answer broke off in the middle of its JSON"
    return Answer(body, values, asked_at) if isinstance(values, dict) else "the answer is no JSON object"


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
