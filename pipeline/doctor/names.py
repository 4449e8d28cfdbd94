"""What it means when the name of a server leads to no address."""

from __future__ import annotations

import socket
from collections.abc import Callable

Resolve = Callable[[str, int], list[str]]
"""Return the addresses of a host; raise OSError when there are none."""

_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of `host`, as this machine's resolver knows them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def unresolved(host: str, error: socket.gaierror) -> tuple[str, str]:
    """Return why `host` has no address, and what to do."""
    if error.errno in _NO_SUCH_NAME:
        found = f"the name {host} does not exist for this machine's resolver"
        first = "if it is spelled as it should be, ask the resolver, and another one:"
    elif error.errno == socket.EAI_AGAIN:
        found = f"the resolver of this machine does not answer when it is asked for {host}"
        first = "see which name servers this machine asks, and that it reaches one on port 53:"
    else:
        found = f"the name {host} cannot be resolved: {error.strerror or type(error).__name__}"
        first = "ask the resolver:"
    return found, f"{first}\ngetent hosts {host}\ncat /etc/resolv.conf\non Windows: Resolve-DnsName {host}"
