"""What tests of objects share: an S3 server on loopback, and who stands where the service stands between two pulls."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

from pipeline.clock import Clock
from pipeline.model import Notice, Pull, Pulled
from pipeline.outside import Outside

NOON = datetime(2026, 12, 30, 12, 0, tzinfo=UTC)


def nobody(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"nothing is asked through this client, but {request.url} was")


@dataclass
class Collector:
    """Keeps the position between two pulls, as the JSON that the lake stores; `now` is the time of both."""

    folder: Path
    source: Callable[[Outside], Pull]
    now: datetime = NOON
    is_stopping: bool = False
    position: dict[str, Any] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    pulled: list[Pulled] = field(default_factory=list)

    @property
    def outside(self) -> Outside:
        clock = Clock(lambda: self.now, lambda: 0.0, lambda _seconds: self.is_stopping)
        return Outside(clock, self.folder, httpx.Client(transport=httpx.MockTransport(nobody)))

    def pulls(self) -> Iterator[Pulled | Notice]:
        """Yield what a pull brings, and keep the position behind each piece, so that it may be left at any place."""
        outside = self.outside
        with outside.http:
            for found in self.source(outside)(self.position):
                if isinstance(found, Pulled):
                    self.position = json.loads(json.dumps(found.position))
                yield found

    def pull(self) -> bytes:
        """Return the bytes that are new, all objects together in the order in which they came."""
        self.notices, self.pulled = [], []
        for found in self.pulls():
            if isinstance(found, Notice):
                self.notices.append(found)
            else:
                self.pulled.append(found)
        return b"".join(found.chunk.body for found in self.pulled)

    @property
    def origins(self) -> list[str]:
        return [found.chunk.origin for found in self.pulled if found.chunk.body]

    @property
    def sentences(self) -> str:
        return "\n".join(f"{notice.origin} {notice.sentence}" for notice in self.notices)


@contextmanager
def s3_server() -> Iterator[str]:
    """Run moto's S3 server on a free port of loopback; yield its address."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@dataclass(frozen=True)
class Bucket:
    """A bucket of that server, filled from within, because only so an object gets a time or a name of our choice."""

    endpoint: str
    name: str = "logs"

    def put(self, key: str, body: bytes, ago: timedelta = timedelta(hours=1)) -> None:
        """Store `body`, last written so long before NOON."""
        stored = self._backend.put_object(self.name, key, body)
        stored.last_modified = (NOON - ago).replace(tzinfo=None)

    def delete(self, key: str) -> None:
        self._backend.delete_object(self.name, key)

    def settings(self, **changes: Any) -> Mapping[str, Any]:
        """Return what the settings file would say of this bucket."""
        usual = {
            "url": f"s3://{self.name}",
            "endpoint": self.endpoint,
            "region": "us-east-1",
            "access_key_id": "AKIAEXAMPLE",
            "secret_access_key": {"env": "OBJECT_STORE_SECRET"},
            "zone": "UTC",
        }
        return usual | changes

    @property
    def _backend(self) -> Any:
        return s3_backends["123456789012"]["aws"]

    def __enter__(self) -> Bucket:
        self._backend.create_bucket(self.name, "us-east-1")
        return self

    def __exit__(self, *_: object) -> None:
        self._backend.reset()
