"""
Read a server's reply: its codes, the id that ends it, and its class from the one table in replies.toml.

The code alone does not tell: 5.7.30 also means REQUIRETLS (RFC 8689), Gmail and MySQL use it, and Postfix softens it
to 4.7.30. So the sentence is matched first, and a bare code counts only when Microsoft's server said it.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

from pipeline.endpoints import OTHER, is_microsoft, service_of

LONGEST_TEXT = 2_000

_THREE_DIGITS = r"(?P<code>[2-5][0-9]{2})(?![0-9])"
_ENHANCED = r"(?:b['\"])?(?P<enhanced>[245]\.[0-9]{1,3}\.[0-9]{1,3})(?![0-9]|\.[0-9]|-\w)"
_CODES = re.compile(rf"^\W*{_THREE_DIGITS}(?:[\s\-:,(]+{_ENHANCED})?")
_ENHANCED_ONLY = re.compile(rf"^\W*{_ENHANCED}")
_CODES_INSIDE = re.compile(rf"(?<![\w.])(?=[45]){_THREE_DIGITS}[\s\-:,(]+{_ENHANCED}")
_SUFFIX = re.compile(r"\[(?P<host>[A-Za-z0-9.-]+)(?: (?P<time>\d{4}-\d\d-\d\dT[\d:.]+Z) (?P<id>[0-9A-Fa-f]{16}))?\]")
_NESTED = re.compile(r"\bError:\s*(?P<reply>[45]\d\d[ -].*)", re.DOTALL)
_MYSQL = re.compile(r"mysql|mariadb|-log\b|ubuntu", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply as read: codes as the server said them, `request_id` the 16 hex digits at its end."""

    code: int | None
    enhanced: str | None
    text: str
    request_id: str | None
    reply_class: str


@dataclass(frozen=True, slots=True)
class Known:
    """One row of the table."""

    reply_class: str
    sentence: re.Pattern[str]
    code: re.Pattern[str] | None
    microsoft_only: bool
    refusal: str
    meaning: str
    evidence: str


@lru_cache(maxsize=8_192)  # an answer is logged once for each recipient, and echoed
def read_reply(text: str, service: str | None = None) -> Reply:
    """
    Return what `text` says; `service` is whose server said it, or None when the log does not tell.

    Then the host in the brackets that end Exchange's replies stands in.
    """
    text = text.strip()[:LONGEST_TEXT]
    folded = " ".join(text.split())  # a mail or a relaying syslog may have broken it anywhere
    codes = _CODES.search(folded) or _ENHANCED_ONLY.search(folded) or _CODES_INSIDE.search(folded)
    found = codes.groupdict() if codes else {}
    code, enhanced = found.get("code"), found.get("enhanced")
    suffixes = list(_SUFFIX.finditer(folded))
    signed = [suffix for suffix in suffixes if suffix["id"]] or suffixes
    if service is None:
        service = service_of(signed[-1]["host"]) if signed else OTHER
    return Reply(
        code=int(code) if code else None,
        enhanced=enhanced,
        text=text,
        request_id=signed[-1]["id"].upper() if signed and signed[-1]["id"] else None,
        reply_class=_class_of(folded, code, enhanced, service),
    )


def _class_of(folded: str, code: str | None, enhanced: str | None, service: str) -> str:
    if code and code[0] in "23":
        return "accepted" if code[0] == "2" else "unknown"
    known = _by_sentence(folded) or _by_code(folded, enhanced, service)
    if known == "not_authenticated" and (nested := _NESTED.search(folded)):
        inner = read_reply(nested["reply"], service).reply_class
        return inner if inner != "unknown" else known
    return known or "unknown"


def _by_sentence(text: str) -> str | None:
    return next((row.reply_class for row in known_replies() if row.sentence.search(text)), None)


def _by_code(text: str, enhanced: str | None, service: str) -> str | None:
    if _MYSQL.search(text):
        return None
    for row in known_replies():
        if row.code and (is_microsoft(service) or not row.microsoft_only) and row.code.fullmatch(enhanced or ""):
            return row.reply_class
    return None


@cache
def known_replies() -> tuple[Known, ...]:
    """Return the table of replies in its own order, which is the order of matching."""
    rows = tomllib.loads((files("pipeline") / "replies.toml").read_text("utf-8"))["reply"]
    return tuple(
        Known(
            reply_class=row["class"],
            sentence=re.compile(row["sentence"], re.IGNORECASE),
            code=re.compile(row["code"]) if "code" in row else None,
            microsoft_only=row.get("peer") == "microsoft",
            refusal=row["refusal"],
            meaning=row["meaning"],
            evidence=row["evidence"],
        )
        for row in rows
    )


def meaning_of(reply_class: str) -> str:
    """Return the plain meaning of `reply_class`, for people; '' when the table does not know it."""
    return next((row.meaning for row in known_replies() if row.reply_class == reply_class), "")
