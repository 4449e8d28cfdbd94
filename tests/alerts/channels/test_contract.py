"""What every channel promises; the tests run over each file in alerts/channels and name none of them."""

from __future__ import annotations

import dataclasses
import json
import logging
import socket
import traceback
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from pipeline.errors import DeliveryError
from pipeline.kinds import find, known
from pipeline.retry_after import LONGEST_WAIT_S
from tests.alerts.channels.conftest import Relay, free_port
from tests.alerts.channels.samples import CANARY, NOW, URL, hostile_message, message, secret, settings_of
from tests.hostile import HOSTILE

CHANNELS = [find("alerts.channels", name) for name in known("alerts.channels")]
POSTING = [channel for channel in CHANNELS if channel.USES == "http"]
MAILING = [channel for channel in CHANNELS if channel.USES == "smtp"]

Answer = Callable[[httpx.Request], httpx.Response]


def _name(channel: ModuleType) -> str:
    return channel.__name__.rpartition(".")[2]


every_channel = pytest.mark.parametrize("channel", CHANNELS, ids=_name)
every_posting = pytest.mark.parametrize("channel", POSTING, ids=_name)
every_mailing = pytest.mark.parametrize("channel", MAILING, ids=_name)


def _client(answer: Answer) -> httpx.Client:
    # Following redirects is what a client of others may be set to; a channel must not.
    return httpx.Client(transport=httpx.MockTransport(answer), follow_redirects=True)


def _answering(status: int, **headers: str) -> Answer:
    return lambda _: httpx.Response(status, headers=headers, text=URL)


def _refused(channel: ModuleType, folder: Path, answer: Answer) -> DeliveryError:
    with _client(answer) as client, pytest.raises(DeliveryError) as caught:
        channel.send(message(), settings_of(channel, folder), client, now=lambda: NOW)
    return caught.value


def _printed_by(sending: Callable[[], None]) -> str:
    try:
        sending()
    except DeliveryError as error:
        return _printed(error)
    return ""


def _printed(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + str(error) + repr(error)


@every_channel
def test_a_channel_is_complete(channel: ModuleType) -> None:
    assert channel.__doc__
    assert channel.USES in {"http", "smtp"}
    assert callable(channel.send)
    assert callable(channel.check)


@every_channel
def test_settings_are_frozen_slotted_and_named(channel: ModuleType) -> None:
    parameters = channel.Settings.__dataclass_params__

    assert parameters.frozen
    assert "__slots__" in vars(channel.Settings)
    assert all(field.kw_only for field in dataclasses.fields(channel.Settings))


@every_channel
def test_good_settings_bring_no_complaint(channel: ModuleType, tmp_path: Path) -> None:
    assert channel.check(settings_of(channel, tmp_path)) == []


@every_channel
def test_a_secret_that_is_missing_is_a_complaint_that_names_the_file(channel: ModuleType, tmp_path: Path) -> None:
    settings = settings_of(channel, tmp_path)

    for name in ("url", "password"):
        (tmp_path / name).unlink()

    assert any(str(tmp_path) in complaint for complaint in channel.check(settings))


@every_channel
def test_settings_print_no_secret(channel: ModuleType, tmp_path: Path) -> None:
    settings = settings_of(channel, tmp_path, password=secret(tmp_path, "password", CANARY))

    assert CANARY not in repr(settings) + str(dataclasses.asdict(settings)) + " ".join(channel.check(settings))


@every_posting
@pytest.mark.parametrize("status", [200, 202])
def test_an_accepted_post_returns_quietly(channel: ModuleType, tmp_path: Path, status: int) -> None:
    taken: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        taken.append(request)
        return httpx.Response(status)

    with _client(answer) as client:
        channel.send(message(), settings_of(channel, tmp_path), client)

    (request,) = taken
    assert str(request.url) == URL
    assert request.headers["content-type"] == "application/json"


@every_posting
@pytest.mark.parametrize("status", [301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 410, 413, 422])
def test_a_refusal_for_good_is_not_retried(channel: ModuleType, tmp_path: Path, status: int) -> None:
    error = _refused(
        channel, tmp_path, _answering(status, location="https://elsewhere.example/", **{"retry-after": "5"})
    )

    assert not error.retry
    assert error.after_s is None
    assert str(status) in str(error)


@every_posting
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 529, 599])
def test_a_refusal_for_now_is_retried(channel: ModuleType, tmp_path: Path, status: int) -> None:
    error = _refused(channel, tmp_path, _answering(status))

    assert error.retry
    assert error.after_s is None
    assert str(status) in str(error)


@every_posting
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(channel: ModuleType, tmp_path: Path, status: int) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(status, headers={"location": "https://elsewhere.example/"})

    _refused(channel, tmp_path, answer)

    assert asked == [URL]


@every_posting
@pytest.mark.parametrize(
    ("header", "after_s"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        (format_datetime(NOW + timedelta(minutes=5), usegmt=True), 300.0),
        ("Sat, 02 Jan 2027 04:12:30 +0100", 0.0 + 30),
        (format_datetime(NOW - timedelta(minutes=5), usegmt=True), 0.0),
        ("999999999999999999", LONGEST_WAIT_S),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_WAIT_S),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("²", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_read_in_both_forms(
    channel: ModuleType, tmp_path: Path, status: int, header: str, after_s: float | None
) -> None:
    answer = lambda _: httpx.Response(status, headers=[(b"retry-after", header.encode("latin-1"))])  # noqa: E731

    error = _refused(channel, tmp_path, answer)

    assert error.retry
    assert error.after_s == after_s


@every_posting
@pytest.mark.parametrize(
    "kind", [httpx.ConnectError, httpx.ConnectTimeout, httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError]
)
def test_a_broken_connection_is_retried_and_the_address_stays_secret(
    channel: ModuleType, tmp_path: Path, kind: type[httpx.TransportError]
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise kind(f"while talking to {request.url}")

    error = _refused(channel, tmp_path, answer)

    assert error.retry
    assert kind.__name__ in str(error)
    assert CANARY not in _printed(error)


@every_posting
def test_a_port_where_nobody_listens_is_retried_with_the_reason(channel: ModuleType, tmp_path: Path) -> None:
    settings = settings_of(channel, tmp_path, url=secret(tmp_path, "url", f"http://127.0.0.1:{free_port()}/{CANARY}"))

    with httpx.Client(trust_env=False) as client, pytest.raises(DeliveryError) as caught:
        channel.send(message(), settings, client)

    assert caught.value.retry
    assert "refused" in str(caught.value)
    assert CANARY not in _printed(caught.value)


@every_posting
def test_an_answer_that_never_ends_is_not_waited_for(channel: ModuleType, tmp_path: Path) -> None:
    def endless() -> object:
        while True:
            yield b"x" * 65_536

    with _client(lambda _: httpx.Response(200, content=endless())) as client:  # type: ignore[arg-type]
        channel.send(message(), settings_of(channel, tmp_path), client)


@every_posting
def test_the_timeout_of_the_settings_holds_for_the_request(channel: ModuleType, tmp_path: Path) -> None:
    asked: list[dict[str, float]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.extensions["timeout"])
        return httpx.Response(200)

    with _client(answer) as client:
        channel.send(message(), settings_of(channel, tmp_path, timeout_s=7.5), client)

    assert asked == [{"connect": 7.5, "read": 7.5, "write": 7.5, "pool": 7.5}]


@every_posting
def test_a_server_that_says_nothing_is_given_up_after_the_timeout(channel: ModuleType, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, httpx.Client(trust_env=False) as client:
        url = secret(tmp_path, "url", f"http://127.0.0.1:{mute.getsockname()[1]}/{CANARY}")

        with pytest.raises(DeliveryError) as caught:
            channel.send(message(), settings_of(channel, tmp_path, url=url, timeout_s=0.2), client)

    assert caught.value.retry
    assert "ReadTimeout" in str(caught.value)


@every_posting
@pytest.mark.parametrize(
    "url", [CANARY, f"ftp://h.example/{CANARY}", f"https://h.example:{CANARY}/", f"https:///{CANARY}"]
)
def test_an_address_that_is_none_is_refused_and_not_shown(channel: ModuleType, tmp_path: Path, url: str) -> None:
    settings = settings_of(channel, tmp_path, url=secret(tmp_path, "url", url))

    with _client(_answering(200)) as client, pytest.raises(DeliveryError) as caught:
        channel.send(message(), settings, client)

    assert not caught.value.retry
    assert CANARY not in _printed(caught.value)
    assert channel.check(settings)
    assert CANARY not in " ".join(channel.check(settings))


@every_posting
@pytest.mark.parametrize("status", [200, 302, 400, 410, 429, 500])
def test_the_address_is_in_no_error_and_no_log(
    channel: ModuleType, tmp_path: Path, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    with _client(_answering(status, location=URL)) as client:
        said = _printed_by(lambda: channel.send(message(), settings_of(channel, tmp_path), client))

    assert CANARY not in said
    assert f'logic.azure.com/*** "HTTP/1.1 {status}' in caplog.text
    assert CANARY not in caplog.text


@every_posting
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_leaves_the_request_whole(channel: ModuleType, tmp_path: Path, text: str) -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(202)

    with _client(answer) as client:
        channel.send(hostile_message(text), settings_of(channel, tmp_path), client)
        channel.send(message(), settings_of(channel, tmp_path), client)

    hostile, usual = sent
    assert json.loads(hostile.content).keys() == json.loads(usual.content).keys()
    assert hostile.headers.keys() == usual.headers.keys()


@every_posting
def test_a_payload_stays_under_the_size_that_its_channel_names(channel: ModuleType, tmp_path: Path) -> None:
    largest = getattr(channel, "LARGEST_BYTES", None)
    huge = '\\*"😀' * 50_000
    sizes: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sizes.append(len(request.content))
        return httpx.Response(202)

    with _client(answer) as client:
        giant = message(
            title=huge, summary=f"{huge}\n" * 9, reason=huge, facts=((huge, huge),) * 99, hint=f"# {huge}\n\n{huge}"
        )
        channel.send(giant, settings_of(channel, tmp_path), client)

    assert largest is None or sizes[0] <= largest


@every_mailing
def test_an_accepted_mail_returns_quietly(channel: ModuleType, tmp_path: Path, relay: Relay) -> None:
    channel.send(message(), settings_of(channel, tmp_path, port=relay.port), channel.connect)

    assert len(relay.mails) == 1


def _mail_refused(channel: ModuleType, folder: Path, relay: Relay, place: str, answer: str) -> DeliveryError:
    settings = settings_of(channel, folder, port=relay.port)
    setattr(relay, place, dict.fromkeys(settings.to, answer) if place == "rcpt" else answer)
    with pytest.raises(DeliveryError) as caught:
        channel.send(message(), settings, channel.connect)
    return caught.value


@every_mailing
@pytest.mark.parametrize("answer", ["421 busy", "450 busy", "451 busy", "452 scanner@contoso.example is full"])
@pytest.mark.parametrize("place", ["mail_from", "rcpt", "data"])
def test_a_4xx_is_retried(channel: ModuleType, tmp_path: Path, relay: Relay, place: str, answer: str) -> None:
    error = _mail_refused(channel, tmp_path, relay, place, answer)

    assert error.retry
    assert answer[:3] in str(error)
    assert "contoso.example" not in _printed(error)
    assert relay.mails == []


@every_mailing
@pytest.mark.parametrize("answer", ["500 what?", "550 5.1.1 admin@contoso.example unknown", "552 5.3.4 big", "554 no"])
@pytest.mark.parametrize("place", ["mail_from", "rcpt", "data"])
def test_a_5xx_is_not_retried(channel: ModuleType, tmp_path: Path, relay: Relay, place: str, answer: str) -> None:
    error = _mail_refused(channel, tmp_path, relay, place, answer)

    assert not error.retry
    assert answer[:3] in str(error)
    assert "contoso.example" not in _printed(error)
    assert relay.mails == []


@every_mailing
def test_a_relay_that_is_down_is_retried(channel: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(DeliveryError) as caught:
        channel.send(message(), settings_of(channel, tmp_path, port=free_port()), channel.connect)

    assert caught.value.retry
    assert "refused" in str(caught.value)


@every_mailing
def test_a_relay_that_says_nothing_is_given_up_after_the_timeout(channel: ModuleType, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(DeliveryError) as caught:
        channel.send(
            message(), settings_of(channel, tmp_path, port=mute.getsockname()[1], timeout_s=0.2), channel.connect
        )

    assert caught.value.retry


@every_mailing
def test_a_wrong_password_is_not_retried_and_not_shown(channel: ModuleType, tmp_path: Path, relay: Relay) -> None:
    settings = settings_of(channel, tmp_path, port=relay.port, password=secret(tmp_path, "password", CANARY))

    with pytest.raises(DeliveryError) as caught:
        channel.send(message(), settings, channel.connect)

    assert relay.logins[0] == ("alerts", CANARY)
    assert not caught.value.retry
    assert CANARY not in _printed(caught.value)


@every_mailing
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_leaves_the_mail_whole(channel: ModuleType, tmp_path: Path, relay: Relay, text: str) -> None:
    settings = settings_of(channel, tmp_path, port=relay.port)

    channel.send(hostile_message(text), settings, channel.connect)
    channel.send(message(), settings, channel.connect)

    hostile, usual = relay.mails
    assert hostile.keys() == usual.keys()
    assert [part.get_content_type() for part in hostile.walk()] == [part.get_content_type() for part in usual.walk()]
    assert relay.envelopes[0].rcpt_tos == list(settings.to)
