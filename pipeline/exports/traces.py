"""
One version of a message trace as a row, whichever export it stands in.

The id is made of all that the version says, so the same version from `Get-MessageTraceV2` and from Graph is one row,
and another status is another version. The second counts, not its fraction, which some exports drop. Exports that say
less (the admin center names no id, a historical search no `to_ip`) have ids of their own.

Statuses are lower case without spaces. The admin center writes them in the language of its reader; those words are
unverified, and one that is not known here stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import Any

import pyarrow as pa

from pipeline.exports.tables import fold
from pipeline.model import TRACES, event_id_of, rows_of

_AT_ONCE = 1 << 13
_WORDS = {
    "delivered": ("Zugestellt", "Übermittelt", "Remis", "Livré", "Distribué", "Entregado"),
    "failed": ("Fehler", "Fehlgeschlagen", "Fehlerhaft", "Échec", "En échec", "Error", "Erróneo", "Con errores"),
    "pending": ("Ausstehend", "En attente", "Pendiente"),
    "expanded": ("Erweitert", "Développé", "Étendu", "Expandido", "Ampliado"),
    "quarantined": (
        *("Isoliert", "In Quarantäne", "Unter Quarantäne", "Mis en quarantaine", "En quarantaine"),
        *("Quarantaine", "En cuarentena"),
    ),
    "filteredasspam": (
        *("Als Spam gefiltert", "Filtré comme courrier indésirable", "Filtré en tant que courrier indésirable"),
        "Filtrado como correo no deseado",
    ),
    "gettingstatus": ("Status wird abgerufen", "Obtention de l'état", "Obteniendo estado"),
}
_STATUS = {fold(word): status for status, words in _WORDS.items() for word in (status, *words)}


def status_of(word: str) -> str:
    """Return a status of the trace as Microsoft's English has it, in lower case; an unknown word stays as it is."""
    return _STATUS.get(fold(word), word.lower())


def trace_row(
    *,
    received_at: datetime,
    trace_id: str,
    message_id: str,
    sender: str,
    recipient: str,
    status: str,
    from_ip: str,
    to_ip: str,
    size: int | None,
    seen_at: datetime,
    offset: int,
) -> dict[str, Any]:
    """Return one row of `traces`; an empty text is a value that the export does not have."""
    version = {
        "received_at": received_at,
        "trace_id": trace_id.lower() or None,
        "message_id": message_id or None,
        "sender": "" if sender == "<>" else sender.lower() or None,
        "recipient": recipient.lower(),
        "status": status_of(status),
        "from_ip": from_ip.lower() or None,
        "to_ip": to_ip.lower() or None,
        "size_bytes": size,
    }
    _received_at, *rest = version.values()
    event_id = version_id(str(received_at.replace(microsecond=0)), *rest)
    return {**version, "seen_at": seen_at, "origin_offset": offset, "event_id": event_id}


def version_id(second: str, *rest: object) -> str:
    """Return the id of a version, from its second as a datetime writes it and all other values of its row in order."""
    # One text with the zeros in it is named like its parts, and named faster.
    return event_id_of("\x00".join(map(str, (second, *rest))))


def table_of(rows: Iterable[dict[str, Any]]) -> pa.Table:
    """Return `rows` of `traces` as one table; they are taken few by few, for an export may have many."""
    each = iter(rows)
    tables = [TRACES.empty_table()]
    while some := list(islice(each, _AT_ONCE)):
        tables.append(rows_of("traces", some))
    return pa.concat_tables(tables).combine_chunks()
