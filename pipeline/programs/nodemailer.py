"""
Nodemailer, as Node.js applications log it: messages, printed error objects, and its own debug log, as JSON or as text.

Reads: `Invalid login`, `Mail command failed`, `all recipients were rejected` and their like, with the server's answer;
in the debug log the conversation itself, joined by its session id, with sender, recipients and log-in. Leaves: stack
traces, and the properties of an error object, which say again what its first line said.

What a reader could not guess:
- Of several refused recipients the message tells the last answer only; the objects below it tell each.
- The errors name no sender; it is there where the application logs it, or in the debug log.
- In the debug log an answer stands twice or three times: in the conversation, and in the error objects. It is one
  refusal.
- An answer of several lines breaks a message, and the property of a printed error into two texts with a plus.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.applications.errors import LONGEST, Sign, Values, refusal, reply_in
from pipeline.applications.transcripts import Spoken, TranscriptReader
from pipeline.carriers.json_lines import value_in
from pipeline.lines import Line, text_of
from pipeline.model import Carry
from pipeline.programs import Row

_SAID = re.compile(
    r"(?P<words>Invalid login|Invalid status code|Mail command failed|Can't send mail - all recipients were rejected|"
    r"Recipient command failed|Data command failed|Message failed|Error upgrading connection with STARTTLS|"
    r"Error initiating TLS|Invalid greeting|Invalid EHLO|Invalid HELO)(?:\. response=|: ?|\. )(?=[2-5]\d\d[ -])"
)
_STAGES = {
    "Invalid login": "auth",
    "Mail command failed": "mail_from",
    "Can't send mail - all recipients were rejected": "rcpt_to",
    "Recipient command failed": "rcpt_to",
    "Data command failed": "data",
    "Message failed": "data",
    "Error upgrading connection with STARTTLS": "tls",
    "Error initiating TLS": "tls",
    "Invalid greeting": "connect",
    "Invalid EHLO": "connect",
    "Invalid HELO": "connect",
}
SIGN = Sign(
    re.compile(
        rb"(?:Invalid login|Invalid status code|Mail command failed|all recipients were rejected|"
        rb"Recipient command failed|Data command failed|Message failed|with STARTTLS|initiating TLS|"
        rb"Invalid greeting|Invalid [EH][HE]LO)"
        rb"(?:\. response=|: ?|\. )[2-5]\d\d[ -]|^\s{0,40}response: ['\"`][2-5]\d\d[ -]|"
        rb"^responseCode: [45]\d\d$|\"responseCode\":[45]\d\d\b|"
        rb"^component: smtp-connection$|^tnx: (?:client|server|smtp)$|"
        rb"^[A-Z]{4,5} {1,3}(?:\[#\w{1,40}\] )?\[[\w/+-]{6,24}\] (?:[SC]: |User \")|"
        rb"^\{.{0,2000}\"tnx\":\"(?:client|server|smtp)\"",
        re.MULTILINE,
    ),
    (
        b"Invalid ",
        b"failed: ",
        b"failed. ",
        b"rejected: ",
        b"STARTTLS",
        b"initiating TLS",
        b"response: ",
        b"responseCode",
        b"smtp-connection",
        b"tnx",
        b"] S: ",
        b"] C: ",
        b'] User "',
    ),
)
_RESPONSE = re.compile(
    r"^\s*response: (?P<quote>['\"`])?(?P<text>[2-5]\d\d[ -].*?)(?(quote)(?P=quote))[,;]?\s*\Z", re.DOTALL
)
_VALUE = re.compile(r"^response: (?P<text>[45]\d\d[ -].*(?:\n\t.*){0,50})", re.MULTILINE)
_ERROR_ALONE = re.compile(
    rb"\{\"(?=[^\n]{0,4000}\"response\":\"[45]\d\d[ -])(?=[^\n]{0,8000}\"responseCode\":[45]\d\d\b)"
)
_COMMAND = re.compile(r"\bcommand: ['\"]?(?P<verb>[A-Z]+)(?: (?P<mechanism>[A-Z0-9-]{1,20}))?")
_REFUSED_TO = re.compile(r"^recipient: (\S{1,320}@\S{1,255})$", re.MULTILINE)
_COMMANDS = {
    "AUTH": "auth",
    "MAIL": "mail_from",
    "RCPT": "rcpt_to",
    "DATA": "data",
    "STARTTLS": "tls",
    "EHLO": "connect",
}
_TOLD = re.compile(
    r"[A-Z]{4,5} {1,3}(?:\[#\w{1,40}\] )?\[(?P<sid>[\w/+-]{6,24})\] "
    r"(?:(?P<side>[SC]): (?P<words>.*)|User \"(?P<user>[^\"]{1,320})\" authenticated)",
    re.DOTALL,
)
_OBJECT = re.compile(
    rb"\s+(?:at |['\"`]|\[|(?:code|response|responseCode|command|permanent|errno|syscall|rejected\w*): )|\s*[}\]]"
)


def owns_tag(tag: bytes) -> bool:  # noqa: ARG001 - it is known by what it says
    """Return False: an application has any name."""
    return False


class Reader(TranscriptReader):
    """Goes through one log; conversations of the debug log are open by their session id."""

    def __init__(self, carry: Carry) -> None:
        super().__init__(carry, SIGN, _refusals, _spoken)
        self._is_in_object = bool(carry.get("object"))

    def owns(self, line: Line) -> bool:
        """Return whether `line` is an error of Nodemailer's, goes on with one, or is of its debug log."""
        if line.is_bare and self._is_in_object and _OBJECT.match(line.message):
            return True
        if line.is_bare and not self._document and _ERROR_ALONE.match(line.message[:LONGEST]):
            return True
        self._is_in_object = super().owns(line)
        return self._is_in_object

    def read(self, line: Line) -> list[Row] | str | None:
        """Return the refusals in `line`, those of a conversation with all that was said in it."""
        text = text_of(line.message[: 1 << 16])
        sid, user = _session_of(text)
        if user is None:
            return super().read(line)
        self._note(line)
        self._talk(sid).user = user
        return self._finished() or None

    def carry(self) -> Carry:
        """Return besides whether an error object is half printed."""
        return {**super().carry(), **({"object": True} if self._is_in_object else {})}


def _session_of(text: str) -> tuple[str, str | None]:
    """Return the session id in a line that names the account of a log-in, and the account."""
    if told := _TOLD.match(text):
        return told["sid"], told["user"].lower() if told["user"] else None
    user = value_in(text, "username") if value_in(text, "tnx") == "smtp" else None
    return value_in(text, "sid") or "", user.lower() if user else None


def _spoken(text: str) -> Spoken | None:
    if told := _TOLD.match(text):
        return Spoken(told["words"] or "", is_server=told["side"] == "S", talk=told["sid"])
    sid, side = value_in(text, "sid"), value_in(text, "tnx")
    if not sid or side not in {"client", "server"}:
        return None
    return Spoken(value_in(text, "msg") or value_in(text, "message") or "", is_server=side == "server", talk=sid)


def _refusals(text: str) -> Iterator[Values]:
    told = list(_told_in_objects(text))
    named = {values["reply_text"] for values in told if values["recipient"]}
    for values in told:
        if values["recipient"] or values["reply_text"] not in named:
            yield values
    known = {values["reply_text"] for values in told}
    said = list(_SAID.finditer(text))
    for match in said:
        stage = _stage_of(match["words"], text)
        mechanism = _mechanism(text) if stage == "auth" else None
        values = refusal(reply_in(text[match.end() :]), stage, mechanism=mechanism)
        if values["reply_text"] not in known:
            yield values
    if not said and not told and (response := _RESPONSE.search(text)):
        yield refusal(reply_in(response["text"].replace("\\n", "\n")), _stage_of("", text))


def _told_in_objects(text: str) -> Iterator[Values]:
    """Yield the refusal in each error object of a JSON record; each refused recipient has one."""
    found = list(_VALUE.finditer(text))
    command = _COMMAND.search(text)
    is_sorted = bool(found) and command is not None and command.start() < found[0].start()
    bounds = [0, *(value.end() for value in found)] if is_sorted else [*(value.start() for value in found), len(text)]
    for value, start, end in zip(found, bounds, bounds[1:], strict=False):
        beside = text[start:end]  # a logger that sorts sets the command before the answer, others behind
        yield refusal(
            reply_in(value["text"].replace("\n\t", "\n")), _stage_of("", beside), recipient=_recipient(beside),
            mechanism=_mechanism(beside),
        )  # fmt: skip


def _stage_of(words: str, text: str) -> str:
    command = _COMMAND.search(text)
    return _STAGES.get(words) or (_COMMANDS.get(command["verb"], "unknown") if command else "unknown")


def _mechanism(text: str) -> str | None:
    command = _COMMAND.search(text)
    return command["mechanism"] if command and command["verb"] == "AUTH" else None


def _recipient(text: str) -> str | None:
    found = _REFUSED_TO.search(text)
    return found[1].lower() if found else None
