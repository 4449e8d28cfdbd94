from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.clock import Stopped
from pipeline.errors import SettingsError, SourceError
from pipeline.objects.access import Access, opened
from pipeline.objects.bucket import bucket_of
from pipeline.objects.download import downloads, fetch, local_name
from pipeline.objects.listing import Stored
from pipeline.objects.trouble import ObjectError
from pipeline.rotation import is_rotated
from pipeline.secret import Secret
from tests.hostile import HOSTILE

BUCKET = bucket_of("s3://logs")
AT = datetime(2026, 12, 30, 8, 0, 0, 250_000, tzinfo=UTC)


class Storage:
    """A storage with one object, which may be another than was listed."""

    def __init__(self, body: bytes, size: int) -> None:
        self.body = body
        self.meta = meta(size)

    def get(self, _key: str) -> Any:
        return self

    def stream(self, min_chunk_size: int) -> Iterator[bytes]:
        assert min_chunk_size
        yield self.body


def meta(size: int) -> Any:
    return {"path": "relay/mail.log", "last_modified": AT, "size": size, "e_tag": '"1"', "version": None}


def fetched(folder: Path, body: bytes, size: int, largest: int = 100, *, stop: bool = False) -> Any:
    store: Any = Storage(body, size)
    return fetch(store, BUCKET, Stored.of(meta(1)), folder, largest, lambda: stop)


def test_an_object_comes_into_a_file_of_its_name_and_time(tmp_path: Path) -> None:
    found = fetched(tmp_path, b"one\n", 4)

    assert found.path == tmp_path / "mail.log"
    assert found.path.read_bytes() == b"one\n"
    assert timedelta(0) <= datetime.fromtimestamp(found.path.stat().st_mtime, UTC) - AT < timedelta(milliseconds=1)


def test_an_object_that_has_grown_beyond_the_limit_since_it_was_listed_is_not_fetched(tmp_path: Path) -> None:
    with pytest.raises(ObjectError, match="more than largest_mb"):
        fetched(tmp_path, b"one\n", 101)

    assert list(tmp_path.iterdir()) == []


def test_an_object_that_comes_in_part_is_fetched_again(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="only 4 of 9 bytes came") as raised:
        fetched(tmp_path, b"one\n", 9)

    assert raised.value.retry


def test_a_stop_ends_a_download(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        fetched(tmp_path, b"one\n", 4, stop=True)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(SourceError, match="an object cannot be kept here while it is read: Not a directory"):
        fetched(tmp_path / "file" / "run", b"one\n", 4)
    with (
        pytest.raises(SourceError, match="is where objects are kept while they are read"),
        downloads(tmp_path / "file"),
    ):
        raise AssertionError("there is no folder")


def test_what_another_run_is_reading_is_left_alone(tmp_path: Path) -> None:
    with downloads(tmp_path) as first:
        (first / "mail.log").write_bytes(b"one\n")

        with downloads(tmp_path) as second:
            others = (first / "mail.log").read_bytes()

        assert not second.exists()
        assert others == b"one\n"
    assert not first.exists()


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_name_is_one_that_any_file_may_have(name: str, tmp_path: Path) -> None:
    local = local_name(f"relay/x{HOSTILE[name]}.log.1.gz")

    assert (tmp_path / local).parent == tmp_path
    assert local.isascii()
    assert local.isprintable()
    assert len(local) < 200
    assert local.endswith(".log.1.gz")
    assert is_rotated(local)


def test_a_certificate_that_is_not_there_is_a_matter_of_the_settings(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="'ca_file' cannot be read: No such file"):
        opened(Access(url="s3://logs", ca_file=tmp_path / "ca.pem"))


@pytest.mark.parametrize(
    "wrong", [{"url": "az://logs", "account": "contoso", "account_key": "not base64!"}, {"url": "gs://logs"}]
)
def test_keys_of_no_form_that_is_known_are_said_and_not_shown(
    wrong: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_KEY", wrong.get("account_key", "not json!"))
    name = "account_key" if "account_key" in wrong else "service_account_key"

    with pytest.raises(SettingsError, match="are of no form that the storage knows") as raised:
        opened(Access(**{**wrong, name: Secret("env", "STORE_KEY")}))

    assert "not " not in str(raised.value)
