"""
Post to an address that is itself a secret, and tell what the answer means.

The address of a webhook often holds its only key, so it stands in no error, no traceback and no log: httpx logs the
address of each request, which the filter below takes out. Redirects are not followed, because a signed message must
not travel to a host that nobody chose. The body of an answer is never read: it can be endless, and echo what we sent.
"""

from __future__ import annotations

import http
import ipaddress
import logging
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from urllib.parse import SplitResult, urlsplit

import httpx

from pipeline.clock import Now, utc_now
from pipeline.errors import DeliveryError
from pipeline.needs import Endpoint, Way
from pipeline.retry_after import wait_of

_RETRIED = frozenset({408, 425, 429})
_PRIVATE_NAMES = (".localhost", ".local", ".internal", ".intranet", ".lan", ".home.arpa", ".test")


def post(
    client: httpx.Client,
    url: str,
    body: bytes,
    *,
    channel: str,
    timeout_s: float,
    accepted: Collection[int] = range(200, 300),
    headers: Mapping[str, str] | None = None,
    now: Now = utc_now,
) -> None:
    """Post the JSON `body` to `url`; raise DeliveryError unless the answer is one of `accepted`."""
    if split(url) is None:
        raise _no_address(channel)
    sent = {"Content-Type": "application/json", "User-Agent": "authsunset", **(headers or {})}
    try:
        with client.stream(
            "POST", url, content=body, headers=sent, timeout=timeout_s, follow_redirects=False
        ) as response:
            status, asked = response.status_code, response.headers.get("Retry-After")
    # Neither is chained: the text of these errors may hold the address.
    except httpx.InvalidURL:
        raise _no_address(channel) from None
    except httpx.RequestError as error:
        raise DeliveryError(f"{channel}: no answer: {_reason_of(error)}", retry=True) from None
    if status not in accepted:
        raise refusal(channel, status, asked, now())


def refusal(channel: str, status: int, retry_after: str | None, now: datetime) -> DeliveryError:
    """Return the error that `status` means; `after_s` is what its Retry-After header asks for."""
    sentence = f"{channel}: the answer was {status} ({_phrase(status)}); {_meaning_of(status)}"
    retry = status in _RETRIED or status >= 500
    return DeliveryError(sentence, retry=retry, after_s=wait_of(retry_after, now) if retry else None)


def split(url: str) -> SplitResult | None:
    """Return the parts of an absolute web address, or None when `url` is none."""
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if is_address else None


def is_public(host: str) -> bool:
    """Return whether `host` looks like one on the internet; nothing is resolved."""
    host = host.lower().rstrip(".")
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith(_PRIVATE_NAMES)


def address_complaints(url: str) -> list[str]:
    """Return what is wrong with the address of a webhook, as sentences that do not show it."""
    parts = split(url)
    if parts is None or url.split() != [url]:
        return ["the url is not a web address: it should be one line that begins with https:// and names a host"]
    complaints = []
    if parts.scheme == "http" and is_public(parts.hostname or ""):
        complaints.append("the url uses plain http to a public host, so anyone on the way can read it: use https")
    if parts.username or parts.password:
        complaints.append("the url holds a log-in before the @: give a webhook address without one")
    return complaints


def endpoints_of(url: str) -> tuple[Endpoint, ...]:
    """Return the server at `url`, without the rest of it, which is secret; nothing when it is no address."""
    parts = split(url)
    if parts is None or not parts.hostname:
        return ()
    way = Way.TLS if parts.scheme == "https" else Way.PLAIN
    return (Endpoint(parts.hostname, parts.port or (443 if way is Way.TLS else 80), way, is_web=True),)


def _no_address(channel: str) -> DeliveryError:
    return DeliveryError(
        f"{channel}: the url is not a web address: it should begin with https:// and name a host; correct it"
    )


def _meaning_of(status: int) -> str:
    if status == 410:
        return "the receiver is gone for good: remove this channel or give it a new address"
    if status == 429:
        return "we send more than the receiver takes"
    if 300 <= status < 400:
        return "it sends us elsewhere, which is not followed: give the final address"
    if status >= 500:
        return "the receiver is out of order"
    if status in {401, 403}:
        return "the receiver does not let us in: renew the address or the key"
    return "the message was not taken"


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "no standard status"


def _reason_of(error: httpx.RequestError) -> str:
    """Return what the operating system or TLS said below `error`, whose own text is not trusted with the address."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.strerror:
            return f"{type(error).__name__} ({cause.strerror})"
    return type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _without_address(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(
            f"{arg.scheme}://{arg.host}/***" if isinstance(arg, httpx.URL) else arg for arg in record.args
        )
    return True


logging.getLogger("httpx").addFilter(_without_address)
