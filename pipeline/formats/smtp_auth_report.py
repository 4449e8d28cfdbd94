"""
The report that names who logs in with a password: Exchange Online's SMTP AUTH clients report, in both its forms.

Reads: the summary that the Exchange admin center exports (`eac_summary`: sender, protocol, shares of TLS versions,
messages sent) and the requested report SmtpCSReport (`smtp_cs_report`: one record for each message, with the client's
address), in English, German, French, Spanish, Italian or Dutch, in whatever encoding and locale.
Leaves: message ids and ciphers, headers that return, and SmtpCSReport records that repeat another one word for word,
its message id included.

What a reader could not guess:
- Both count mail that was accepted. Nothing here is a refusal; a sender that is refused is one that is missing.
- The summary does not say which days it covers: some 7 to 90 that end when it was written. `day` is the day the file
  was written (UTC), `first_day` is NULL, and copying the file to a new date makes it a new report. Summaries of two
  days mostly count the same mail, so their counts must not be added.
- A summary of before October 2024 has no column for the protocol; its senders are 'unknown', not absent.
- Protocol words are matched by how they begin, and the word itself is kept: the values are not documented. LOGIN and
  PLAIN, which no report was seen to say, are the passwords of SMTP.
- In the summary `tls_version` lists the versions with a share above zero ("1.0, 1.2"), oldest first.
- SmtpCSReport is a historical search, which Microsoft cuts at 100,000 lines. One of that size is a gap.
- An id covers the count too, so that a later and larger count of the same day is a new version of it.
Counting: a summary has lines = rows + rejects + left. SmtpCSReport is summed to one row for each day, sender,
protocol word, client and TLS version, so there the messages of all rows add up to the counts of lines - rejects - left
records.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date
from typing import Any

from pipeline.exports.locales import DayOrder, count_of, day_order_of, expected, moment_of, share_of
from pipeline.exports.tables import Export, Record, columns_in, cut, fold, read, reject_of, shown, without
from pipeline.model import Carry, Chunk, Parsed, Reject, event_id_of, rows_of

WHOLE = True

_TLS_SHARES = {"tls10": "1.0", "tls11": "1.1", "tls12": "1.2", "tls13": "1.3"}
_HEADERS = {
    "day": ("date", "Datum", "Fecha"),
    "sender": (
        *("Sender address", "Sender", "senderName", "Absenderadresse", "Absender", "Absendername"),
        *("Adresse des Absenders", "E-Mail-Adresse des Absenders", "Indirizzo mittente", "Adres van afzender"),
        *("Adresse de l'expéditeur", "Adresse d'expéditeur", "Expéditeur", "Dirección del remitente"),
        *("Dirección de remitente", "Remitente"),
    ),
    "domain": (
        *("Domain", "senderDomain", "Domäne", "Absenderdomäne", "Domaine", "Domaine de l'expéditeur"),
        *("Dominio", "Dominio del remitente", "Domein"),
    ),
    "protocol": (
        *("Authentication protocol", "Authentication method", "authMethod", "authProtocol"),
        *("Authentifizierungsprotokoll", "Authentifizierungsmethode"),
        *("Protocole d'authentification", "Méthode d'authentification"),
        *("Protocolo de autenticación", "Método de autenticación"),
        *("Protocollo di autenticazione", "Verificatieprotocol"),
    ),
    "client_ip": ("original_client_ip", "client_ip", "Ursprüngliche Client-IP", "Client-IP-Adresse"),
    "tls_version": ("tls_version",),
    "messages": (
        *("Messages sent", "message_count", "Messages", "Sent messages"),
        *("Gesendete Nachrichten", "Nachrichten gesendet", "Nachrichtenanzahl", "Anzahl der Nachrichten"),
        *("Messages envoyés", "Nombre de messages", "Mensajes enviados", "Número de mensajes"),
        *("Messaggi inviati", "Verzonden berichten"),
    ),
    "message_id": ("message_id", "Nachrichten-ID", "ID de message", "ID du message", "Id. de mensaje"),
    **{
        name: (
            name,
            *(
                f"{name} {unit}"
                for unit in (
                    "percent",
                    "percentage",
                    "Prozent",
                    "Prozentsatz",
                    "pourcentage",
                    "porcentaje",
                    "percentuale",
                )
            ),
        )
        for name in _TLS_SHARES
    },
}
_NAMES = {fold(header): name for name, headers in _HEADERS.items() for header in headers}
_SUMMARY = {"sender": "Sender address", "messages": "Messages sent"}
_PER_MESSAGE = {"day": "date", "sender": "senderName", "protocol": "authMethod", "messages": "message_count"}
_MARKS_OF_SUMMARY = {"domain", "protocol", *_TLS_SHARES}
_ADVICE = (
    "expected the export of the SMTP AUTH clients report (Sender address, Authentication protocol, Messages sent) "
    "or an SmtpCSReport (date, senderName, senderDomain, authMethod, message_count)"
)
_PROTOCOLS = (
    (
        re.compile(
            r"(?:(?:smtp|sasl|auth)[ _-]?)?(?:basic|(?:login|plain)(?![a-z]))"
            r"|standardauth|basisauth|basisverific|authentification (?:de base|basique)|autenticaci[oó]n b[aá]sica"
            r"|autentica(?:zione di base|[cç][aã]o b[aá]sica)",
            re.IGNORECASE,
        ),
        "basic",
    ),
    (
        re.compile(
            r"(?:(?:smtp|sasl|auth)[ _-]?)?x?oauth|modern|authentification moderne"
            r"|autentica(?:ci[oó]n|zione|[cç][aã]o) moderna",
            re.IGNORECASE,
        ),
        "oauth2",
    ),
)
_TLS_VERSION = re.compile(r"(?:^|tls\D{0,2})1[._ ]?([0-3])(?![0-9])", re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+")


@dataclass(frozen=True, slots=True)
class _Key:
    """What one row of usage counts."""

    day: date
    sender: str
    auth_protocol: str
    auth_protocol_raw: str | None
    client_ip: str | None
    tls_version: str | None
    report: str


def looks_like(head: bytes) -> bool:
    """Return whether the header in `head` is that of one of the two reports."""
    columns = columns_in(head, _NAMES)
    is_summary = _SUMMARY.keys() <= columns and bool(_MARKS_OF_SUMMARY & columns)
    return is_summary or _PER_MESSAGE.keys() <= columns


def parse(body: Chunk, carry: Carry) -> Parsed:  # noqa: ARG001 - a whole file leaves nothing open
    """Return the `usage` rows of either report; raise FormatError when the header is neither's."""
    export = read(body, _NAMES)
    is_per_message = "day" in export.columns
    if error := without(export, _PER_MESSAGE if is_per_message else _SUMMARY, body, _ADVICE):
        raise error
    return _per_message(export, body) if is_per_message else _summary(export, body)


def _summary(export: Export, body: Chunk) -> Parsed:
    rows, rejects = [], []
    day = body.as_of.astimezone(UTC).date()
    for record in export.records:
        key = record.trouble or _summary_key(record, day)
        messages = count_of(record["messages"])
        if isinstance(key, str) or messages is None:
            rejects.append(reject_of(record, body, key if isinstance(key, str) else _no_count(record)))
        else:
            rows.append(_row(key, messages, body.offset + record.offset))
    return _parsed(rows, rejects, export, export.repeated)


def _per_message(export: Export, body: Chunk) -> Parsed:
    order = day_order_of((record["day"] for record in export.records), body.as_of)
    counts: Counter[_Key] = Counter()
    offsets: dict[_Key, int] = {}
    rejects = []
    repeats = _Repeats()
    for record in export.records:
        key = record.trouble or _message_key(record, order)
        messages = count_of(record["messages"])
        if isinstance(key, str) or messages is None:
            rejects.append(reject_of(record, body, key if isinstance(key, str) else _no_count(record)))
        elif not repeats.has_seen(record):
            counts[key] += messages
            offsets.setdefault(key, body.offset + record.offset)
    rows = [_row(key, messages, offsets[key]) for key, messages in counts.items()]
    parsed = _parsed(rows, rejects, export, export.repeated + repeats.count)
    return replace(parsed, gaps=cut(export, body))


class _Repeats:
    """Records seen before, word for word; without a message id two messages may look the same and both count."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, ...]] = set()
        self.count = 0

    def has_seen(self, record: Record) -> bool:
        if not record["message_id"]:
            return False
        words = tuple(record.values.values())
        is_repeat = words in self._seen
        self._seen.add(words)
        self.count += is_repeat
        return is_repeat


def _summary_key(record: Record, day: date) -> _Key | str:
    """Return what the record of a summary counts, or why it cannot be told."""
    shares = {version: share_of(record[column]) for column, version in _TLS_SHARES.items()}
    unreadable = next((version for version, share in shares.items() if share is None), None)
    if unreadable:
        text = record["tls" + unreadable.replace(".", "")]
        return f"the share of TLS {unreadable} is {shown(text)}; expected a percentage"
    tls_version = ", ".join(version for version, share in shares.items() if share) or None
    return _key(record, day, tls_version, "eac_summary")


def _message_key(record: Record, order: DayOrder) -> _Key | str:
    """Return what the record of an SmtpCSReport counts, or why it cannot be told."""
    moment = moment_of(record["day"], order)
    if moment is None:
        return f"the date is {shown(record['day'])}; {expected(order)}"
    return _key(record, moment.date(), _tls_version_of(record["tls_version"]), "smtp_cs_report")


def _key(record: Record, day: date, tls_version: str | None, report: str) -> _Key | str:
    sender = _sender_of(record["sender"], record["domain"])
    if sender is None:
        found = f"{shown(record['sender'])} of domain {shown(record['domain'])}"
        return f"the sender is {found}; expected an address, or its local part and a domain"
    word = record["protocol"]
    return _Key(day, sender, _protocol_of(word), word or None, record["client_ip"].lower() or None, tls_version, report)


def _sender_of(name: str, domain: str) -> str | None:
    address = name if "@" in name else f"{name}@{domain.lstrip('@')}"
    return address.lower() if _ADDRESS.fullmatch(address) else None


def _protocol_of(word: str) -> str:
    return next((protocol for pattern, protocol in _PROTOCOLS if pattern.match(word)), "unknown")


def _tls_version_of(word: str) -> str | None:
    found = _TLS_VERSION.search(word)
    return f"1.{found[1]}" if found else word or None


def _no_count(record: Record) -> str:
    return f"the count of messages is {shown(record['messages'])}; expected a whole number of at most ten digits"


def _row(key: _Key, messages: int, offset: int) -> dict[str, Any]:
    parts = asdict(key)
    event_id = event_id_of(*parts.values(), messages)
    return {**parts, "messages": messages, "origin_offset": offset, "event_id": event_id}


def _parsed(rows: list[dict[str, Any]], rejects: list[Reject], export: Export, left: int) -> Parsed:
    return Parsed(
        {"usage": rows_of("usage", rows)}, tuple(rejects), lines=len(export.records) + export.repeated, left=left
    )
