"""
Hold the formats against what other projects expect of their own test lines.

    python -m benchmarks.peer_agreement EXPECTATIONS.jsonl [--show N] [--peer NAME] [--json]

Each line of the file is one item: `peer`, `format`, `line` (or null, and `src` names a file below the folder of
EXPECTATIONS), and `norm`, the peer's expectation in common names. An item agrees when every field of `norm` that we
have too is equal. A refusal, a delivery or a log-in that gives no row disagrees. Items that are none of these and give
no row (statistics, TLS details, other audit events) are left, and counted apart. The expectations are not part of this
project.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.errors import FormatError
from pipeline.exchange.record import read_record
from pipeline.model import Chunk
from pipeline.reading import read
from pipeline.recognise import recognise

Item = Mapping[str, Any]
Row = dict[str, Any]
AS_OF = datetime(2026, 12, 1, tzinfo=UTC)
HOST = "relay"
STAMP = "2026-11-30T10:00:00Z"
_QUEUE_ID = re.compile(r"(?!NOQUEUE)([0-9A-Za-z]{5,24}): ")
_PROTOCOL_FIELDS = [
    "date-time",
    "connector-id",
    "session-id",
    "sequence-number",
    "local-endpoint",
    "remote-endpoint",
    "event",
    "data",
    "context",
]
_MADE_UP = re.compile(r"[45]\.0\.9\d\d")
_SESSION_LINE = re.compile(r"client=|message-id=|from=<?[^ ]*,|uid=")
_EXIM_ID = re.compile(r"\b([0-9A-Za-z]{6}-[0-9A-Za-z]{6,11}-[0-9A-Za-z]{2,4})\b")


@dataclass(slots=True)
class Tally:
    """The counts of one peer and format."""

    items: int = 0
    left: int = 0
    with_row: int = 0
    evidence: int = 0
    compared: int = 0
    agree: int = 0
    theirs: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)


def main() -> int:
    """Print the table; exit 1 when a peer of TARGETS is below its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("expectations", type=Path)
    parser.add_argument(
        "--show", type=int, default=0, metavar="N", help="print N disagreements of each peer and format"
    )
    parser.add_argument("--peer", help="only this peer, or peer/format")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    tallies = tallied(items_of(asked.expectations, asked.peer), asked.expectations.parent)
    rows = [shown(key, tally) for key, tally in sorted(tallies.items())]
    if asked.json:
        print(json.dumps(rows, indent=1))
    else:
        print_table(rows)
    for key, tally in sorted(tallies.items()):
        for difference in tally.differences[: asked.show]:
            print(f"{key}: {difference}", file=sys.stderr)
    return 1 if any(row["below"] for row in rows) else 0


TARGETS = {
    "whyscream/postfix": 99.0,
    "sekoia/postfix": 99.0,
    "logstash-patterns-core/exim": 99.0,
    "fail2ban/exim": 99.0,
    "elastic/exchange-smtp": 99.0,
    "sekoia/message-trace": 99.0,
    "panther/entra-signin-diagnostic": 99.0,
    "sekoia/entra-signin-diagnostic": 99.0,
    "sekoia/entra-graph": 99.0,
    "sisimai/dsn": 97.0,
    "bounce_email/dsn": 97.0,
}
"""Agreement in per cent that is asked for."""


def items_of(path: Path, peer: str | None) -> Iterator[Item]:
    """Yield the items of the file, or those of one peer."""
    with path.open("rb") as lines:
        for line in lines:
            item = json.loads(line)
            if peer in {None, item["peer"], f"{item['peer']}/{item['format']}"}:
                yield item


def tallied(items: Iterable[Item], folder: Path) -> dict[str, Tally]:
    """Return the counts by peer and format."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    for item in items:
        weigh(item, tallies[f"{item['peer']}/{item['format']}"], folder)
    return dict(tallies)


def weigh(item: Item, tally: Tally, folder: Path) -> None:
    """Add one item to `tally`."""
    tally.items += 1
    rows = rows_of(item, folder)
    is_evidence = EVIDENCE.get(item["format"], lambda _item: False)(item)
    tally.evidence += is_evidence
    if not rows:
        if is_evidence and '"notificationType' in plain_body(item, folder).decode("utf-8", "replace").replace("\\", ""):
            tally.left += 1  # a notification of Amazon's as JSON in a mail, which is no bounce
        elif is_evidence:
            tally.compared += 1
            tally.differences.append(f"no row: {item['src']} {str(item['line'])[:300]}")
        else:
            tally.left += 1
        return
    tally.with_row += 1
    compared = {
        name: expected for name, expected in item["norm"].items() if name in FIELDS and expected not in ("", None)
    }
    compared = {name: expected for name, expected in compared.items() if is_told(name, expected, item)}
    if not compared:
        return
    tally.compared += 1
    wrong = {name: expected for name, expected in compared.items() if not FIELDS[name](rows, expected)}
    tally.agree += not wrong
    said = plain_body(item, folder).decode("utf-8", "replace")
    reasons = [theirs(name, expected, item, said) for name, expected in wrong.items()]
    if wrong and all(reasons):
        tally.theirs += 1
        tally.reasons.update(reason for reason in reasons if reason)
        return
    for name, expected in wrong.items():
        found = sorted({str(row.get(column)) for row in rows for column in COLUMNS.get(name, (name,))})
        tally.differences.append(
            f"{name}: expected {expected!r}, found {found}: {item['src']} {str(item['line'])[:300]}"
        )


def rows_of(item: Item, folder: Path) -> list[Row]:
    """Return the rows that our formats make of one item, read as a file of its own."""
    if item["format"] == "exchange-smtp":
        return [record_of(str(item["line"]))]
    body = BODIES.get(item["format"], plain_body)(item, folder)
    kind = recognise(body)
    if kind is None:
        return []
    try:
        parsed = read(kind.name, Chunk(body, "item", "item", as_of=AS_OF, is_last=True, host=HOST), {})
    except FormatError:
        return []
    return [row | {"table": table} for table, rows in parsed.tables.items() for row in rows.to_pylist()]


def plain_body(item: Item, folder: Path) -> bytes:
    """Return the line, or the file that `src` names."""
    if item["line"] is None:
        return (folder / item["src"]).read_bytes()
    return f"{item['line']}\n".encode("utf-8", "surrogateescape")


def postfix_body(item: Item, folder: Path) -> bytes:  # noqa: ARG001 - one signature for all
    """Return the line behind a header, and the end of its mail, which shows what a line that makes no row has told."""
    line = item["line"]
    if re.match(r"[A-Z][a-z]{2} +\d+ \d\d:", line):
        header = re.match(r"([A-Z][a-z]{2}) +(\d+) (\S+) (\S+) ", line)
        line = re.sub(r"^([A-Z][a-z]{2}) (\d) ", r"\1  \2 ", line) if header else line
        text = line + "\n"
        message = line.partition("]: ")[2]
        host = header[4] if header else HOST
        stamp = line[:15]
    else:
        daemon = item["norm"].get("daemon") or str(item["norm"].get("appname") or "").rpartition("/")[2] or "smtpd"
        program = str(item["norm"].get("appname") or f"postfix/{daemon}")
        text = f"{STAMP} {HOST} {program}[7]: {line}\n"
        message, host, stamp = line, HOST, STAMP
    queue_id = _QUEUE_ID.match(message)
    if queue_id and _SESSION_LINE.match(message[queue_id.end() :]):
        text += f"{stamp} {host} postfix/qmgr[7]: {queue_id[1]}: removed\n"
    return text.encode("utf-8", "surrogateescape")


def exim_body(item: Item, folder: Path) -> bytes:
    """Return the line and the end of its mail."""
    text = plain_body(item, folder)
    if re.match(r"\S+ exim\[\d+\]: ", item["line"]):
        text = b"Nov 30 10:00:00 " + text  # a syslog line without its time
    queue_id = _EXIM_ID.search(item["line"])
    if queue_id and " <= " in item["line"]:
        text += f"{item['line'][:19]} {queue_id[1]} Completed\n".encode()
    return text


def record_of(line: str) -> Row:
    """Return one record of a protocol log; single lines of a session make no row."""
    session, record = read_record(line, _PROTOCOL_FIELDS, 0)
    return {
        "session_id": session,
        "connector": record.connector,
        "number": str(record.number),
        "local": record.local,
        "remote": record.remote,
        "event": record.event,
        "table": "records",
    }


BODIES: Mapping[str, Callable[[Item, Path], bytes]] = {
    "postfix": postfix_body,
    "exim": exim_body,
}

_POSTFIX_EVIDENCE = re.compile(
    r" to=<?[^>,]*>?,.* status=|^(?:\w+: )?(?:milter-)?reject: |sasl_username=|SASL \S+ authentication failed|"
    r"\b(?:host|server) \S+ said: |status=expired|: removed$"
)
_DOVECOT_EVIDENCE = re.compile(
    r"-login: (?:Login|Aborted login \(|Disconnected.*auth failed)|unknown user|not found|\bfailed|mismatch"
)
_EXIM_EVIDENCE = re.compile(
    r" (?:<=|=>|->|>>|\*>|==|\*\*) |authenticator failed|rejected (?:RCPT|MAIL|after DATA)| Completed$"
)
_SIGN_IN = re.compile(r"Sign-in activity|SignInLogs|\"clientAppUsed\"", re.IGNORECASE)
_AUDIT_LOG_IN = re.compile(r"\"(?:UserLoggedIn|UserLoginFailed)\"")

EVIDENCE: Mapping[str, Callable[[Item], bool]] = {
    "postfix": lambda item: bool(_POSTFIX_EVIDENCE.search(item["line"])),
    "exim": lambda item: bool(_EXIM_EVIDENCE.search(item["line"])),
    "dsn": lambda item: not {"feedback", "vacation"} & set(item["norm"].get("reason", [])),
    "message-trace": lambda _item: True,
    "entra-signin-diagnostic": lambda item: bool(_SIGN_IN.search(item["line"])),
    "entra-graph": lambda item: '"clientAppUsed"' in item["line"],
    "o365-unified-audit": lambda item: bool(_AUDIT_LOG_IN.search(item["line"])),
    "dovecot": lambda item: bool(_DOVECOT_EVIDENCE.search(item["line"])),
}
"""Whether an item tells of a refusal, a delivery or a log-in, so that it must give a row."""


def is_told(name: str, expected: Any, item: Item) -> bool:
    """Return whether a peer's field is one of the line, and not its own word for the event or a guess of it."""
    if name == "enhanced" and _MADE_UP.search(str(expected)):
        return False  # a status of sisimai's own making, where none was said
    if name == "event" and item["format"] != "exchange-smtp":
        return False
    if name == "queue_id" and expected == "NOQUEUE":
        return False
    if name in {"client_host", "client_ip", "relay_host"} and str(expected) in {"unknown", "none", "local"}:
        return False
    if name == "recipient" and item["format"] == "exim" and " <= " in item["line"]:
        return False  # a recipient has a row when something is delivered to it, not when a mail is taken in
    if name == "auth_user" and item["format"].startswith("entra"):
        # A display name or an object id is another field, which we do not keep.
        return f'"userprincipalname":"{str(expected).lower()}"' in item["line"].lower().replace('": "', '":"')
    return not (name == "status" and item["format"] not in STATUSES)


_NO_ADDRESS = re.compile(r".*[A-Za-z].*\..*")


def theirs(name: str, wanted: Any, item: Item, said: str) -> str | None:
    """Return why a difference is the peer's, where it names another thing by that field; None is ours."""
    if name in {"enhanced", "reply_code"} and not _stands_in(wanted, said):
        return f"their {name} stands nowhere in the message"
    line, expected = str(item["line"]), str(wanted)
    if name in {"client_ip", "client_host"}:
        if f"@{expected.lower()}>" in line.lower() and "from=<" in line:
            return "their client is the domain of the sender"
        if f"[Hostname={expected}]" in line:
            return "their client is the host that Exchange names in its reply"
        if f"smtp:[{expected}]" in line:
            return "their client is the content filter's next hop"
        if name == "client_ip" and _NO_ADDRESS.fullmatch(expected) and ":" not in expected:
            return "their client address is a name"
    if name == "relay_host" and f"@{expected.lower()}" in line.lower() and "relay=" in line:
        return "their relay is the domain of the recipient"
    return None


def _stands_in(wanted: Any, said: str) -> bool:
    words = [str(each) for each in (wanted if isinstance(wanted, list) else [wanted])]
    return any(re.search(rf"(?<![\d.]){re.escape(word)}(?![\d.])", said) for word in words if word)


def any_equal(*columns: str) -> Callable[[list[Row], Any], bool]:
    """Return a comparison: some row has the expected value in one of `columns`, without regard to case."""

    def equal(rows: list[Row], expected: Any) -> bool:
        wanted = {str(each).strip("<>").lower() for each in (expected if isinstance(expected, list) else [expected])}
        found = {
            str(row[column]).strip("<>").lower() for row in rows for column in columns if row.get(column) is not None
        }
        return bool(wanted & found) or wanted <= {""}

    return equal


def status_equal(rows: list[Row], expected: Any) -> bool:
    """Return whether an outcome says what a mail log's status says."""
    word = str(expected).lower()
    if word not in STATUS_WORDS:
        return True
    return any(row.get("outcome") in STATUS_WORDS[word] or row.get("kind") in STATUS_WORDS[word] for row in rows)


STATUS_WORDS = {
    "sent": {"accepted"},
    "deferred": {"deferred", "held"},
    "bounced": {"rejected"},
    "expired": {"expired"},
    "=>": {"accepted"},
    "**": {"rejected"},
    "==": {"deferred", "held"},
}
STATUSES = {"postfix", "exim", "message-trace"}
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "sender": ("sender",),
    "recipient": ("recipient",),
    "client_ip": ("client_ip", "from_ip"),
    "client_host": ("client_name",),
    "queue_id": ("queue_id",),
    "message_id": ("message_id",),
    "auth_user": ("client_user", "auth_user", "user"),
    "relay_host": ("endpoint",),
    "relay_ip": ("endpoint_ip",),
    "reply_code": ("reply_code",),
    "enhanced": ("enhanced_code",),
    "client_app": ("client_app",),
    "sessionid": ("session_id",),
    "connectorid": ("connector",),
    "sequencenumber": ("number",),
    "localendpoint": ("local",),
    "remoteendpoint": ("remote",),
    "event": ("event",),
}
FIELDS: dict[str, Callable[[list[Row], Any], bool]] = {
    **{name: any_equal(*columns) for name, columns in COLUMNS.items()},
    "relay_host": lambda rows, expected: any_equal("endpoint")(rows, str(expected).partition("[")[0]),
    "status": status_equal,
}


def shown(key: str, tally: Tally) -> dict[str, Any]:
    """Return one line of the table."""
    ours = tally.compared - tally.theirs
    share = 100 * tally.agree / ours if ours else None
    target = TARGETS.get(key)
    return {
        "peer": key,
        "items": tally.items,
        "left": tally.left,
        "with_row": tally.with_row,
        "evidence": tally.evidence,
        "compared": tally.compared,
        "agree": tally.agree,
        "theirs": tally.theirs,
        "agreement": None if share is None else round(share, 1),
        "target": target,
        "below": bool(target and share is not None and share < target),
        "reasons": dict(tally.reasons),
        "fields": dict(Counter(difference.split(":")[0] for difference in tally.differences)),
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the table for people: `theirs` are differences that are the peer's, which the share leaves out."""
    names = ("items", "left", "with_row", "compared", "agree", "theirs")
    print(f"{'peer/format':34} {' '.join(f'{name:>8}' for name in names)} {'%':>6} {'asked':>6}  differences")
    for row in rows:
        share = "-" if row["agreement"] is None else f"{row['agreement']:.1f}"
        target = "-" if row["target"] is None else f"{row['target']:.0f}"
        differences = ", ".join(f"{name} {count}" for name, count in {**row["fields"], **row["reasons"]}.items())
        counts = " ".join(f"{row[name]:>8}" for name in names)
        print(f"{row['peer']:34} {counts} {share:>6} {target:>6}  {differences}")


if __name__ == "__main__":
    sys.exit(main())
