from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from obstore.store import AzureStore, GCSStore, S3Store

from pipeline.errors import SourceError
from pipeline.objects.bucket import bucket_of
from pipeline.objects.trouble import NotThereError, ObjectError, RefusedError, told

SIGNATURE = "sv=2026&sig=c2VjcmV0c2VjcmV0"


class Refusing(BaseHTTPRequestHandler):
    """Answers each request with what the server was told."""

    protocol_version = "HTTP/1.1"
    answer: tuple[int, str] = (200, "")

    def do_GET(self) -> None:
        status, body = type(self).answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing on stderr."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=partial(server.serve_forever, 0.01))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def xml(code: str, message: str = "no", more: str = "") -> str:
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>'


def s3(address: str) -> S3Store:
    keys: Any = {"access_key_id": "AKIAEXAMPLE", "secret_access_key": "x", "token": None, "expires_at": None}
    return S3Store(
        "logs",
        config={"endpoint": address, "region": "us-east-1"},
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
        credential_provider=lambda: keys,
    )


def azure(address: str) -> AzureStore:
    return AzureStore(
        "logs",
        config={"account_name": "contoso", "endpoint": f"{address}/contoso", "sas_key": SIGNATURE},
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )


def google(address: str) -> GCSStore:
    return GCSStore(
        "logs",
        config={"base_url": address, "skip_signature": True},
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )


STORES = {"s3": (s3, "s3://logs"), "az": (azure, "az://logs"), "gs": (google, "gs://logs")}


def refused(address: str, cloud: str, key: str | None, status: int, body: str) -> SourceError:
    """Return what is raised when the storage answers like this to a listing, or to a request for `key`."""
    store_of, url = STORES[cloud]
    store, bucket = store_of(address), bucket_of(url)
    Refusing.answer = (status, body)
    try:
        with told(bucket, key):
            store.list().collect() if key is None else store.get(key).bytes()
    except SourceError as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("cloud", "status", "body", "sentence"),
    [
        ("s3", 404, xml("NoSuchBucket"), "there is no such bucket"),
        ("s3", 403, xml("RequestTimeTooSkewed"), "this machine's clock is wrong by minutes"),
        ("s3", 403, xml("InvalidAccessKeyId"), "does not know the access key"),
        ("s3", 403, xml("SignatureDoesNotMatch"), "the secret does not belong to the access key"),
        ("s3", 400, xml("ExpiredToken"), "the session token has expired"),
        ("s3", 403, xml("AccessDenied"), "the log-in may not read here; grant listing and reading: s3:ListBucket"),
        ("s3", 503, xml("SlowDown"), "asks for fewer requests"),
        ("s3", 500, xml("InternalError"), "the storage is out of order"),
        ("s3", 301, xml("PermanentRedirect"), "lies in another region; set 'region' to its own"),
        (
            "s3",
            400,
            xml("AuthorizationHeaderMalformed", "wrong", "<Region>eu-central-1</Region>"),
            'set region = "eu-central-1"',
        ),
        (
            "s3",
            400,
            xml("AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong; expecting 'eu-west-3'"),
            'set region = "eu-west-3"',
        ),
        ("s3", 418, "", "the storage's answer is not known (the answer was 418)"),
        ("s3", 403, "", "the log-in may not read here"),
        ("az", 404, xml("ContainerNotFound"), "there is no such bucket"),
        ("az", 403, xml("AuthorizationPermissionMismatch"), "the role Storage Blob Data Reader"),
        ("az", 403, xml("AuthorizationFailure"), "the storage's firewall"),
        ("az", 403, xml("KeyBasedAuthenticationNotPermitted"), "takes no account keys"),
        (
            "az",
            403,
            xml("AuthenticationFailed", "no", "<AuthenticationErrorDetail>Request date header too old: 'Wed'"),
            "this machine's clock",
        ),
        (
            "az",
            403,
            xml(
                "AuthenticationFailed",
                "no",
                "<AuthenticationErrorDetail>Signature not valid in the specified time frame",
            ),
            "the SAS token has expired",
        ),
        (
            "az",
            403,
            xml("AuthenticationFailed", "no", "<AuthenticationErrorDetail>Signature did not match. String to sign"),
            "the secret does not belong",
        ),
        ("az", 503, xml("ServerBusy"), "asks for fewer requests"),
        ("gs", 404, xml("NoSuchBucket"), "there is no such bucket"),
        ("gs", 401, xml("AuthenticationRequired"), "the log-in was not accepted"),
        ("gs", 429, "", "asks for fewer requests"),
    ],
)
def test_each_refusal_of_a_bucket_is_a_sentence(
    cloud: str, status: int, body: str, sentence: str, address: str
) -> None:
    error = refused(address, cloud, None, status, body)

    assert sentence in str(error)
    assert str(error).startswith(f"{STORES[cloud][1]}: ")
    assert not isinstance(error, ObjectError)
    assert not re.search("sig=|127.0.0.1|AKIA", str(error))
    assert error.__cause__ is None


@pytest.mark.parametrize(
    ("cloud", "status", "body", "kind", "sentence"),
    [
        ("s3", 404, xml("NoSuchKey"), NotThereError, "nothing under that name"),
        ("s3", 403, xml("AccessDenied"), RefusedError, "may not read here"),
        ("s3", 403, xml("InvalidObjectState"), ObjectError, "lies in an archive"),
        ("s3", 400, xml("KMS.DisabledException"), RefusedError, "grant kms:Decrypt"),
        ("az", 404, xml("BlobNotFound"), NotThereError, "nothing under that name"),
        ("az", 409, xml("BlobArchived"), ObjectError, "lies in an archive"),
        ("gs", 404, xml("NoSuchKey"), NotThereError, "nothing under that name"),
    ],
)
def test_an_object_that_alone_is_in_trouble_is_told_apart(
    cloud: str, status: int, body: str, kind: type[ObjectError], sentence: str, address: str
) -> None:
    error = refused(address, cloud, "relay/mail.log", status, body)

    assert type(error) is kind
    assert sentence in error.sentence
    assert str(error.place) == f"{STORES[cloud][1]}/relay/mail.log"


@pytest.mark.parametrize(
    "key",
    ["RequestTimeTooSkewed", "<Code>NoSuchBucket</Code>", 'x", source: <Code>SlowDown</Code>', "status: 503 timed out"],
)
def test_a_name_chosen_by_a_stranger_means_nothing(key: str, address: str) -> None:
    error = refused(address, "s3", key, 404, xml("NoSuchKey", more=f"<Key>{key.replace('<', '&lt;')}</Key>"))

    assert type(error) is NotThereError


def test_what_may_help_to_try_again_says_so(address: str) -> None:
    busy = refused(address, "s3", None, 503, xml("SlowDown"))
    denied = refused(address, "s3", None, 403, xml("AccessDenied"))

    assert (busy.retry, denied.retry) == (True, False)


def test_a_name_that_is_not_found_and_a_refused_connection_are_told_apart() -> None:
    bucket = bucket_of("s3://logs")
    with pytest.raises(SourceError, match="no answer at the storage's address"), told(bucket):
        s3("http://127.0.0.1:9").list().collect()
    with pytest.raises(SourceError, match="cannot be resolved"), told(bucket):
        s3("http://storage.invalid").list().collect()
