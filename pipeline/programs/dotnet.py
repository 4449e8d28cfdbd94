"""
.NET applications and PowerShell: System.Net.Mail, `Send-MailMessage` and `$smtp.Send(…)`, in any language.

Reads: `The server response was: …` and its translations, in one line of a log, or broken at the width of a console as
transcripts and redirected output have it. Leaves: stack traces and inner exceptions, which say the same again.

What a reader could not guess:
- System.Net.Mail prints the tail of the answer only: `5.7.57 Client not authenticated …`, without its 530. The code is
  told by `StatusCode` or not at all; sender and host are not, unless PowerShell shows the command below.
- It goes on after a refused log-in, so the refusal of the log-in stands nested in the answer to MAIL FROM: `Error: 535
  …`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.applications.errors import LONGEST, ErrorReader, Sign, Values, refusal, reply_in
from pipeline.lines import Line
from pipeline.model import Carry

_RESPONSE = (
    r"(?:[Tt]he server response was|Die Serverantwort (?:war|lautete?|ist)|"
    r"Die Antwort des Servers (?:war|lautete?)|La respuesta del servidor (?:fue|es)|"
    r"La réponse du serveur (?:était|est)|(?:La r|R)isposta del server(?: (?:era|è stata|è))?|"
    r"A resposta do servidor (?:foi|é)|(?:Het antwoord|De reactie) van de server (?:was|is)|"
    r"De serverreactie (?:was|is)|Odpowiedź serwera(?: to)?|Serversvaret (?:var|är)|Servers svar var|"
    r"Odpověď serveru(?: byla)?|Ответ сервера|Sunucu yanıtı|服务器响应为?|伺服器回應為?|サーバーの応答は?)"
)
_ENHANCED = r"[245]\.\d{1,3}\.\d{1,3}[ ;,]"
SIGN = Sign(
    re.compile(
        _RESPONSE.encode()
        + rb"[\s\xc2\xa0\xe2\x80\xaf]{0,4}(?::|\xef\xbc\x9a)|SmtpException\b[^\n]{0,300}?: [245]\.\d{1,3}\.\d{1,3} |"
        rb"\bSend-MailMessage ?: |(?:Exception calling|Ausnahme beim Aufrufen von) \"Send\"|"
        rb"^The SMTP server requires a secure connection|^Mailbox unavailable\. The server"
    ),
    (
        b"Smtp",
        b"Send",
        b"SMTP server",
        b"The server",
        b"server response",
        b"Serverantwort",
        b"Antwort des",
        b"respuesta",
        b"ponse du",
        b"risposta",
        b"resposta",
        b"antwoord",
        b"reactie",
        b"Odpowied",
        *(word.encode() for word in ("Odpověď", "Ответ сервера", "Sunucu yan", "响应", "回應", "応答")),
        b"svar",
    ),
)
_TOLD = re.compile(rf"{_RESPONSE}[\s\xa0\u202f]{{0,4}}[:：]\s*(?P<reply>[^\s].*)", re.DOTALL)
_THROWN = re.compile(rf"Smtp(?:FailedRecipients?)?Exception\b[^\n]{{0,300}}?: (?P<reply>{_ENHANCED}.*)", re.DOTALL)
_STATUS = re.compile(r"\bStatusCode\b[\"']?\s?[=:]?\s?[\"']?(?P<name>[A-Z][A-Za-z]{5,40}|[2-5]\d\d)\b")
_CODES = {
    "ServiceNotAvailable": 421, "MailboxBusy": 450, "LocalErrorInProcessing": 451, "InsufficientStorage": 452,
    "ClientNotPermitted": 454, "CommandUnrecognized": 500, "SyntaxError": 501, "CommandNotImplemented": 502,
    "BadCommandSequence": 503, "CommandParameterNotImplemented": 504, "MustIssueStartTlsFirst": 530,
    "MailboxUnavailable": 550, "UserNotLocalTryAlternatePath": 551, "ExceededStorageAllocation": 552,
    "MailboxNameNotAllowed": 553, "TransactionFailed": 554,
}  # fmt: skip
_TRACE = re.compile(r"\s+(?:at|bei|en|à|in|w|em|bij) [\w.<>`]+\(|\s---&?>|\r?\n\s+at ")
_SIGNED = re.compile(r"\[[A-Za-z0-9.-]{4,255}\s\d{4}-\d\d-\d\dT[\d:.]{8,15}Z\s[0-9A-Fa-f]{16}\]")
_OTHER = re.compile(rb"(?:At|In|Bei|En) \S{1,260}:\d+|\s*\+ |\s*at [\w.]+\(|\s*\Z|PS |\*{10}|Line \|")
_BEGIN = re.compile(rb"Send-MailMessage ?: |(?:Exception calling|Ausnahme beim Aufrufen von) ")
_CONCISE = re.compile(rb"\s{2,}\| ")
_MOST_LINES = 8


def owns_tag(tag: bytes) -> bool:  # noqa: ARG001 - it is known by what it says
    """Return False: an application has any name."""
    return False


class Reader(ErrorReader):
    """Goes through one log."""

    def __init__(self, carry: Carry) -> None:
        super().__init__(carry, SIGN, _refusals)

    def owns(self, line: Line) -> bool:
        """Return whether `line` holds an error of .NET's, or goes on with one that a console has broken."""
        # PowerShell 7 sets a bar before its messages, as a table in a document does.
        is_concise = line.is_bare and not self._document and _CONCISE.match(line.message) is not None
        return super().owns(line) or (is_concise and SIGN.search(line.message[:LONGEST]) is not None)

    def _is_begun(self, text: str, line: Line) -> bool:
        # A log with times has the message in one line; a console breaks it, and its answer ends in Exchange's id.
        if SIGN.search(line.message[:LONGEST]) is None or _SIGNED.search(text):
            return False
        return line.is_bare or _TOLD.search(text) is None

    def _is_more(self, line: Line, begun: Mapping[str, Any]) -> bool:
        is_told = _TOLD.search(begun["text"].replace("\n", " ")) is not None
        is_next = _BEGIN.match(line.message) or (is_told and SIGN.search(line.message[:LONGEST]))
        return line.is_bare and not is_next and _OTHER.match(line.message) is None

    def _is_whole(self, text: str) -> bool:
        return _SIGNED.search(text) is not None or text.count("\n") >= _MOST_LINES

    def _joined(self, text: str, more: str) -> str:
        return f"{text.rstrip()}\n{more.strip().removeprefix('| ')}"


def _refusals(text: str) -> Iterator[Values]:
    flat = text.replace("\n", " ")  # a console breaks between words, and JSON sets each value on a line of its own
    found = _TOLD.search(flat) or _THROWN.search(flat)
    if found is None:
        return
    trace = _TRACE.search(found["reply"])
    reply = reply_in(found["reply"][: trace.start()] if trace else found["reply"])
    status = _STATUS.search(text)
    yield refusal(
        reply,
        "unknown",
        code=_code(status["name"]) if status else None,
    )


def _code(name: str) -> int | None:
    return int(name) if name.isdigit() else _CODES.get(name)
