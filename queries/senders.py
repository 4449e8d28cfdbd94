"""Collect what the evidence says about senders, for messages, hints and the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from pipeline.lake import Lake
from pipeline.model import TIME
from queries.ask import rows_of_query
from queries.detection import detection as detection_of
from queries.facts import Device, SenderFacts
from queries.history import Noted
from queries.sql_files import sql_file

_ASKED = pa.schema([("sender", pa.string()), ("reply_class", pa.string()), ("since", TIME)])


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about one problem of one sender: all evidence since `since`."""

    sender: str
    reply_class: str
    since: datetime


def asked_of(noted: Noted) -> Asked:
    """Return the question about the problem that `noted` is."""
    return Asked(noted.sender, str(detection_of(noted.detection).params.get("reply_class", "")), noted.first_seen)


def facts_of(lake: Lake, noted: Sequence[Noted], internal_domains: Sequence[str] = ()) -> dict[str, SenderFacts]:
    """Return the facts of each of `noted`, by fingerprint; one query for all of them."""
    asked = {each.fingerprint: asked_of(each) for each in noted}
    rows = [
        {"sender": each.sender, "reply_class": each.reply_class, "since": each.since} for each in set(asked.values())
    ]
    if not rows:
        return {}
    file = sql_file("dossier", "sender_facts")
    lake.connection.register("asked", pa.Table.from_pylist(rows, schema=_ASKED))
    try:
        found = rows_of_query(
            lake.connection, file.name, file.sql, {"internal_domains": [domain.lower() for domain in internal_domains]}
        )
    finally:
        lake.connection.unregister("asked")
    by_question = {(row["sender"], row["asked_class"]): row for row in found}
    return {each.fingerprint: _facts(each, asked[each.fingerprint], by_question) for each in noted}


def _facts(noted: Noted, asked: Asked, by_question: dict[tuple[str, str], dict[str, Any]]) -> SenderFacts:
    row = by_question.get((asked.sender, asked.reply_class), {})
    recipients = row.get("recipients") or 0
    return SenderFacts(
        sender=noted.sender,
        reply_class=asked.reply_class,
        first_seen=row.get("first_seen") or noted.first_seen,
        last_seen=row.get("last_seen") or noted.last_seen,
        refusals=row.get("refusals") or 0,
        mails=row.get("mails") or 0,
        rescuable=row.get("rescuable") or 0,
        lost=row.get("lost") or 0,
        recipients=recipients,
        external_share=row["external_recipients"] / recipients if recipients else None,
        mails_per_day=row.get("mails_per_day"),
        largest_bytes=row.get("largest_bytes"),
        devices=tuple(sorted((Device(each["ip"], each["name"]) for each in row.get("devices") or []), key=str)),
        relays=tuple(row.get("relays") or ()),
        formats=tuple(row.get("formats") or ()),
        endpoints=tuple(row.get("endpoints") or ()),
        stages=tuple(row.get("stages") or ()),
        reply_text=row.get("reply_text") or "",
    )
