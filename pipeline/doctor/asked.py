"""Whether a server of Microsoft answers the very client that we ask with: its proxy, its trust."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from pipeline.doctor.reach import Network, unreached
from pipeline.doctor.result import Group, Result, Topic
from pipeline.needs import Endpoint


def asked(address: str, http: httpx.Client, network: Network, timeout_s: float) -> Result:
    """Return whether `address` gives any answer at all, or what is between."""
    url = httpx.URL(address)
    topic = Topic(Group.MICROSOFT, "connection", url.host)
    endpoint = Endpoint(url.host, url.port or (443 if url.scheme == "https" else 80))
    proxy = proxy_to(url.host, url.scheme)
    through = f" through the proxy {proxy}" if proxy else ""
    try:
        http.head(url, timeout=timeout_s, follow_redirects=False)
    except httpx.ProxyError as error:
        return topic.broken(f"the proxy {proxy} does not let us through to {endpoint}: {error}", _let_through(url.host))
    except httpx.HTTPError as error:
        found = unreached(Group.MICROSOFT, url.host, endpoint, _below(error), network)
        more = f"\nwe ask{through}, which the environment names: see that it is the right one" if proxy else _no_proxy()
        return Topic(found.group, found.check, found.about).broken(found.found + through, found.mend + more)
    return topic.ok(f"{endpoint} answers{through}")


def proxy_to(host: str, scheme: str) -> str:
    """Return the proxy that the environment names for `host`, without the log-in that may stand in its address."""
    address = "" if proxy_bypass(host) else getproxies().get(scheme, "")
    parts = urlsplit(address if "//" in address else f"//{address}")
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.hostname}{port}" if parts.hostname else ""


def _below(error: httpx.HTTPError) -> OSError:
    """Return what the operating system or TLS said below `error`."""
    if isinstance(error, httpx.TimeoutException):
        return TimeoutError()
    said = (cause for cause in _causes(error) if isinstance(cause, OSError))
    return next(said, OSError(0, type(error).__name__))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _let_through(host: str) -> str:
    return f"allow {host}:443 for this machine in the proxy, or except it:\nexport NO_PROXY={host}"


def _no_proxy() -> str:
    return "\nif only a proxy leads out of here, name it in the service's environment:\nHTTPS_PROXY=http://PROXY:3128"
