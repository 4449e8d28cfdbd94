"""What stands between us and a server: each trouble met at a real one on loopback."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.doctor.meet import Met, meet
from pipeline.doctor.reach import Network, reach
from pipeline.doctor.result import Group, Result, State
from pipeline.errors import SettingsError
from pipeline.needs import Endpoint, Way
from tests.pipeline.doctor.conftest import Pair, made, serving, tls_of

TODAY = datetime.now(UTC)
YESTERDAY, TOMORROW = TODAY - timedelta(days=1), TODAY + timedelta(days=1)
NEXT_YEAR = TODAY + timedelta(days=300)


def found_at(endpoint: Endpoint, network: Network | None = None) -> Result:
    [found] = reach(Group.CHANNELS, "oncall", endpoint, network or Network(), TODAY)
    return found


def at(port: int, way: Way = Way.TLS, ca_file: Path | None = None) -> Endpoint:
    return Endpoint("localhost", port, way, ca_file)


def raising(error: Exception) -> Callable[..., Met]:
    def meets(_: Endpoint) -> Met:
        raise error

    return meets


def mail_server(*features: str, tls: Callable[[socket.socket], None] | None = None) -> Callable[[socket.socket], None]:
    """Return how a mail server speaks; it notes nothing, because nothing but EHLO, STARTTLS and QUIT may come."""

    def speak(connection: socket.socket) -> None:
        connection.sendall(b"220 relay.contoso.example ESMTP\r\n")
        with connection.makefile("rb") as lines:
            for line in lines:
                verb = line.split()[0].upper()
                if verb == b"EHLO":
                    listed = [b"relay.contoso.example", *(feature.encode() for feature in features)]
                    connection.sendall(
                        b"".join(b"250-%s\r\n" % each for each in listed[:-1]) + b"250 " + listed[-1] + b"\r\n"
                    )
                elif verb == b"STARTTLS" and tls:
                    connection.sendall(b"220 go\r\n")
                    tls(connection)
                    return
                else:
                    assert verb == b"QUIT", line
                    connection.sendall(b"221 bye\r\n")
                    return

    return speak


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (socket.EAI_NONAME, "does not exist"),
        (socket.EAI_AGAIN, "does not answer"),
        (socket.EAI_FAIL, "cannot be resolved"),
    ],
)
def test_a_name_that_does_not_resolve_is_named_with_advice_about_resolvers(number: int, words: str) -> None:
    def resolve(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(number, "no luck")

    found = found_at(Endpoint("graph.contoso.example", 443), Network(resolve=resolve))

    assert (found.check, found.state) == ("name", State.BROKEN)
    assert "graph.contoso.example" in found.found
    assert words in found.found
    assert "getent hosts graph.contoso.example" in found.mend
    assert "/etc/resolv.conf" in found.mend


def test_a_port_where_nothing_listens_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    found = found_at(Endpoint("127.0.0.1", port))

    assert (found.check, found.state) == ("connection", State.BROKEN)
    assert f"nothing listens at 127.0.0.1:{port}" in found.found
    assert f"nc -vz 127.0.0.1 {port}" in found.mend


@pytest.mark.parametrize(
    ("error", "words"),
    [(TimeoutError("timed out"), "does not answer"), (OSError(113, "No route to host"), "No route to host")],
)
def test_a_server_behind_a_firewall_is_told_with_its_addresses(error: OSError, words: str) -> None:
    network = Network(resolve=lambda _host, _port: ["192.0.2.7"], meet=raising(error))

    found = found_at(Endpoint("relay.contoso.example", 25, Way.STARTTLS), network)

    assert found.state is State.BROKEN
    assert words in found.found
    assert "192.0.2.7" in found.found


def test_a_server_that_is_trusted_tells_its_protocol_and_the_end_of_its_certificate(tmp_path: Path) -> None:
    pair = made(start=YESTERDAY, end=NEXT_YEAR).file(tmp_path)
    with serving(tls_of(pair)) as port:
        found = found_at(at(port, ca_file=pair))

    assert (found.check, found.state) == ("connection", State.OK)
    assert "TLSv1.3" in found.found
    assert f"{NEXT_YEAR:%Y-%m-%d}" in found.found


def test_a_certificate_of_a_proxy_between_is_told_by_its_issuer(tmp_path: Path, authority: Pair) -> None:
    pair = made(start=YESTERDAY, end=NEXT_YEAR, issuer=authority).file(tmp_path)
    with serving(tls_of(pair)) as port:
        found = found_at(replace(at(port), is_web=True))

    assert (found.check, found.state) == ("TLS", State.BROKEN)
    assert "issued by CN=Contoso Inspecting Proxy" in found.found
    assert "ca_file" in found.mend
    assert "proxy" in found.mend


def test_a_ca_file_that_holds_another_authority_is_named(tmp_path: Path, authority: Pair) -> None:
    pair = made(start=YESTERDAY, end=NEXT_YEAR).file(tmp_path)
    other = authority.file(tmp_path, "other.pem")
    with serving(tls_of(pair)) as port:
        found = found_at(at(port, ca_file=other))

    assert f"{other} does not hold that authority" in found.found


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_file_that_cannot_be_read_is_a_fault_of_the_settings(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)

    with serving(lambda _: None) as port, pytest.raises(SettingsError, match=r"ca\.pem cannot be read"):
        meet(at(port, ca_file=tmp_path / "ca.pem"))


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (TODAY - timedelta(days=30), YESTERDAY, "has expired"),
        (TOMORROW, NEXT_YEAR, "is not valid yet"),
    ],
)
def test_a_certificate_out_of_its_time_is_told(start: datetime, end: datetime, words: str, tmp_path: Path) -> None:
    pair = made(start=start, end=end).file(tmp_path)
    with serving(tls_of(pair)) as port:
        found = found_at(at(port, ca_file=pair))

    assert (found.check, found.state) == ("TLS", State.BROKEN)
    assert words in found.found
    assert "clock" in found.mend


def test_a_certificate_that_ends_soon_is_a_warning(tmp_path: Path) -> None:
    pair = made(start=YESTERDAY, end=TODAY + timedelta(days=7)).file(tmp_path)
    with serving(tls_of(pair)) as port:
        found = found_at(at(port, ca_file=pair))

    assert (found.check, found.state) == ("TLS", State.WARNING)
    assert f"openssl s_client -connect localhost:{port}" in found.mend


def test_a_certificate_for_another_name_is_told(tmp_path: Path) -> None:
    pair = made("elsewhere.contoso.example", YESTERDAY, NEXT_YEAR).file(tmp_path)
    with serving(tls_of(pair)) as port:
        found = found_at(at(port, ca_file=pair))

    assert "is for another name" in found.found


def test_an_old_protocol_is_told(tmp_path: Path) -> None:
    pair = made(start=YESTERDAY, end=NEXT_YEAR).file(tmp_path)
    with serving(tls_of(pair, newest=ssl.TLSVersion.TLSv1_1)) as port:
        found = found_at(at(port, ca_file=pair))

    assert (found.check, found.state) == ("TLS", State.BROKEN)
    assert "TLS 1.2 is the oldest" in found.found


def test_a_server_without_tls_is_told(tmp_path: Path) -> None:
    pair = made(start=YESTERDAY, end=NEXT_YEAR).file(tmp_path)
    with serving(lambda connection: connection.sendall(b"220 relay.contoso.example ESMTP\r\n")) as port:
        found = found_at(at(port, ca_file=pair))

    assert "does not speak TLS where it should" in found.found


def test_a_server_that_breaks_off_is_told() -> None:
    with serving(lambda _: None) as port:
        found = found_at(at(port))

    assert found.state is State.BROKEN


def test_a_relay_with_starttls_is_well_and_gets_no_message(tmp_path: Path) -> None:
    pair = made(start=YESTERDAY, end=NEXT_YEAR).file(tmp_path)
    with serving(mail_server("STARTTLS", tls=tls_of(pair))) as port:
        found = found_at(at(port, Way.STARTTLS, pair))

    assert (found.check, found.state) == ("connection", State.OK)
    assert "SMTP that becomes TLS" in found.found


def test_a_relay_whose_certificate_is_not_trusted_is_told_by_its_issuer(tmp_path: Path, authority: Pair) -> None:
    pair = made(start=YESTERDAY, end=NEXT_YEAR, issuer=authority).file(tmp_path)
    with serving(mail_server("STARTTLS", tls=tls_of(pair))) as port:
        found = found_at(at(port, Way.STARTTLS))

    assert "issued by CN=Contoso Inspecting Proxy" in found.found
    assert "-starttls smtp" in found.mend


def test_a_relay_that_offers_no_starttls_is_told() -> None:
    with serving(mail_server("SIZE")) as port:
        found = found_at(at(port, Way.STARTTLS))

    assert (found.check, found.state) == ("STARTTLS", State.BROKEN)
    assert "starttls = false" in found.mend


def test_a_relay_in_plain_text_that_could_do_better_is_a_warning() -> None:
    with serving(mail_server("STARTTLS")) as port:
        better = found_at(at(port, Way.SMTP))
    with serving(mail_server("SIZE")) as port:
        plain = found_at(at(port, Way.SMTP))

    assert (better.state, better.mend) == (State.WARNING, "set starttls = true in [channel.oncall]")
    assert plain.state is State.OK


def imap_server(*answers: bytes, tls: Callable[[socket.socket], None] | None = None) -> Callable[[socket.socket], None]:
    def speak(connection: socket.socket) -> None:
        connection.sendall(b"* OK ready\r\n")
        assert connection.recv(100) == b"a STARTTLS\r\n"
        connection.sendall(b"".join(answers))
        if tls:
            tls(connection)

    return speak


def test_a_mailbox_server_with_starttls_is_well(tmp_path: Path) -> None:
    pair = made(start=YESTERDAY, end=NEXT_YEAR).file(tmp_path)
    with serving(imap_server(b"* CAPABILITY IMAP4rev1\r\n", b"a OK begin\r\n", tls=tls_of(pair))) as port:
        found = found_at(at(port, Way.IMAP_STARTTLS, pair))

    assert (found.check, found.state) == ("connection", State.OK)


def test_a_mailbox_server_whose_certificate_is_not_trusted_is_told_by_its_issuer(
    tmp_path: Path, authority: Pair
) -> None:
    pair = made(start=YESTERDAY, end=NEXT_YEAR, issuer=authority).file(tmp_path)
    with serving(imap_server(b"a OK begin\r\n", tls=tls_of(pair))) as port:
        found = found_at(at(port, Way.IMAP_STARTTLS))

    assert "issued by CN=Contoso Inspecting Proxy" in found.found
    assert "-starttls imap" in found.mend


@pytest.mark.parametrize("answer", [b"a BAD unknown\r\n", b"* no end\r\n" * 30, b""])
def test_a_mailbox_server_without_starttls_is_told(answer: bytes) -> None:
    with serving(imap_server(answer)) as port:
        found = found_at(at(port, Way.IMAP_STARTTLS))

    assert (found.check, found.state) == ("STARTTLS", State.BROKEN)


def test_a_relay_that_does_not_want_us_is_told() -> None:
    with serving(lambda connection: connection.sendall(b"554 5.7.1 go away\r\n")) as port:
        found = found_at(at(port, Way.STARTTLS))

    assert "refused with 554" in found.found


def test_plain_text_is_only_connected_to() -> None:
    with serving(lambda _: None) as port:
        assert found_at(at(port, Way.PLAIN)).state is State.OK
