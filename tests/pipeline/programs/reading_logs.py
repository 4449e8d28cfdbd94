"""Read lines as the format of all logs does, for the tests of single programs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.formats.log import parse
from pipeline.model import Carry, Chunk, Parsed

SAMPLE_DATA = Path(__file__).parents[3] / "sample_data"
AS_OF = datetime(2027, 1, 15, tzinfo=UTC)
ENDED = "[FR3P281CA0094.DEUP281.PROD.OUTLOOK.COM 2026-12-30T08:00:01.100Z 08DE47A9F1C2B3D4]"
RETIRED = f"550 5.7.30 Basic authentication is not supported for Client Submission. {ENDED}"

Rows = list[dict[str, Any]]


def read(text: str | bytes, carry: Carry | None = None, offset: int = 0, *, is_last: bool = True) -> Parsed:
    body = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    return parse(Chunk(body, "mail.log", "log", offset=offset, as_of=AS_OF, is_last=is_last), carry or {})


def rows_of(parsed: Parsed, table: str = "deliveries") -> Rows:
    rows: Rows = parsed.tables[table].to_pylist() if table in parsed.tables else []
    return rows


def one_row(text: str | bytes, table: str = "deliveries") -> dict[str, Any]:
    parsed = read(text)
    assert not parsed.rejects
    [row] = rows_of(parsed, table)
    return row


def reasons(text: str | bytes) -> list[str]:
    return [reject.reason for reject in read(text).rejects]
