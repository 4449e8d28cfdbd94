"""
Send a mail through one's own relay, or leave it in a folder as an .eml file.

A password log-in to Microsoft's submission endpoints is refused, by `check` and again by `send`: it is the very thing
whose end is reported here, and the alert would be refused with the mail it is about. An alias in front of the
endpoint is seen through by the name that the server gives itself.
The Message-ID comes from the message's id, so a mailbox that gets a retry twice can drop the second one; all mails of
one thread refer to one Message-ID that was never sent, so they are shown together. X-Authsunset-Message marks our own
mail, for those who read mail logs, as we do. A QUIT that fails after the mail was taken changes nothing.
"""

from __future__ import annotations

import email.policy
import hashlib
import os
import re
import smtplib
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import parseaddr
from functools import cache
from pathlib import Path

from jinja2 import PackageLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from alerts.markdown import as_html, as_text
from alerts.message import Message
from alerts.plain import lines, one_line
from pipeline.clock import Now, utc_now
from pipeline.endpoints import service_of
from pipeline.errors import DeliveryError, SettingsError
from pipeline.needs import Endpoint, Needs, Way
from pipeline.replies import meaning_of, read_reply
from pipeline.secret import Secret

USES = "smtp"

Smtp = Callable[[str, int, float, ssl.SSLContext | None], smtplib.SMTP]
"""What makes a connection from host, port, timeout in seconds, and whom to trust where TLS is spoken at once."""

TLS_PORT = 465
"""Where TLS is spoken from the first byte."""

NO_PASSWORDS = frozenset({"exchange_online", "outlook_consumer"})

_LONGEST_ID = 76  # Python writes a longer one as encoded words, which is not an id any more
_COLOURS = {"critical": "#b3261e", "high": "#c2410c", "medium": "#a16207", "low": "#1d4ed8"}
_SANS = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_MONO = "font-family:Consolas,'SF Mono',Menlo,'Liberation Mono',monospace"
_HEADING = f"margin:24px 0 6px 0;{_SANS};font-size:15px;line-height:22px;font-weight:bold"
_HINT_STYLES: Mapping[str, str] = {
    **dict.fromkeys(("h1", "h2", "h3", "h4"), _HEADING),
    "p": "margin:0 0 10px 0",
    "ul": "margin:0 0 10px 0;padding:0 0 0 22px",
    "ol": "margin:0 0 10px 0;padding:0 0 0 22px",
    "li": "margin:0 0 4px 0",
    "a": "color:#1d4ed8",
    "code": f"{_MONO};font-size:13px",
    "pre": "margin:0 0 12px 0;padding:12px;background-color:#f3f4f6;border:1px solid #e5e7eb;"
    f"{_MONO};font-size:13px;line-height:19px;white-space:pre-wrap;word-break:break-word",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    Who writes to whom, and either a relay (`host` and what follows) or a `folder` that takes the mails as files.

    `ca_file` holds the certificate authority of a relay that the system does not trust by itself.
    """

    to: tuple[str, ...]
    sender: str
    host: str = ""
    port: int = 25
    starttls: bool = True
    ca_file: Path | None = None
    user: str = ""
    password: Secret | None = None
    timeout_s: float = 30.0
    folder: Path | None = None


def check(settings: Settings) -> list[str]:
    """Return what is wrong with `settings`, as far as can be told without a network."""
    found = [*_address_complaints(settings), *_way_complaints(settings), *_login_complaints(settings)]
    return found + ([refused] if (refused := _refusal(settings, settings.host)) else [])


def needs(settings: Settings) -> Needs:
    """Return the relay that takes the mail, or the folder."""
    if settings.folder is not None:
        return Needs(folders=(settings.folder,))
    way = Way.TLS if settings.port == TLS_PORT else Way.STARTTLS if settings.starttls else Way.SMTP
    return Needs(endpoints=(Endpoint(settings.host, settings.port, way, settings.ca_file),))


def send(message: Message, settings: Settings, smtp: Smtp, *, now: Now = utc_now) -> None:
    """Send `message`; raise DeliveryError unless the relay took it for every recipient."""
    mail = eml(message, settings, now())
    if settings.folder is not None:
        _write(mail, settings.folder, f"{_token(message.id)}.eml")
        return
    _stop_if_refused(settings, settings.host)
    try:
        _submit(mail, settings, smtp)
    except smtplib.SMTPRecipientsRefused as error:
        raise _recipients_refused(error.recipients, len(settings.to)) from None  # its text lists the recipients
    except smtplib.SMTPResponseException as error:
        raise _refused(error.smtp_code, error.smtp_error) from None
    except (smtplib.SMTPException, OSError) as error:
        raise DeliveryError(f"email: {_reason_of(error)}", retry=True) from error


def connect(host: str, port: int, timeout_s: float, tls: ssl.SSLContext | None) -> smtplib.SMTP:
    """Return a real connection, which speaks `tls` from the first byte or, without it, plain text at first."""
    if tls is not None:
        return smtplib.SMTP_SSL(host, port, timeout=timeout_s, context=tls)
    return smtplib.SMTP(host, port, timeout=timeout_s)


def eml(message: Message, settings: Settings, now: datetime) -> EmailMessage:
    """Return the mail for `message`, with a text and an HTML part that say the same."""
    mail = EmailMessage(policy=email.policy.SMTP)
    domain = parseaddr(settings.sender)[1].rpartition("@")[2]
    thread = _message_id(f"thread.{_token(message.thread)}", domain)
    mail["From"] = settings.sender
    mail["To"] = ", ".join(settings.to)
    mail["Subject"] = _header(f"[{one_line(message.reason, 60)}] {one_line(message.title, 200)}")
    mail["Date"] = now.astimezone(UTC)
    mail["Message-ID"] = _message_id(_token(message.id), domain)
    mail["In-Reply-To"] = thread
    mail["References"] = thread
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail["X-Authsunset-Message"] = _header(one_line(message.id, 100))
    # Quoted-printable passes every relay unchanged, and a signature over it holds.
    mail.set_content(_rendered("email.txt.j2", message, as_text(message.hint)), cte="quoted-printable")
    html = _rendered("email.html.j2", message, as_html(message.hint, _HINT_STYLES))
    mail.add_alternative(html, subtype="html", cte="quoted-printable")
    return mail


def _rendered(template: str, message: Message, hint: str) -> str:
    return (
        _templates()
        .get_template(template)
        .render(
            reason=one_line(message.reason, 60),
            severity=one_line(message.severity, 20),
            colour=_COLOURS.get(message.severity, "#4b5563"),
            title=one_line(message.title, 200),
            summary=lines(message.summary, 5_000),
            facts=[(one_line(label, 60), one_line(value, 1_000)) for label, value in message.facts],
            hint=hint,
            noticed=f"{message.noticed_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
            id=one_line(message.id, 100),
            sans=_SANS,
        )
    )


@cache
def _templates() -> SandboxedEnvironment:
    return SandboxedEnvironment(
        loader=PackageLoader("alerts", "templates"),
        autoescape=lambda name: name is None or not name.endswith(".txt.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _header(text: str) -> str:
    # The email package decodes encoded words in what it is given, and a decoded line end starts a header of its own.
    return text.replace("=?", "= ?")


def _token(text: str) -> str:
    """Return `text` if it can stand in an id and a file name, else a digest of it."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,32}", text):
        return text
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _message_id(token: str, domain: str) -> str:
    whole = f"<{token}.authsunset@{domain}>"
    return whole if len(whole) <= _LONGEST_ID else f"<{token}@authsunset.invalid>"


def _submit(mail: EmailMessage, settings: Settings, smtp: Smtp) -> None:
    tls = _trust(settings) if settings.port == TLS_PORT else None
    connection = smtp(settings.host, settings.port, settings.timeout_s, tls)
    try:
        _secure(connection, settings)
        refused = connection.send_message(mail)
        with suppress(smtplib.SMTPException, OSError):
            connection.quit()
    finally:
        connection.close()
    if refused:
        raise _recipients_refused(refused, len(settings.to))


def _secure(connection: smtplib.SMTP, settings: Settings) -> None:
    if settings.starttls:
        connection.starttls(context=_trust(settings))
    if settings.password is None:
        return
    connection.ehlo_or_helo_if_needed()
    _stop_if_refused(settings, _name_of(connection))
    password = settings.password.reveal()
    if not password.isascii() or not settings.user.isascii():
        raise SettingsError("email: SMTP log-in takes ASCII only: choose a user and a password without other letters")
    connection.login(settings.user, password)


def _trust(settings: Settings) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=settings.ca_file)


def _name_of(connection: smtplib.SMTP) -> str:
    """Return the name that the server gives itself in its answer to EHLO."""
    said = (connection.ehlo_resp or connection.helo_resp or b"").split()
    return said[0].decode("ascii", "replace") if said else ""


def _stop_if_refused(settings: Settings, host: str) -> None:
    if sentence := _refusal(settings, host):
        raise SettingsError(f"email: {sentence}")


def _refusal(settings: Settings, host: str) -> str | None:
    if settings.password is None or service_of(host.strip()) not in NO_PASSWORDS:
        return None
    return (
        f"{one_line(host, 100)} is Microsoft's, where password log-in for SMTP ends (550 5.7.30), "
        "so this alert would be lost with the mail it is about: send through a relay of your own"
    )


def _recipients_refused(recipients: Mapping[str, tuple[int, bytes]], of: int) -> DeliveryError:
    """
    Return the error for `recipients`, refused out of `of`, by count.

    The others have the mail already. One that was put off is worth a repeat to all of them, which a mailbox can drop
    by its Message-ID; one that was refused for good is not.
    """
    codes = sorted({code for code, _ in recipients.values()})
    said = ", ".join(str(code) for code in codes)
    sentence = (
        f"email: {len(recipients)} of {of} recipients were refused with {said}: correct `to` or ask the relay's owner"
    )
    return DeliveryError(sentence, retry=any(_is_temporary(code) for code in codes))


def _refused(code: int, words: bytes | str) -> DeliveryError:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    reply = read_reply(f"{code} {text}")
    meaning = meaning_of(reply.reply_class)
    answer = f"{code} {reply.enhanced}" if reply.enhanced else str(code)
    return DeliveryError(
        f"email: the relay answered {answer} where it should have taken the mail{f'; {meaning}' if meaning else ''}",
        retry=_is_temporary(code),
    )


def _is_temporary(code: int) -> bool:
    """Return whether `code` allows another try; one that is no SMTP code at all says nothing against it."""
    return not 500 <= code < 600


def _reason_of(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) else None
    return f"no connection to the relay, or it broke: {type(error).__name__}{f' ({said})' if said else ''}"


def _write(mail: EmailMessage, folder: Path, name: str) -> None:
    """Write the file as a whole or not at all; a retry writes the same file again."""
    partial = folder / f".{name}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(mail.as_bytes())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / name)
        _sync_folder(folder)
    except OSError as error:
        raise DeliveryError(f"email: cannot write {folder / name}: {error.strerror}", retry=True) from error


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # Windows has no such call
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _address_complaints(settings: Settings) -> list[str]:
    complaints = [] if settings.to else ["to is empty: name at least one recipient"]
    for key, address in [("sender", settings.sender), *(("to", recipient) for recipient in settings.to)]:
        if not _is_address(address):
            shown = one_line(address, 100)
            complaints.append(f"{key} holds {shown!r}, which is no mail address: write it as name@domain in ASCII")
    return complaints


def _is_address(text: str) -> bool:
    is_plain = text.isascii() and text.isprintable() and text.count("@") == 1
    return is_plain and re.fullmatch(r"[^@\s<>,;]+@[A-Za-z0-9.-]+", parseaddr(text)[1]) is not None


def _way_complaints(settings: Settings) -> list[str]:
    if settings.folder is not None:
        return ["folder and host are both set: a mail goes to one of them"] if settings.host else []
    if not settings.host:
        return ["neither host nor folder is set: name a relay, or a folder for the mails"]
    complaints = [] if settings.timeout_s > 0 else ["timeout_s should be more than 0"]
    if not 0 < settings.port < 65_536:
        complaints.append(f"port is {settings.port}: it should be from 1 to 65535")
    if settings.ca_file is not None and not settings.ca_file.is_file():
        complaints.append(f"ca_file {settings.ca_file} is not a file: it should hold the relay's certificate authority")
    if settings.port == TLS_PORT and settings.starttls:
        complaints.append("port 465 speaks TLS from the first byte: set starttls = false, or use port 587")
    return complaints


def _login_complaints(settings: Settings) -> list[str]:
    if bool(settings.user) != (settings.password is not None):
        return ["user and password go together: set both, or none for a relay that knows this host by its address"]
    if settings.password is None:
        return []
    complaints = []
    if not settings.starttls and settings.port != TLS_PORT and not _is_this_host(settings.host):
        complaints.append("the password would cross the network in plain text: set starttls = true")
    try:
        settings.password.reveal()
    except SettingsError as error:
        complaints.append(str(error))
    return complaints


def _is_this_host(host: str) -> bool:
    return host.lower() in {"localhost", "127.0.0.1", "::1", ""}
