"""
What all text logs of Exchange Server have in common: directives behind `#`, values between commas, times in UTC.

`#Fields` names the columns; a restart writes the whole header again, in the middle of a file. The documentation writes
`#Log-Type` for what is `#Log-type` on disk. Where somebody has made a plain table of such a log, the columns stand in
its first line without a mark. What cannot be read raises ValueError with a sentence that quotes nothing.
"""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime

_DIRECTIVE = re.compile(r"#(Software|Version|Log-Type|Date|Fields|TYPE)(?::|(?<=TYPE) )(.*)", re.IGNORECASE | re.DOTALL)
_COLUMNS = re.compile(r"(?:\"?[a-z-]{2,40}\"?,){0,40}\"?date-time\"?(?:,\"?[a-z-]{2,40}\"?){2,40}", re.IGNORECASE)
_TIME = re.compile(r"(?:19|20|21)\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,7})?Z?", re.ASCII)


def directive_of(text: str) -> tuple[str, str] | None:
    """Return name, in lower case, and value of a header line, or None for any other line."""
    found = _DIRECTIVE.fullmatch(text)
    if found is None and _COLUMNS.fullmatch(text):
        return "fields", text
    return (found[1].lower(), found[2].strip()) if found else None


def names_of(value: str) -> list[str]:
    """Return the columns that a #Fields line names, in lower case."""
    return [name.strip().strip('"').lower() for name in value.split(",")]


def values_of(text: str) -> list[str]:
    """Return the values of one line."""
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise ValueError("A quoted field is not closed, or text follows its closing quote.") from error


def time_of(text: str) -> datetime:
    """Return the time that `text` names."""
    if not _TIME.fullmatch(text):
        raise ValueError("The date-time is not of the form 2026-12-30T08:00:01.123Z, in the years 1900 to 2199.")
    try:
        return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
    except ValueError as error:
        raise ValueError("The date-time names a day or an hour that does not exist.") from error
