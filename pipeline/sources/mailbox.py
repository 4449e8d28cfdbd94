"""
Bounces that come back into a mailbox: what devices and programs that log nowhere were told about their mail.

A positional source: `pipeline/mail/by_graph.py` and `by_imap.py` say how each goes on from where it was. Nothing in the
mailbox changes by being read, and what is no bounce is left alone.
IMAP at Microsoft takes a token only, and that goes to Microsoft's hosts only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pipeline.endpoints import is_microsoft, service_of
from pipeline.errors import SettingsError
from pipeline.graph.identity import EXCHANGE_ONLINE
from pipeline.mail import by_graph, by_imap
from pipeline.mail.folder import Folder
from pipeline.mail.imap import Server
from pipeline.model import Pull
from pipeline.needs import Api, Endpoint, Needs, Permission, Way
from pipeline.outside import Outside
from pipeline.secret import Secret
from pipeline.spans import span_of

EVERY = timedelta(minutes=5)
MICROSOFT_HOST = "outlook.office365.com"

_ADDRESS = re.compile(r"[^@\s<>,;:\"]{1,64}@[A-Za-z0-9.-]{1,253}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    Which mailbox and which of its folders, and how to get there: `via` Microsoft Graph or IMAP.

    `since` is how far back the first look goes, `most_mib` how much of each message is read: a report stands before the
    mail that it returns. A folder may be given with its path (Inbox/Bounces), by IMAP as the server writes it.
    For IMAP: without a `password` the log-in is that of [microsoft]; `user` is the mailbox unless given; `starttls`
    begins without TLS, as port 143 wants it; `ca_file` holds the authority of a server that the system does not trust.
    """

    mailbox: str
    folder: str = "Inbox"
    via: Literal["graph", "imap"] = "graph"
    since: str = "30d"
    most_mib: int = 2
    host: str = MICROSOFT_HOST
    port: int = 993
    starttls: bool = False
    user: str = ""
    password: Secret | None = None
    ca_file: Path | None = None
    timeout_s: float = 60.0


def USES(settings: Settings) -> str:  # noqa: N802 - the name that every source gives this
    """Return whose log-in `settings` need."""
    return "microsoft" if settings.via == "graph" or settings.password is None else ""


def check(settings: Settings) -> list[str]:
    """Return what is wrong with `settings`, as sentences; nobody is asked."""
    about_way = _about_imap if settings.via == "imap" else _about_graph
    return [*_about_folder(settings), *_about_sizes(settings), *about_way(settings)]


def pull_of(settings: Settings, outside: Outside) -> Pull:
    """Return what reads the bounces that are new in the folder."""
    most_bytes = settings.most_mib << 20
    folder = Folder(settings.mailbox, settings.folder, span_of(settings.since), most_bytes, outside.clock)
    if settings.via == "graph":
        return by_graph.pull_of(folder, outside.graph())
    return by_imap.pull_of(folder, _server(settings, outside))


def needs(settings: Settings) -> Needs:
    """Return what the mailbox must grant, and the server that holds it."""
    if settings.via == "graph":
        asked = f"/v1.0/users/{quote(settings.mailbox)}/mailFolders/inbox/messages?$top=1&$select=id"
        return Needs(permissions=(Permission(by_graph.PERMISSION),), asks=(asked,))
    way = Way.IMAP_STARTTLS if settings.starttls else Way.TLS
    permissions = () if settings.password else (Permission("IMAP.AccessAsApp", Api.EXCHANGE_ONLINE),)
    return Needs(permissions=permissions, endpoints=(Endpoint(settings.host, settings.port, way, settings.ca_file),))


def _server(settings: Settings, outside: Outside) -> Server:
    where = (settings.host, settings.port, settings.starttls, settings.ca_file, settings.timeout_s)
    user = settings.user or settings.mailbox
    if (password := settings.password) is not None:
        mend = f"see 'user', and that {password.where} holds its password"
        return Server(*where, user, lambda _is_refused: password.reveal(), is_token=False, mend=mend)
    graph = outside.graph()

    def token(is_refused: bool) -> str:
        # One that was fetched before the application got its permissions lacks them for as long as it lasts.
        return graph.token(EXCHANGE_ONLINE, True) if is_refused else graph.exchange_online_token()

    return Server(*where, user, token, is_token=True, mend=_causes(settings.mailbox, graph.settings.client))


def _causes(mailbox: str, client: str) -> str:
    return (
        f"it is one of three things. IMAP is off for the mailbox: `Set-CASMailbox {mailbox} -ImapEnabled $true`. Or "
        "the application lacks the permission IMAP.AccessAsApp with admin consent, or Exchange does not know it or "
        f"gives it no access: `New-ServicePrincipal -AppId {client} -ObjectId ID` and `Add-MailboxPermission {mailbox} "
        "-User ID -AccessRights FullAccess`, where ID is the object id of the enterprise application, not of its "
        "registration. Or the tenant in [microsoft] is not that of the mailbox"
    )


def _about_folder(settings: Settings) -> list[str]:
    complaints = []
    if not _ADDRESS.fullmatch(settings.mailbox):
        complaints.append("'mailbox' should be its address, such as bounces@contoso.example")
    if not settings.folder.strip("/ ") or not settings.folder.isprintable():
        complaints.append("'folder' should be the name of a folder, such as Inbox or Inbox/Bounces")
    return complaints


def _about_sizes(settings: Settings) -> list[str]:
    complaints = []
    try:
        if span_of(settings.since) < timedelta(0):
            complaints.append(f"'since' is {settings.since!r}; write it without the sign")
    except ValueError as error:
        complaints.append(f"'since': {error}")
    if not 1 <= settings.most_mib <= 64:
        complaints.append(f"'most_mib' is {settings.most_mib}; it should be from 1 to 64")
    if not 0 < settings.timeout_s <= 600:
        complaints.append(f"'timeout_s' is {settings.timeout_s}; it should be more than 0 and up to 600")
    return complaints


def _about_graph(settings: Settings) -> list[str]:
    usual = Settings(mailbox=settings.mailbox)
    names = ("host", "port", "starttls", "user", "password", "ca_file")
    given = [repr(name) for name in names if getattr(settings, name) != getattr(usual, name)]
    return [f'{", ".join(given)} belong to IMAP; set via = "imap", or leave them out'] if given else []


def _about_imap(settings: Settings) -> list[str]:
    complaints = []
    if not re.fullmatch(r"[A-Za-z0-9.:_-]{1,253}", settings.host):
        complaints.append("'host' should be the name of the IMAP server")
    if not 0 < settings.port < 65_536:
        complaints.append(f"'port' is {settings.port}; it should be from 1 to 65535")
    if settings.port in {143, 993} and settings.starttls != (settings.port == 143):
        complaints.append("port 993 speaks TLS from the first byte, and port 143 wants starttls = true")
    if settings.user and not settings.user.isprintable():
        complaints.append("'user' holds characters that cannot be seen")
    if settings.ca_file is not None and not settings.ca_file.is_file():
        complaints.append(f"'ca_file' {settings.ca_file} is not a file; it should hold a certificate authority in PEM")
    return complaints + _about_log_in(settings)


def _about_log_in(settings: Settings) -> list[str]:
    is_theirs = is_microsoft(service_of(settings.host))
    if settings.password is None:
        if is_theirs or settings.host in {"localhost", "127.0.0.1", "::1"}:
            return []
        return [
            f"'password' is missing: {settings.host} is not Microsoft's, and the log-in of [microsoft] is shown to "
            "nobody else"
        ]
    if is_theirs:
        return [
            f"{settings.host} is Microsoft's, where IMAP takes no password: remove 'password', and the log-in of "
            "[microsoft] is used (XOAUTH2)"
        ]
    try:
        settings.password.reveal()
    except SettingsError as error:
        return [str(error)]
    return []
