"""
Any other line that carries the refusal of a log-in by Exchange Online: the last to be asked.

Reads: a reply with the sentence of a refused log-in, when Exchange signed it with server, time and id, or when a code
stands before it in a line that has a header of a log. Leaves: everything that only speaks of the refusal: documents,
tables, tickets, subjects, mails, our own output.

Nothing is known of it but what stands there: the stage is unknown, and so is the outcome where no code tells it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from pipeline.applications.errors import ErrorReader, Sign, Values, is_quotation, refusal, reply_in
from pipeline.carriers.json_lines import texts_in
from pipeline.lines import Line, text_of
from pipeline.model import Carry
from pipeline.programs import dotnet, javamail, mailkit, nodemailer, perl, phpmailer, ruby, smtplib, symfony
from pipeline.replies import known_replies

_LIBRARIES = (dotnet, javamail, mailkit, nodemailer, perl, phpmailer, ruby, smtplib, symfony)
_REPLY = re.compile(r"(?<![\w.])(?:(?P<code>[45]\d\d)[ :-]{1,2})?[45]\.\d{1,3}\.\d{1,3} [^\n]{10,1900}")
_SIGNED = re.compile(r"\[[A-Za-z0-9.-]{4,255} \d{4}-\d\d-\d\dT[\d:.]{8,15}Z [0-9A-Fa-f]{16}\]")
_SIGN = Sign(re.compile(rb"(?<![\w.])[45]\.\d{1,3}\.\d{1,3} "), (b"4.", b"5."))
_SPOKEN_OF = re.compile(
    r"\bauthsunset\b|https?://\S+\)|</?[a-z]\w*>|\A[<>] |\A\s?(?:->|~>|<-|<~|<\*)|"
    r"\b(?:subject|betreff|asunto|objet)\b\s?[=:](?!\s{0,3}\\?[\"'])|\bT=\"[^\"]*\Z",
    re.IGNORECASE,
)
_FORETOLD = re.compile(r"\b(?:will|would|shall|going to|wird|werden|würden?|va|vont|va a|van a)\b", re.IGNORECASE)
_ANSWERED = re.compile(
    r"(?:\A|[:=>|;,\]\)([{-]\s{0,4}\\?[\"'(\[]?|"
    r"\b(?:error|err|code|status|reply|response|answer|smtp|server|rejected|refused|failed|failure|denied|fehler|erreur|"
    r"returned|respond(?:ed|s)|replied|received|exception|said|got|\d{3})[ \t]{1,4}\\?[\"'(\[]?)\Z",
    re.IGNORECASE,
)  # a person's sentence runs into what it quotes
_MAIL = re.compile(rb"(?:From|To|Subject|Date|Received|Return-Path|MIME-Version|Content-Type|X-[\w-]{1,40}): \S")
_REFUSALS = frozenset({"basic", "auth"})
_LONGEST = 8_192


def owns_tag(tag: bytes) -> bool:  # noqa: ARG001 - it is known by what it says
    """Return False: it is nobody's own."""
    return False


class Reader(ErrorReader):
    """Goes through one log."""

    def __init__(self, carry: Carry) -> None:
        super().__init__(carry, _SIGN, _refusals)

    def owns(self, line: Line) -> bool:
        """Return whether `line` carries a refusal and does not only speak of one."""
        if line.is_bare and not self._document and _MAIL.match(line.message):
            self._document = "here"
        if not super().owns(line) or line.tag == b"authsunset":
            return False
        message = line.message[:_LONGEST]
        return not any(each.SIGN.search(message) for each in _LIBRARIES) and _is_evidence(line)

    def _is_begun(self, text: str, line: Line) -> bool:
        return super()._is_begun(text, line) and next(_refusals(text), None) is not None


def _is_evidence(line: Line) -> bool:
    text = texts_in(text_of(line.message[:_LONGEST]))
    reply = next((match for match in _REPLY.finditer(text) if _is_refusal(match[0])), None)
    if reply is None:
        return False
    before = text[: reply.start()].rpartition("\n")[2]
    if _SPOKEN_OF.search(before) or is_quotation(before, is_bare=line.is_bare):
        return False
    if _SIGNED.search(reply[0]):
        return True
    # Without Exchange's signature it may be talk of what is to come: "from January on, Exchange will answer 550 …".
    is_told = line.is_bare or _FORETOLD.search(before) is not None or _ANSWERED.search(before[-80:]) is None
    return reply["code"] is not None and not is_told and (line.time is not None or bool(line.tag))


def _refusals(text: str) -> Iterator[Values]:
    for reply in _REPLY.finditer(text[:_LONGEST]):
        found = refusal(reply_in(text[reply.start() :]), "unknown")
        if found["reply_class"] in _log_in_classes():
            yield found
            return


def _is_refusal(words: str) -> bool:
    return refusal(words, "unknown")["reply_class"] in _log_in_classes()


@cache
def _log_in_classes() -> frozenset[str]:
    return frozenset(row.reply_class for row in known_replies() if row.refusal in _REFUSALS)
