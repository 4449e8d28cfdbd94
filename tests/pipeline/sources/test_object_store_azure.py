"""Azure's own emulator, a real server on loopback: append blobs, which S3 does not have, and each way to log in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import shutil
import subprocess
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest

from pipeline.errors import SourceError
from pipeline.sources.object_store import check, pull_of
from tests.pipeline.objects.storage import Collector
from tests.pipeline.sources.test_object_store import settings_of, sign_ins

pytestmark = pytest.mark.system

PROGRAM = "azurite-blob"
ACCOUNT = "devstoreaccount1"
# Azurite's own, which its manual prints: the same for everybody.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class Azure:
    """The emulator's account, written to with a token of the account."""

    endpoint: str

    def put(self, path: str, body: bytes = b"", **headers: str) -> None:
        address, _, query = path.partition("?")
        url = f"{self.endpoint}/{quote(address)}?{query}&{token('rwlac')}"
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        httpx.put(url, content=body, headers={"x-ms-version": "2021-12-02"} | sent).raise_for_status()

    def append(self, path: str, body: bytes) -> None:
        self.put(f"{path}?comp=appendblock", body)


def token(permissions: str, until: timedelta = timedelta(hours=1)) -> str:
    """Return a shared access signature for the account, as Azure's reference says that it is made."""
    expiry = (datetime.now(UTC) + until).strftime("%Y-%m-%dT%H:%M:%SZ")
    fields = [ACCOUNT, permissions, "b", "sco", "", expiry, "", "https,http", "2021-12-02", "", ""]
    digest = hmac.digest(base64.b64decode(KEY), "\n".join(fields).encode(), hashlib.sha256)
    values = {"sv": "2021-12-02", "ss": "b", "srt": "sco", "sp": permissions, "se": expiry, "spr": "https,http"}
    return urlencode(values | {"sig": base64.b64encode(digest).decode()})


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azure]:
    program = shutil.which(PROGRAM)
    if program is None:
        pytest.skip(f"{PROGRAM} is missing: npm install --global azurite")
    options = ["--inMemoryPersistence", "--blobHost", "127.0.0.1", "--blobPort", "0", "--skipApiVersionCheck"]
    folder = tmp_path_factory.mktemp("azurite")
    with subprocess.Popen(
        [program, *options, "--disableTelemetry", "--silent"], cwd=folder, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        listens = (re.search(r"listens on (http://\S+)", line) for line in server.stdout)
        address = next(match[1] for match in listens if match)
        made = Azure(f"{address}/{ACCOUNT}")
        made.put("logs?restype=container")
        yield made
        server.terminate()


@pytest.fixture
def collector(azure: Azure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AZURE_KEY", KEY)

    def made(**changes: Any) -> Collector:
        usual = {"url": "az://logs", "account": ACCOUNT, "endpoint": azure.endpoint, "zone": "UTC"}
        settings = settings_of(usual | (changes or {"account_key": {"env": "AZURE_KEY"}}))
        assert check(settings) == []
        return Collector(tmp_path / "state", partial(pull_of, settings), now=datetime.now(UTC))

    return made


def test_an_append_blob_that_grows_within_its_hour_is_read_on(azure: Azure, collector: Any) -> None:
    blob = "logs/insights/tenantId=t/y=2026/m=12/d=30/h=10/m=00/PT1H.json"
    azure.put(blob, x_ms_blob_type="AppendBlob")
    azure.append(blob, sign_ins(0, 2))
    collects = collector(url="az://logs/insights", account_key={"env": "AZURE_KEY"})
    first = collects.pull()
    azure.append(blob, sign_ins(2, 5))

    second = collects.pull()
    third = collects.pull()

    assert (first, second, third) == (sign_ins(0, 2), sign_ins(2, 5), b"")
    assert collects.notices == []


def test_names_are_asked_for_as_they_are_listed(azure: Azure, collector: Any) -> None:
    names = ["names/übung 日本.json", "names/a%2Fb.json", "names/q?x#y&z.json"]
    for number, name in enumerate(names):
        azure.put(f"logs/{name}".replace("?", "%3F"), sign_ins(number, number + 1), x_ms_blob_type="BlockBlob")
    collects = collector(url="az://logs/names", account_key={"env": "AZURE_KEY"})

    body = collects.pull()

    assert body.count(b"\n") == 3
    assert collects.notices == []


def test_a_token_that_may_read_and_list_is_enough(
    azure: Azure, collector: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    azure.put("logs/sas/PT1H.json", sign_ins(0, 1), x_ms_blob_type="BlockBlob")
    monkeypatch.setenv("AZURE_TOKEN", f"?{token('rl')}")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", base64.b64encode(b"of something else").decode())

    body = collector(url="az://logs/sas", sas_token={"env": "AZURE_TOKEN"}).pull()

    assert body == sign_ins(0, 1)


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (lambda: token("rl", -timedelta(hours=1)), r"\(the answer was 403 Auth"),
        (lambda: token("r"), "the role Storage Blob Data Reader"),
        (lambda: token("rl").replace("sig=", "sig=x"), r"\(the answer was 403 Auth"),
    ],
    ids=["expired", "may not list", "altered"],
)
def test_a_token_that_does_not_work_is_said_and_never_shown(
    made: Any, sentence: str, collector: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = made()
    monkeypatch.setenv("AZURE_TOKEN", bad)
    collects = collector(sas_token={"env": "AZURE_TOKEN"})

    with pytest.raises(SourceError, match=sentence) as raised:
        collects.pull()

    assert bad.partition("sig=")[2] not in "".join(traceback.format_exception(raised.value))


def test_a_wrong_key_and_a_missing_container_are_said(collector: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WRONG_KEY", base64.b64encode(b"wrong").decode())

    with pytest.raises(SourceError, match=r"403 AuthorizationFailure|403 AuthenticationFailed"):
        collector(account_key={"env": "WRONG_KEY"}).pull()
    with pytest.raises(SourceError, match="there is no such bucket"):
        collector(url="az://nowhere", account_key={"env": "AZURE_KEY"}).pull()
