"""
Take out what can be a credential, before anything is stored, quarantined or shown.

Reads: the argument of AUTH (PLAIN, LOGIN, XOAUTH2 …), bearer tokens, JSON web tokens; `password=` and its like in
settings, commands, addresses (`smtp://user:…@host`) and password maps; a line, or what one side of a transcript says,
that is nothing but base64 (the answers to the challenges of AUTH LOGIN); and any word that is base64 of text: no id
decodes to a dozen printable letters by chance. Leaves: queue ids, request ids, message ids and everything else that
only looks a little like base64.

Rather too much goes than too little; a log line never says anything by a bare base64 word.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.model import Parsed

MARK = "[redacted]"

_MECHANISM = r"(?:PLAIN|LOGIN|XOAUTH2|OAUTHBEARER|NTLM|GSSAPI|CRAM-MD5|DIGEST-MD5|SCRAM-SHA-[\w-]{1,12}|EXTERNAL)"
_SPACE = r"(?:[\s+]|%20){1,4}"
_BASE64 = r"(?:[A-Za-z0-9+/_-]|%(?:2B|2F|3D)){4,}={0,3}"
_NOT_SAID = rf"(?![*\[]|(?-i:[a-z]+)\b|{_MECHANISM}\b)"
_NUL = r"(?:\\x00|\\u0000|\\000|\^@)"
_NAMES = (
    r"pass(?:word|wd|phrase|wort)?|pwd|kennwort|wachtwoord|mot de passe|contrase(?:ñ|n|\\u00f1)a|password[oe]|senha|"
    r"(?:client|app|shared)?[_-]?secret|(?:access|refresh|auth|bearer)[_-]?token|api[_-]?key"
)
_CREDENTIALS = re.compile(
    rf"(?P<auth>\bAUTH(?:ENTICATE)?{_SPACE}{_MECHANISM}{_SPACE}(?:\\?[\"'])?){_NOT_SAID}{_BASE64}"
    rf"|(?P<bearer>\bAuthorization: ?Basic{_SPACE}|\bBearer{_SPACE}){_NOT_SAID}{_BASE64}[\w.~+/=-]*"
    r"|(?P<jwt>\b)eyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]*"
    # A name of a secret, a sign, and its value: up to the quote that closes it, or else one word. A reply is none.
    rf"|(?P<word>(?<![A-Za-z0-9])(?:{_NAMES})[\"']?\s{{0,2}}(?:=>|[=:>])\s{{0,2}}(?:b?[\"'])?)"
    r"(?![*\[]|\s|[245]\d\d[ -])"
    r"(?:(?<=\")[^\"\n]{1,200}|(?<=')[^'\n]{1,200}|[^\s\"',;&<]{3,})"
    r"|(?P<option>(?:^|\s)(?:--auth-password|--password|-ap)[\s=])(?![*\[])(?:\"[^\"\n]{1,200}\"|'[^'\n]{1,200}'|\S+)"
    r"|(?P<user>(?:^|\s)(?:-u|--user)[\s=][\"']?[^\s:\"']{1,100}:)(?!/)[^\s\"']+"
    r"|(?P<url>://[^\s/:@\"']{1,200}:)[^\s/@\"']{1,200}(?=@)"
    r"|(?P<map>^\[?[\w.-]{3,200}\]?(?::\d{1,5})?[ \t]{1,20}[^\s:@]{1,64}@[^\s:]{1,255}:)(?!\d{1,5}\b)\S+"
    rf"|(?P<nul>{_NUL}[^\s\\\"']{{1,200}}{_NUL})[^\s\\\"']{{1,200}}",
    re.IGNORECASE | re.MULTILINE,
)
_SAID = re.compile(
    r"(?P<mark>^|[<>~*|]\s{0,3}|\b[CS]: {0,2}|-> {0,2}|\b(?:SERVER|SENT|send|client)[:>]\s{0,2}|334 )"
    r"(?P<quote>(?:b?\\?[\"'])?)(?P<said>(?=[A-Za-z0-9+/]*[A-Z0-9+/=])[A-Za-z0-9+/]{4,}={0,2})"
    r"(?P<end>(?:\\r)?(?:\\n)?(?:\\?[\"'])?[,;]?\s*)$",
    re.MULTILINE,
)


_WORD = re.compile(r"(?<![\w+/=.@<-])[A-Za-z0-9+/_-]{16,}={0,2}(?![\w+/=@-])")
_SEPARATORS = {0: None, 1: None, 10: None, 13: None}


def redacted(text: str) -> str:
    """Return lines of a log with each credential replaced by MARK."""
    return _SAID.sub(_silenced, redacted_value(text))


def redacted_value(text: str) -> str:
    """Return one value, which may well be an id and nothing else, with each credential in it replaced by MARK."""
    return _WORD.sub(_unless_text, _CREDENTIALS.sub(_without, text))


def _unless_text(match: re.Match[str]) -> str:
    word = match[0]
    try:
        said = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_" if set(word) & {"-", "_"} else None)
        text = said.decode("utf-8")
    except ValueError:
        return word
    # An XOAUTH2 or PLAIN payload has a few separators in it.
    return MARK if text.translate(_SEPARATORS).isprintable() else word


def redacted_bytes(raw: bytes) -> bytes:
    """Return `raw` with each credential replaced by MARK; all other bytes stay as they are."""
    return redacted(raw.decode("latin-1")).encode("latin-1")


def without_credentials(parsed: Parsed) -> Parsed:
    """Return `parsed` with nothing in it that can be a credential: rows, rejects and half-read sessions."""
    return replace(
        parsed,
        tables={name: _clean_table(table) for name, table in parsed.tables.items()},
        rejects=tuple(
            replace(each, raw=redacted_bytes(each.raw), reason=redacted(each.reason)) for each in parsed.rejects
        ),
        carry=_clean(parsed.carry),
    )


def _without(match: re.Match[str]) -> str:
    return (match[match.lastgroup] if match.lastgroup else "") + MARK


def _silenced(match: re.Match[str]) -> str:
    word = match["said"]
    # Base64 comes in fours; a word of fewer letters or of digits alone is a number, an id or a plain word.
    if len(word) % 4 or word.isdigit():
        return match[0]
    return f"{match['mark']}{match['quote']}{MARK}{match['end']}"


_SHORTEST = 16
_SUSPECT = (
    r"(?i)auth|bearer|eyJ|pass|pwd|secret|token|key|kennwort|wachtwoord|contrase|senha|://|-u |--user|x00|u0000|\^@|"
    r"[A-Za-z0-9+/_-]{16}|@\S+:\S"
)
_HINT = re.compile(_SUSPECT)
_MORE_THAN_AN_ID = r"\s"
_IDS = {"event_id", "request_id", "queue_id", "session_id", "trace_id"}


def _clean_table(table: pa.Table) -> pa.Table:
    for place, field in enumerate(table.schema):
        if field.type == pa.string() and table.num_rows:
            suspect = pc.match_substring_regex(table[field.name], _MORE_THAN_AN_ID if field.name in _IDS else _SUSPECT)
            if pc.any(suspect).as_py():
                values = [redacted_value(value) if value else value for value in table[field.name].to_pylist()]
                table = table.set_column(place, field, pa.array(values, pa.string()))
    return table


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        # Half-read sessions are many and short: only what is long enough to hold a credential is looked at twice.
        return redacted_value(value) if len(value) > _SHORTEST and _HINT.search(value) else value
    if isinstance(value, Mapping):
        return {key: _clean(each) for key, each in value.items()}
    return [_clean(each) for each in value] if isinstance(value, (list, tuple)) else value
