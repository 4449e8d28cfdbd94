from __future__ import annotations

import re
import shutil
import smtplib
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from alerts.channels import email as channel
from alerts.channels.email import Settings, check, connect, eml, needs, send
from alerts.message import Message
from alerts.plain import one_line
from pipeline.errors import DeliveryError, SettingsError
from pipeline.secret import Secret
from tests.alerts.channels.conftest import Relay, StartRelay
from tests.alerts.channels.samples import CANARY, NOW, hostile_message, message, secret, settings_of
from tests.hostile import HOSTILE
from tests.pipeline.doctor.conftest import Pair, made, serving, tls_of

SETTINGS = Settings(to=("admin@contoso.example",), sender="alerts@contoso.example", folder=Path("unused"))


class _Shape(HTMLParser):
    """The elements and attributes of a page, and what its reader reads."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.addresses += [value or "" for name, value in attrs if name in {"href", "src", "background", "action"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def _mail(of: Message, settings: Settings = SETTINGS) -> EmailMessage:
    """Return the mail for `of` as a receiver parses it."""
    parsed = message_from_bytes(eml(of, settings, NOW).as_bytes(), policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def _part(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def _through(relay: Relay, folder: Path, of: Message | None = None, **changes: Any) -> None:
    send(of or message(), settings_of(channel, folder, port=relay.port, **changes), connect, now=lambda: NOW)


def _failing(relay: Relay, folder: Path, **changes: Any) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        _through(relay, folder, **changes)
    return caught.value


# What arrives


def test_the_mail_arrives_with_its_headers(relay: Relay, tmp_path: Path) -> None:
    _through(relay, tmp_path)

    (mail,) = relay.mails
    assert mail["From"] == "authsunset <alerts@contoso.example>"
    assert mail["To"] == "admin@contoso.example, oncall@contoso.example"
    assert mail["Subject"] == "[new] scanner@contoso.example is refused: Basic authentication is off"
    assert mail["Date"].datetime == NOW
    assert mail["Message-ID"] == "<0a1b2c3d4e5f60718293a4b5.authsunset@contoso.example>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Auto-Response-Suppress"] == "All"
    assert mail["X-Authsunset-Message"] == message().id
    assert relay.envelopes[0].mail_from == "alerts@contoso.example"
    assert relay.envelopes[0].rcpt_tos == ["admin@contoso.example", "oncall@contoso.example"]


def test_text_and_html_say_the_same(relay: Relay, tmp_path: Path) -> None:
    _through(relay, tmp_path)

    (mail,) = relay.mails
    text, html = _part(mail, "plain"), _Shape(_part(mail, "html")).text
    for said in (
        "Basic authentication is off",
        "12 mails wait in the queue of relay1.contoso.example.",
        "mfp-3 (192.0.2.17)",
        "It is over when",
        'Get-MessageTraceV2 -SenderAddress "scanner@contoso.example" |',
        "scanner_2@contoso.example is accepted",
        "2027-01-02 03:12 UTC",
    ):
        assert said in text
        assert said in html


def test_the_text_part_reads_well() -> None:
    text = _part(_mail(message()), "plain")

    assert text.startswith(
        "scanner@contoso.example is refused: Basic authentication is off\n"
        "\n"
        "new · high · 2027-01-02 03:12 UTC\n"
        "\n"
        "Exchange Online answers 550 5.7.30 to this sender.\n"
        "12 mails wait in the queue of relay1.contoso.example.\n"
        "\n"
        "Sender: scanner@contoso.example\n"
        "Refusals: 41\n"
        "Device: mfp-3 (192.0.2.17)\n"
        "\n"
        "What it means\n"
        "-------------\n"
        "\n"
        "Exchange Online takes no password any more. See the announcement <https://learn.example/basic-auth>.\n"
    )
    assert "\n    Get-MessageTraceV2 -SenderAddress" in text
    assert "1. Send through the relay.\n2. Keep smtp.contoso.example as the host.\n  - port 25\n  - no log-in\n" in text
    assert text.endswith("\n-- \nauthsunset · message 0a1b2c3d4e5f60718293a4b5\n")


def test_the_mail_is_seven_bit_so_that_any_relay_takes_it_unchanged(relay: Relay, tmp_path: Path) -> None:
    _through(relay, tmp_path, message(title="Müller", summary="grün 🖨", facts=(("Straße", "Ω"),)))

    assert (relay.envelopes[0].original_content or b"\xff").isascii()
    assert relay.mails[0]["Subject"] == "[new] Müller"


def test_nothing_is_loaded_from_elsewhere() -> None:
    html = _part(_mail(message(hint="![x](https://track.example/a.png) [ok](https://learn.example/)")), "html")

    shape = _Shape(html)
    assert not {"img", "script", "link", "iframe", "object"} & {tag for tag, _ in shape.elements}
    assert "url(" not in html
    assert "@import" not in html


def test_all_mails_of_a_thread_refer_to_one_id() -> None:
    first, second, other = (
        _mail(message(id=name, thread=thread)) for name, thread in [("a", "t"), ("b", "t"), ("c", "u")]
    )

    assert (
        first["References"] == first["In-Reply-To"] == second["References"] == "<thread.t.authsunset@contoso.example>"
    )
    assert first["Message-ID"] != second["Message-ID"]
    assert other["References"] != first["References"]


def test_a_retry_has_the_same_message_id() -> None:
    assert _mail(message())["Message-ID"] == _mail(message())["Message-ID"]


@pytest.mark.parametrize("name", ["x" * 500, "a b", "<>@", "\r\nBcc: a@evil.example", "../../x", "ü", "\ud800"])
def test_any_id_makes_a_message_id_that_is_one(name: str) -> None:
    raw = eml(message(id=name, thread=name), SETTINGS, NOW).as_bytes().decode()

    ids = re.findall(r"^(?:Message-ID|References|In-Reply-To):\s+(\S+)\r$", raw, re.MULTILINE)
    assert len(ids) == 3
    assert all(re.fullmatch(r"<[a-z0-9.]+@contoso\.example>", found) for found in ids)


def test_a_sender_with_a_long_domain_still_has_a_message_id() -> None:
    sender = f"alerts@{'department.' * 9}contoso.example"

    raw = eml(message(), Settings(to=SETTINGS.to, sender=sender), NOW).as_bytes().decode()

    assert "Message-ID: <0a1b2c3d4e5f60718293a4b5@authsunset.invalid>\r\n" in raw


# Hostile text


@pytest.mark.parametrize(
    "text", [text for text in HOSTILE.values() if text.strip()], ids=[k for k, v in HOSTILE.items() if v.strip()]
)
def test_hostile_text_is_shown_as_text(text: str) -> None:
    mail = _mail(hostile_message(text))

    usual = _Shape(_part(_mail(hostile_message("\n".join("x" for line in text[:5_000].splitlines() if line))), "html"))
    shape = _Shape(_part(mail, "html"))
    assert set(shape.elements) == set(usual.elements)
    assert shape.addresses == usual.addresses
    assert one_line(text, 1_000) in shape.text
    assert one_line(text, 1_000) in _part(mail, "plain")


@limits(deadline=None)
@given(
    st.text(),
    st.sampled_from(["\r\n", "\n", "\r", "=?utf-8?q?=0D=0ABcc:_a=40evil.example?=", "=?utf-8?b?DQpCY2M6IGE=?="]),
)
def test_no_text_makes_a_header_of_its_own(text: str, end: str) -> None:
    raw = eml(
        message(title=f"{text}{end}Bcc: a@evil.example{end}{end}{text}", reason=text + end), SETTINGS, NOW
    ).as_bytes()

    mail = message_from_bytes(raw, policy=policy.default)
    assert mail.keys() == _mail(message()).keys()


@limits(deadline=None)
@given(st.text(min_size=1))
def test_any_text_leaves_the_page_as_it_is(text: str) -> None:
    shape = _Shape(_part(_mail(message(title=text, facts=((text, text),))), "html"))

    assert shape.elements == _Shape(_part(_mail(message(title="x", facts=(("x", "x"),))), "html")).elements


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "<https://evil.example/>", "![x](https://track.example/a.png)", "<at>x</at>"]
)
def test_markup_that_reached_the_hint_unescaped_is_text(text: str) -> None:
    shape = _Shape(_part(_mail(message(hint=text)), "html"))

    assert not {"script", "img", "at"} & {tag for tag, _ in shape.elements}
    assert text.startswith("!") or shape.addresses == []


# What the relay answers


def test_one_refused_recipient_is_told_by_count(relay: Relay, tmp_path: Path) -> None:
    relay.rcpt["oncall@contoso.example"] = "550 5.1.1 no such user"

    error = _failing(relay, tmp_path)

    assert str(error) == "email: 1 of 2 recipients were refused with 550: correct `to` or ask the relay's owner"
    assert not error.retry
    assert relay.envelopes[0].rcpt_tos == ["admin@contoso.example"]


def test_a_recipient_that_is_put_off_makes_a_retry(relay: Relay, tmp_path: Path) -> None:
    relay.rcpt = {"oncall@contoso.example": "450 4.7.1 greylisted", "admin@contoso.example": "550 5.1.1 no such user"}

    error = _failing(relay, tmp_path)

    assert "2 of 2 recipients were refused with 450, 550" in str(error)
    assert error.retry


def test_a_refusal_is_named_by_its_codes_and_meaning(relay: Relay, tmp_path: Path) -> None:
    relay.data = "550 5.7.30 Basic authentication is not supported for Client Submission"

    error = _failing(relay, tmp_path)

    assert "the relay answered 550 5.7.30 where it should have taken the mail; " in str(error)


@pytest.mark.parametrize("error", [smtplib.SMTPServerDisconnected("gone"), TimeoutError(), ConnectionResetError()])
def test_a_farewell_that_fails_does_not_undo_the_mail(relay: Relay, tmp_path: Path, error: Exception) -> None:
    class Rude(smtplib.SMTP):
        def quit(self) -> tuple[int, bytes]:
            raise error

    settings = settings_of(channel, tmp_path, port=relay.port)
    send(message(), settings, lambda host, port, timeout_s, _tls: Rude(host, port, timeout=timeout_s))

    assert len(relay.mails) == 1


def test_a_connection_that_breaks_is_retried(tmp_path: Path) -> None:
    class Breaking(smtplib.SMTP):
        def send_message(self, *_: object, **__: object) -> dict[str, tuple[int, bytes]]:
            raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed")

    with pytest.raises(DeliveryError) as caught:
        send(message(), settings_of(channel, tmp_path, user="", password=None), lambda *_: Breaking())

    assert caught.value.retry
    assert "SMTPServerDisconnected" in str(caught.value)


def test_the_timeout_reaches_the_connection(tmp_path: Path) -> None:
    asked: list[tuple[str, int, float]] = []

    def smtp(host: str, port: int, timeout_s: float, _tls: object) -> smtplib.SMTP:
        asked.append((host, port, timeout_s))
        raise TimeoutError

    with pytest.raises(DeliveryError):
        send(message(), settings_of(channel, tmp_path, host="relay", port=2525, timeout_s=7.5), smtp)

    assert asked == [("relay", 2525, 7.5)]


# TLS and log-in


def _authority(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Return what a relay called localhost needs for TLS, and the file that makes it trusted."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the Debian package openssl")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate


@pytest.mark.system
def test_a_relay_of_a_known_authority_gets_the_mail_over_tls(start_relay: StartRelay, tmp_path: Path) -> None:
    context, certificate = _authority(tmp_path)
    relay = start_relay(tls=context)

    _through(relay, tmp_path, starttls=True, ca_file=certificate)

    assert len(relay.mails) == 1
    assert relay.logins == [("alerts", "right")]


@pytest.mark.system
def test_a_relay_that_nobody_vouches_for_gets_neither_password_nor_mail(
    start_relay: StartRelay, tmp_path: Path
) -> None:
    context, _ = _authority(tmp_path)
    relay = start_relay(tls=context)

    error = _failing(relay, tmp_path, starttls=True)

    assert "SSLCertVerificationError" in str(error)
    assert relay.logins == []
    assert relay.mails == []


def test_a_relay_without_tls_gets_neither_password_nor_mail(relay: Relay, tmp_path: Path) -> None:
    error = _failing(relay, tmp_path, starttls=True)

    assert "SMTPNotSupportedError" in str(error)
    assert relay.logins == []
    assert relay.mails == []


def test_a_relay_that_knows_us_by_our_address_is_not_logged_in_to(relay: Relay) -> None:
    send(
        message(),
        Settings(to=SETTINGS.to, sender=SETTINGS.sender, host="127.0.0.1", port=relay.port, starttls=False),
        connect,
    )

    assert relay.logins == []
    assert len(relay.mails) == 1


MICROSOFT = [
    "smtp.office365.com",
    "SMTP.Office365.com.",
    " smtp.office365.com",
    "smtp-mail.outlook.com",
    "outlook.office365.com",
]


@pytest.mark.parametrize("host", MICROSOFT)
def test_a_password_to_microsoft_is_refused_before_anything_is_sent(tmp_path: Path, host: str) -> None:
    settings = settings_of(channel, tmp_path, host=host, starttls=True)

    def smtp(*_: object) -> smtplib.SMTP:
        pytest.fail("a connection was made")

    (complaint,) = check(settings)
    with pytest.raises(SettingsError) as caught:
        send(message(), settings, smtp)

    assert "password log-in for SMTP ends (550 5.7.30)" in complaint
    assert complaint in str(caught.value)


def test_microsoft_behind_an_alias_is_known_by_the_name_it_gives_itself(
    start_relay: StartRelay, tmp_path: Path
) -> None:
    relay = start_relay(hostname="BL1PR13CA0001.outlook.office365.com")

    with pytest.raises(SettingsError, match=r"outlook\.office365\.com is Microsoft's"):
        _through(relay, tmp_path)

    assert relay.logins == []
    assert relay.mails == []


@pytest.mark.parametrize(
    "host", ["contoso-example.mail.protection.outlook.com", "smtp.hve.mx.microsoft", "smtp.azurecomm.net"]
)
def test_services_of_microsoft_that_keep_their_log_in_are_fine(tmp_path: Path, host: str) -> None:
    assert check(settings_of(channel, tmp_path, host=host, starttls=True)) == []


def test_microsoft_without_a_password_is_fine() -> None:
    assert check(Settings(to=SETTINGS.to, sender=SETTINGS.sender, host="smtp.office365.com")) == []


@pytest.mark.parametrize("password", ["pässword", "раssword"])
def test_a_password_that_smtp_cannot_carry_is_refused_and_not_shown(
    relay: Relay, tmp_path: Path, password: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        _through(relay, tmp_path, password=secret(tmp_path, "other", password))

    assert "ASCII only" in str(caught.value)
    assert password not in str(caught.value)


# A folder


def test_a_folder_gets_one_file_that_holds_the_mail(tmp_path: Path) -> None:
    settings = Settings(to=SETTINGS.to, sender=SETTINGS.sender, folder=tmp_path / "new" / "out")

    send(message(), settings, connect, now=lambda: NOW)
    send(message(summary="said again"), settings, connect, now=lambda: NOW)

    (file,) = (tmp_path / "new" / "out").iterdir()
    assert file.name == "0a1b2c3d4e5f60718293a4b5.eml"
    mail = message_from_bytes(file.read_bytes(), policy=policy.default)
    assert isinstance(mail, EmailMessage)
    assert mail["Message-ID"] == _mail(message())["Message-ID"]
    assert "said again" in _part(mail, "plain")


@pytest.mark.parametrize("name", ["../escaped", "/etc/passwd", "a\0b", "x" * 300, "CON.", ".."])
def test_no_id_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "out"

    send(message(id=name), Settings(to=SETTINGS.to, sender=SETTINGS.sender, folder=folder), connect)

    assert [path.parent for path in tmp_path.rglob("*.eml")] == [folder]


def test_a_folder_that_cannot_be_written_is_retried(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("not a folder")

    with pytest.raises(DeliveryError) as caught:
        send(message(), Settings(to=SETTINGS.to, sender=SETTINGS.sender, folder=tmp_path / "out"), connect)

    assert caught.value.retry
    assert str(tmp_path / "out") in str(caught.value)


# Settings


def _complaints(**changes: Any) -> str:
    usual: dict[str, Any] = {
        "to": ("admin@contoso.example",),
        "sender": "alerts@contoso.example",
        "host": "relay.contoso.example",
    }
    return " | ".join(check(Settings(**(usual | changes))))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"to": ()}, "to is empty"),
        ({"to": ("a@contoso.example", "nobody")}, "to holds 'nobody', which is no mail address"),
        ({"to": ("a@contoso.example, b@contoso.example",)}, "no mail address"),
        ({"to": ("a@contoso.example\r\nBcc: b@evil.example",)}, "no mail address"),
        ({"to": ("ä@contoso.example",)}, "in ASCII"),
        ({"sender": ""}, "sender holds ''"),
        ({"sender": "authsunset <>"}, "no mail address"),
        ({"host": ""}, "neither host nor folder is set"),
        ({"folder": Path("out")}, "folder and host are both set"),
        ({"port": 0}, "port is 0"),
        ({"port": 465}, "set starttls = false, or use port 587"),
        ({"timeout_s": 0.0}, "timeout_s should be more than 0"),
        ({"ca_file": Path("no/such/file")}, "ca_file no/such/file is not a file"),
        ({"user": "alerts"}, "user and password go together"),
        ({"password": Secret("env", "NO_SUCH")}, "user and password go together"),
        ({"user": "alerts", "password": Secret("env", "NO_SUCH")}, "environment variable NO_SUCH is not set"),
    ],
)
def test_a_wrong_setting_is_one_complaint(changes: dict[str, Any], complaint: str) -> None:
    found = _complaints(**changes)

    assert complaint in found
    assert " | " not in found


def test_a_password_in_plain_text_over_the_network_is_a_complaint(tmp_path: Path) -> None:
    password = secret(tmp_path, "password", CANARY)

    assert "plain text" in _complaints(starttls=False, user="alerts", password=password)
    assert _complaints(starttls=False, user="alerts", password=password, host="localhost") == ""
    assert _complaints(starttls=False, user="alerts", password=password, port=465) == ""


@pytest.mark.parametrize(
    "sender", ["alerts@contoso.example", "Alerts of IT <alerts@contoso.example>", "<alerts@contoso.example>"]
)
def test_a_sender_may_have_a_name(sender: str) -> None:
    assert _complaints(sender=sender) == ""


@pytest.mark.parametrize("port", [465, 587])
def test_port_465_speaks_tls_from_the_first_byte_to_whom_the_settings_trust(tmp_path: Path, port: int) -> None:
    pair = _relays_own()
    asked: list[ssl.SSLContext | None] = []

    def smtp(_host: str, _port: int, _timeout_s: float, tls: ssl.SSLContext | None) -> smtplib.SMTP:
        asked.append(tls)
        raise TimeoutError

    settings = settings_of(
        channel, tmp_path, host="relay", port=port, starttls=port == 587, ca_file=pair.file(tmp_path)
    )
    with pytest.raises(DeliveryError):
        send(message(), settings, smtp)

    [tls] = asked
    assert (tls is not None) == (port == 465)
    assert tls is None or tls.cert_store_stats()["x509"] == 1, "it trusts the ca_file, and nothing else"
    assert needs(settings).endpoints[0].ca_file == tmp_path / "pair.pem"


def test_a_relay_with_a_certificate_of_its_own_is_trusted_only_when_the_settings_say_so(tmp_path: Path) -> None:
    pair = _relays_own()
    secure = tls_of(pair.file(tmp_path), greeting=b"220 relay.contoso.example ESMTP\r\n")

    with serving(secure) as port:
        connect("localhost", port, 5.0, ssl.create_default_context(cafile=tmp_path / "pair.pem")).close()
        with pytest.raises(ssl.SSLCertVerificationError):
            connect("localhost", port, 5.0, ssl.create_default_context())


def _relays_own() -> Pair:
    """Return a certificate of a relay that has signed it itself, valid now."""
    return made("localhost", datetime.now(UTC) - timedelta(days=1), datetime.now(UTC) + timedelta(days=1))
