from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from alerts.channels.webhook import Settings, check, payload, send, signed
from alerts.message import Message
from pipeline.errors import SettingsError
from pipeline.secret import Secret
from tests.alerts.channels.samples import NOW, URL, message, secret
from tests.hostile import HOSTILE

OLD = "whsec_" + base64.b64encode(b"old key, at least 24 bytes").decode()
NEW = "whsec_" + base64.b64encode(b"new key, at least 24 bytes").decode()


def _sent(folder: Path, *secrets: str, of: Message | None = None, now: datetime | None = None) -> httpx.Request:
    taken: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        taken.append(request)
        return httpx.Response(204)

    places = tuple(secret(folder, f"secret{number}", text) for number, text in enumerate(secrets))
    settings = Settings(url=secret(folder, "url", URL), secrets=places)
    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        send(of or message(), settings, client, now=lambda: now or datetime.now(UTC))
    return taken[0]


def test_the_published_library_verifies_our_signature(tmp_path: Path) -> None:
    request = _sent(tmp_path, NEW)

    assert Webhook(NEW).verify(request.content, dict(request.headers)) == payload(message())


def test_a_receiver_with_either_secret_verifies_while_they_are_changed(tmp_path: Path) -> None:
    request = _sent(tmp_path, NEW, OLD)

    assert Webhook(OLD).verify(request.content, dict(request.headers))
    assert Webhook(NEW).verify(request.content, dict(request.headers))


def test_a_body_that_was_changed_on_the_way_is_not_verified(tmp_path: Path) -> None:
    request = _sent(tmp_path, NEW)

    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(request.content.replace(b"41", b"42"), dict(request.headers))


def test_the_signature_is_the_one_of_the_specification(tmp_path: Path) -> None:
    key = base64.b64decode(NEW.removeprefix("whsec_"))
    body = b'{"a":"\xc3\xa4"}'

    headers = signed("msg_1", body, (secret(tmp_path, "key", NEW),), datetime(2027, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC))

    digest = hmac.new(key, b"msg_1.1798859045." + body, hashlib.sha256).digest()
    assert headers == {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1798859045",
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


def test_a_clock_in_another_zone_signs_the_same_moment(tmp_path: Path) -> None:
    tokyo = NOW.astimezone(timezone(timedelta(hours=9)))
    key = (secret(tmp_path, "key", NEW),)

    assert signed("msg_1", b"{}", key, tokyo) == signed("msg_1", b"{}", key, NOW)


def test_a_retry_has_the_same_id_and_its_own_time(tmp_path: Path) -> None:
    first = _sent(tmp_path, NEW, now=NOW)
    second = _sent(tmp_path, NEW, now=NOW + timedelta(hours=1))

    assert first.headers["webhook-id"] == second.headers["webhook-id"] == message().id
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 3600


def test_nothing_is_signed_without_a_secret(tmp_path: Path) -> None:
    request = _sent(tmp_path)

    assert "webhook-signature" not in request.headers
    assert request.headers["webhook-id"] == message().id


def test_the_whole_message_can_be_read_back(tmp_path: Path) -> None:
    body = json.loads(_sent(tmp_path).content)

    assert body["type"] == "authsunset.message"
    assert body["timestamp"] == "2027-01-02T03:12:00+00:00"
    assert Message.from_json(body["data"]) == message()


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_arrives_as_it_was(tmp_path: Path, text: str) -> None:
    request = _sent(tmp_path, NEW, of=message(title=text))

    expected = text.encode("utf-8", "replace").decode()
    assert Webhook(NEW).verify(request.content, dict(request.headers))["data"]["title"] == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("whsec_" + base64.b64encode(b"short").decode(), "24 to 64 random bytes"),
        ("whsec_" + base64.b64encode(b"x" * 65).decode(), "24 to 64 random bytes"),
        ("whsec_not base64 at all, though long enough", "is not base64"),
        ("whsec_ümlaut", "is not base64"),
        (NEW[:12] + "!" + NEW[12:], "is not base64"),
        (NEW.removeprefix("whsec_"), "whsec_"),
    ],
)
def test_a_secret_that_does_not_fit_is_refused_and_not_shown(tmp_path: Path, text: str, complaint: str) -> None:
    settings = Settings(url=secret(tmp_path, "url", URL), secrets=(secret(tmp_path, "key", text),))

    (found,) = check(settings)

    assert complaint in found
    assert str(tmp_path / "key") in found
    assert text not in found
    with pytest.raises(SettingsError):
        signed("msg_1", b"{}", settings.secrets, NOW)


def test_every_problem_is_named_at_once() -> None:
    settings = Settings(url=Secret("env", "NO_SUCH_1"), secrets=(Secret("env", "NO_SUCH_2"),), timeout_s=0)

    assert len(check(settings)) == 3


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.contoso.example/x",
        "http://8.8.8.8/x",
        "http://[2606:4700::1111]/x",
        "https://user:pass@hooks.contoso.example/x",
        "https://hooks.contoso.example/x\nhttps://hooks.contoso.example/y",
        "https://[broken/x",
        "https://hooks.contoso.example:99999/x",
        "hooks.contoso.example/x",
        "//hooks.contoso.example/x",
    ],
)
def test_an_address_that_is_wrong_or_open_to_readers_is_a_complaint(tmp_path: Path, url: str) -> None:
    (complaint,) = check(Settings(url=secret(tmp_path, "url", url)))

    assert "hooks.contoso.example/x" not in complaint
    assert "pass@" not in complaint


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.contoso.example/x?y=1",
        "http://127.0.0.1:8080/x",
        "http://[::1]/x",
        "http://10.1.2.3/x",
        "http://collector/x",
        "http://siem.corp.internal/x",
    ],
)
def test_https_anywhere_and_http_at_home_are_fine(tmp_path: Path, url: str) -> None:
    assert check(Settings(url=secret(tmp_path, "url", url))) == []
