"""
Email OAuth 2.0 Proxy, which logs in with OAuth for programs that know passwords only, from its log with `--debug`.

Reads: each refusal and each acceptance of the server behind the proxy, with sender, recipients, mechanism, account and
the device that the proxy speaks for. Leaves: what the proxy and the device say to each other, which repeats it, IMAP
and POP, and the proxy's own messages.

What a reader could not guess: `-->` and `<--` far from the brackets are between proxy and server, near ones between
device and proxy. The account is named from the moment when the device has logged in. Versions until 2023 name their own
address first, and an arrow stands between device and server.
"""

from __future__ import annotations

import re
from ipaddress import ip_address

from pipeline.applications.dialogue import Dialogue
from pipeline.lines import Line, text_of
from pipeline.model import Carry
from pipeline.programs import Row

MOST_OPEN = 200
_LINE = re.compile(
    rb"SMTP \((?P<talk>(?:[^()\s;]{1,80}; )?(?P<device>[^()\s;]{1,80}?):\d{1,5}(?:->|-\{[^{}\s]{1,80}\}-)"
    rb"(?P<server>[^()\s;]{1,255}):\d{1,5})(?:; (?P<account>[^()\s;]{1,320}))?\)"
    rb"(?P<room> {1,8})(?P<side>-->|<--) (?P<said>b['\"].*|\[ .*)",
    re.DOTALL,
)
_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_ESCAPED = {b"r": b"\r", b"n": b"\n", b"t": b"\t"}
_FAR = 5
_LONGEST = 8_192


def owns_tag(tag: bytes) -> bool:
    """Return whether `tag` is the proxy's."""
    return tag == b"emailproxy"


class Reader:
    """Goes through one log; conversations by the addresses of device and server."""

    def __init__(self, carry: Carry) -> None:
        self._talks = {key: Dialogue(**known) for key, known in carry.get("talks", {}).items()}

    def owns(self, line: Line) -> bool:
        """Return whether `line` is of a conversation by SMTP that the proxy passes on."""
        return _LINE.match(line.message[:_LONGEST]) is not None

    def read(self, line: Line) -> list[Row] | str | None:
        """Return the rows of the answer that `line` completes, or None."""
        found = _LINE.match(line.message[:_LONGEST])
        if found is None:
            return None
        key = text_of(found["talk"])
        if found["said"].startswith(b"["):
            if b"disconnected" in found["said"]:
                self._talks.pop(key, None)
            return None
        if len(found["room"]) < _FAR:
            return None
        talk = self._talk(key, text_of(found["server"]).strip("[]").lower())
        talk.user = text_of(found["account"]).lower() if found["account"] else talk.user
        rows: list[Row] = []
        for said in _words(found["said"]).splitlines():
            if found["side"] == b"-->":
                talk.client(said)
            else:
                rows += talk.server(said, line)
        device = _device(text_of(found["device"]))
        return [(table, {**row, "client_ip": device}) for table, row in rows] or None

    def close(self) -> list[Row]:
        """Return nothing: a question without an answer tells nothing."""
        return []

    def carry(self) -> Carry:
        """Return the open conversations."""
        return {"talks": {key: talk.to_json() for key, talk in self._talks.items()}} if self._talks else {}

    def _talk(self, key: str, server: str) -> Dialogue:
        talk = self._talks.pop(key, None) or Dialogue(endpoint=server)
        self._talks[key] = talk
        if len(self._talks) > MOST_OPEN:
            del self._talks[next(iter(self._talks))]
        return talk


def _words(said: bytes) -> str:
    """Return the words that Python wrote as a literal of bytes, which may be cut."""
    quote = said[1:2]
    return text_of(_ESCAPE.sub(_unescaped, said[2:].rstrip().removesuffix(quote)))


def _unescaped(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 16)]) if match[1] else _ESCAPED.get(match[2], match[2])


def _device(name: str) -> str | None:
    """Return the address of the device, unless it is a program on the same machine."""
    try:
        address = ip_address(name.strip("[]").rpartition("%")[0] or name.strip("[]"))
    except ValueError:
        return None
    return None if address.is_loopback else str(address)
