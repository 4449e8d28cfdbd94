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
_SPACE = r"(?:[\s+]|%20|=20|\\x20|\\u0020|\\t){1,4}"
_BASE64 = r"(?:[A-Za-z0-9+/_-]|%(?:2B|2F|3D)){4,}(?:=(?:3D)?){0,3}"
_NOT_SAID = rf"(?![*\[]|(?-i:[a-z]+)\b|{_MECHANISM}\b)"
_NUL = r"(?:\\x00|\\u0000|\\0{1,3}|#000|\^@|<NUL>|[\x00␀])"
_BOUND = r"(?:(?<![A-Za-z0-9])|(?-i:(?<=[a-z0-9])(?=[A-Z])))"
_NAMES = (
    rf"password[oe]?|passwd|passphrase|passwort|{_BOUND}(?:pass|pwd|kennwort|wachtwoord|mot de passe|"
    r"contrase(?:.|\\u00f1)a|senha|has[lł]o|heslo|adgangskode|l(?:ö|\\u00f6)senord|passord|salasana|jelsz[oó]|parol[ae]|"
    r"[sş]ifre|пароль|密码|パスワード|(?:client|app|shared)?[_-]?secret|(?:access|refresh|auth|bearer)[_-]?token|"
    r"(?:api|account|access)[_-]?key)"
)
_QUOTED = r"(?:(?<=\\[\"'])[^\"'\\\n]{1,200}|(?<=\")(?:[^\"\\\n]|\\.){1,200}|(?<=')(?:[^'\\\n]|\\.){1,200})"
_CREDENTIALS = re.compile(
    rf"(?P<auth>\bAUTH(?:ENTICATE)?{_SPACE}{_MECHANISM}{_SPACE}(?:\\?[\"'])?){_NOT_SAID}{_BASE64}"
    # What is said to a challenge of AUTH, however the two stand beside each other.
    r"|(?P<answer>\b334 (?:[A-Za-z0-9+/]{4,88}={0,2})?(?:\\[rn]|->|[CS]:|[\s\"',;<>|~*]){1,8})"
    rf"{_NOT_SAID}(?:[A-Za-z0-9+/]{{4}}){{0,200}}(?:[A-Za-z0-9+/]{{4}}|[A-Za-z0-9+/]{{2,3}}={{1,2}})(?![\w+/=])"
    rf"|(?P<bearer>\bAuthorization: ?Basic{_SPACE}|\bBearer{_SPACE}){_NOT_SAID}{_BASE64}[\w.~+/=-]*"
    r"|(?P<jwt>\b)eyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]*"
    # A name of a secret, a sign, and its value: up to the quote that closes it, or else one word. A reply is none.
    rf"|(?P<word>(?:{_NAMES})(?:\\?[\"'])?\s{{0,2}}(?:=>|[=:>])\s{{0,2}}(?:b?\\?[\"'])?)"
    r"(?![*\[]|\s|[245]\d\d[ -]|ConvertTo-)"
    rf"(?:{_QUOTED}|\{{[^}}\n]{{1,200}}\}}|[^\s\"',;&<\\]{{3,}})"
    rf"|(?P<setting>\b(?:name|key)=[\"'][\w.:-]{{0,60}}(?:{_NAMES})[\"']\s{{1,4}}value=[\"']){_QUOTED}"
    r"|(?P<query>[?&](?:sig|token|key|code)=)[^\s&\"'<>]{3,}"
    r"|(?P<option>(?:^|\s)--?(?:auth-?password|password|passwd|pass|pw|[ax]p)[\s=])"
    r"(?![*\[])(?:\"[^\"\n]{1,200}\"|'[^'\n]{1,200}'|\S+)"
    rf"|(?P<quoted>(?:^|\s)(?:-u|--user)[\s=][\"'][^:\"'\n]{{1,100}}:)(?!/)[^\"'\n]{{1,200}}"
    r"|(?P<user>(?:^|\s)(?:-u|--user)[\s=][\"']?[^\s:\"']{1,100}:)(?!/)[^\s\"']+"
    r"|(?P<url>://[^\s/:@\"']{1,200}:)[^\s/@\"']{1,200}(?=@)"
    r"|(?P<map>^\[?[\w.-]{3,200}\]?(?::\d{1,5})?[ \t]{1,20}[^\s:@]{1,64}@[^\s:]{1,255}:)(?!\d{1,5}\b)\S+"
    # What a program's own source lines in a trace, a script or a settings file say.
    r"|(?P<call>\b(?:log_?in|auth|authenticate\w{0,20}|\w{0,40}Credentials?|\w{0,40}Authentication)\(\s{0,2}b?[\"']"
    rf"[^\"'\n]{{1,200}}[\"']\s{{0,2}},\s{{0,2}}b?[\"']){_QUOTED}"
    rf"|(?P<secure>\bConvertTo-SecureString\s{{1,4}}(?:-String\s{{1,4}})?[\"']?)(?![$-])(?:{_QUOTED}|[^\s\"')]{{1,200}})"
    rf"|(?P<said>\bpass(?:word|wd)?(?: is)? [\"'`])(?![*\[])[^\"'\n]{{1,200}}(?=[\"'])"
    r"|(?P<netrc>\blogin\s{1,4}\S{1,200}\s{1,4}password\s{1,4}|^\s{0,8}password\s{1,8}(?=\S*[^\sA-Za-z]\S*\s*$))\S+"
    # Postfix at its most verbose writes them in the clear.
    r"|(?P<postfix>\buncoded (?:client response|initial reply):? |\bxsasl_cyrus_client_get_passwd: )[^\n]{1,300}"
    rf"|(?P<nul>{_NUL}[^\s\\\"'\x00]{{1,200}}?{_NUL})[^\s\\\"'\x00]{{1,200}}",
    re.IGNORECASE | re.MULTILINE,
)
_SAID = re.compile(
    r"(?P<mark>^|[<>~*|]\s{0,3}|\b[CS]: {0,2}|-> {0,2}|\b(?:SERVER|SENT|send|client)[:>]\s{0,2}|334 |"
    r"[<>] \S{1,255}\]:\d{1,5}: )"
    r"(?P<quote>(?:b?\\?[\"'])?)(?P<said>(?=[A-Za-z0-9+/]*[A-Z0-9+/=])[A-Za-z0-9+/]{4,}={0,2})"
    r"(?P<end>(?:\\r)?(?:\\n)?(?:\\?[\"'])?[,;]?\s*)$",
    re.MULTILINE,
)


_WORD = re.compile(r"(?<![\w+/=.@<-])[A-Za-z0-9+/_-]{16,}={0,2}(?![\w+/=@-])")
_SEPARATORS = {0: None, 1: None, 10: None, 13: None}
_HEX = re.compile(r"(?:[0-9a-f]{2}){12,}|(?:[0-9A-F]{2}){12,}")
_PLAIN_PAYLOAD = re.compile(rb"[ -~]{0,255}\x00[!-~]{3,255}\x00.+", re.DOTALL)


def redacted(text: str) -> str:
    """Return lines of a log with each credential replaced by MARK."""
    return _SAID.sub(_silenced, redacted_value(text))


def redacted_value(text: str) -> str:
    """Return one value, which may well be an id and nothing else, with each credential in it replaced by MARK."""
    return _WORD.sub(_unless_text, _CREDENTIALS.sub(_without, text))


def _unless_text(match: re.Match[str]) -> str:
    word = match[0]
    try:
        said = _decoded(word)
        if _PLAIN_PAYLOAD.fullmatch(said):  # whatever the password is written in
            return MARK
        text = said.decode("utf-8")
    except ValueError:
        return word
    # An XOAUTH2 payload has a few separators in it.
    return MARK if not _HEX.fullmatch(word) and text.translate(_SEPARATORS).isprintable() else word


def _decoded(word: str) -> bytes:
    if _HEX.fullmatch(word):
        return bytes.fromhex(word)
    return base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_" if set(word) & {"-", "_"} else None)


def redacted_bytes(raw: bytes) -> bytes:
    """Return `raw` with each credential replaced by MARK; all other bytes stay as they are."""
    return redacted(raw.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


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
    r"(?i)auth|bearer|eyJ|pass|pwd|secret|token|key|kennwort|wachtwoord|contrase|senha|has[lł]o|heslo|adgangs|senord|"
    r"salasana|jelsz|parol|ifre|пароль|密码|パスワード|"
    r"[?&](?:sig|code)=|://|-u[\s=]|--user|-[ax]?pw?[\s=]|log_?in\W|credential|"
    r"securestring|334 |uncoded|x00|u0000|\\0|#000|\^@|<NUL>|[\x00␀]|@\S+:\S"
)
_LONG = r"[A-Za-z0-9+/_-]{16}"
_HINT = re.compile(f"{_SUSPECT}|{_LONG}")
_MORE_THAN_AN_ID = r"\s"
_NEVER = r"[^\s\S]"
_IDS = {"event_id", "request_id", "queue_id", "session_id", "trace_id"}


def _clean_table(table: pa.Table) -> pa.Table:
    texts = [field.name for field in table.schema if field.type == pa.string()] if table.num_rows else []
    for suspect, long, names in (
        (_SUSPECT, _LONG, [name for name in texts if name not in _IDS]),
        (_MORE_THAN_AN_ID, _NEVER, [name for name in texts if name in _IDS]),
    ):
        for name, clean in _clean_columns(table.select(names), suspect, long).items():
            table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), clean)
    return table


def _clean_columns(table: pa.Table, suspect: str, long: str) -> dict[str, pa.Array]:
    """
    Return those columns of `table` that held credentials, without them; each text is looked at once.

    One that is only `long` and not `suspect` can be base64 of text, and no other kind of credential.
    """
    encoded = {name: pa.concat_arrays(table[name].chunks).dictionary_encode() for name in table.column_names}
    if not encoded:
        return {}
    # All at once, because a pattern is compiled each time that it is asked for.
    texts = pa.concat_arrays([each.dictionary for each in encoded.values()])
    is_suspect, is_long = (pc.match_substring_regex(texts, pattern) for pattern in (suspect, long))
    cleaned = {}
    start = 0
    for name, column in encoded.items():
        looks, longs = (each.slice(start, len(column.dictionary)) for each in (is_suspect, is_long))
        start += len(looks)
        if not looks.true_count and not longs.true_count:
            continue
        if clean := _cleaned(column.dictionary.to_pylist(), looks.to_pylist(), longs.to_pylist()):
            values = pa.DictionaryArray.from_arrays(column.indices, pa.array(clean, pa.string()))
            cleaned[name] = values.cast(pa.string())
    return cleaned


def _cleaned(texts: list[str], looks: list[bool], longs: list[bool]) -> list[str] | None:
    """Return `texts` without credentials, or None if there were none; most ids of messages are long and no more."""
    clean = [
        redacted_value(text) if look else _WORD.sub(_unless_text, text) if long else text
        for text, look, long in zip(texts, looks, longs, strict=True)
    ]
    return clean if clean != texts else None


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        # Half-read sessions are many and short: only what is long enough to hold a credential is looked at twice.
        return redacted_value(value) if len(value) > _SHORTEST and _HINT.search(value) else value
    if isinstance(value, Mapping):
        return {key: _clean(each) for key, each in value.items()}
    return [_clean(each) for each in value] if isinstance(value, (list, tuple)) else value
