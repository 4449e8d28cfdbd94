"""Whether a server can be reached as it must be: its name, a connection, encryption that we accept."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.doctor.meet import Issuer, Meet, Met, NoStarttlsError
from pipeline.doctor.meet import issuer as ask_issuer
from pipeline.doctor.meet import meet as ask_to_meet
from pipeline.doctor.names import Resolve, unresolved
from pipeline.doctor.names import resolve as ask_resolver
from pipeline.doctor.result import Group, Result, Topic
from pipeline.doctor.tls import ends_soon, no_terms
from pipeline.needs import Endpoint, Way


@dataclass(frozen=True, slots=True)
class Network:
    """How servers are found and met."""

    resolve: Resolve = ask_resolver
    meet: Meet = ask_to_meet
    issuer: Issuer = ask_issuer


def reach(group: Group, about: str, endpoint: Endpoint, network: Network, now: datetime) -> Iterator[Result]:
    """Yield what stands between us and `endpoint`, or that nothing does."""
    try:
        addresses = network.resolve(endpoint.host, endpoint.port)
    except OSError as error:
        yield unreached(group, about, endpoint, error, network)
        return
    try:
        met = network.meet(endpoint)
    except NoStarttlsError:
        yield Topic(group, "STARTTLS", about).broken(*_no_starttls(endpoint))
    except smtplib.SMTPException as error:
        yield Topic(group, "connection", about).broken(*_no_greeting(endpoint, error))
    except OSError as error:
        yield unreached(group, about, endpoint, error, network, addresses)
    else:
        yield _met(group, about, endpoint, met, now)


def unreached(
    group: Group, about: str, endpoint: Endpoint, error: OSError, network: Network, addresses: Sequence[str] = ()
) -> Result:
    """Return what `error` tells about the way to `endpoint`."""
    if isinstance(error, socket.gaierror):
        return Topic(group, "name", about).broken(*unresolved(endpoint.host, error))
    if isinstance(error, ssl.SSLError):
        return Topic(group, "TLS", about).broken(*no_terms(endpoint, error, network.issuer(endpoint)))
    return Topic(group, "connection", about).broken(*_no_connection(endpoint, error, addresses))


def _met(group: Group, about: str, endpoint: Endpoint, met: Met, now: datetime) -> Result:
    if warning := ends_soon(endpoint, met.valid_until, now):
        return Topic(group, "TLS", about).warning(*warning)
    if endpoint.way is Way.SMTP and met.offers_starttls:
        found = f"{endpoint} answers and offers STARTTLS, which is not used: mail goes there in plain text"
        return Topic(group, "STARTTLS", about).warning(found, f"set starttls = true in [channel.{about}]")
    until = f", certificate valid until {met.valid_until:%Y-%m-%d}" if met.valid_until else ""
    how = f" ({endpoint.way}: {met.protocol}{until})" if met.protocol else f" ({endpoint.way})"
    return Topic(group, "connection", about).ok(f"{endpoint} answers{how}")


def _no_connection(endpoint: Endpoint, error: OSError, addresses: Sequence[str]) -> tuple[str, str]:
    where = f"{endpoint} ({', '.join(addresses[:4])})" if addresses else str(endpoint)
    if isinstance(error, ConnectionRefusedError):
        found = f"nothing listens at {where}"
        advice = "compare host and port with the server's, and see that it runs:"
    elif isinstance(error, TimeoutError):
        found = f"{where} does not answer"
        advice = "a firewall may drop it: allow outgoing TCP to this host and port:"
    else:
        found = f"{where} cannot be reached: {error.strerror or type(error).__name__}"
        advice = "see the route and the firewall between:"
    look = f"nc -vz {endpoint.host} {endpoint.port}"
    return found, f"{advice}\n{look}\non Windows: Test-NetConnection {endpoint.host} -Port {endpoint.port}"


def _no_starttls(endpoint: Endpoint) -> tuple[str, str]:
    return (
        f"{endpoint} answers, and does not offer STARTTLS, which the settings ask for",
        "let the server offer it (Postfix: smtpd_tls_security_level = may and a certificate), take the port that has "
        "it, or, on a network that you trust, set starttls = false",
    )


def _no_greeting(endpoint: Endpoint, error: smtplib.SMTPException) -> tuple[str, str]:
    code = f" with {error.smtp_code}" if isinstance(error, smtplib.SMTPResponseException) else ""
    return (
        f"{endpoint} answers, but not as a mail server that takes mail from here: it refused{code}",
        "have its owner allow this machine's address to relay",
    )
