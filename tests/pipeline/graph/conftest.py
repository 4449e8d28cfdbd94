"""A Graph that answers from a list, on a clock that only waits make go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.clock import Clock
from pipeline.graph.client import Graph
from pipeline.graph.identity import Settings
from pipeline.graph.quota import Quota

NOW = datetime(2026, 12, 31, 12, 0, tzinfo=UTC)
CLIENT = "11111111-2222-4333-8444-555555555555"
SETTINGS = Settings(tenant="contoso.example", client=CLIENT)


@dataclass
class Scripted:
    """Answers requests in turn with what stands in `answers`; the last one stays."""

    folder: Path
    answers: list[Callable[[httpx.Request], httpx.Response]] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    tokens: list[bool] = field(default_factory=list)
    seconds: float = 0.0

    def answer(
        self, status: int = 200, json: Any = None, headers: dict[str, str] | None = None, text: str = ""
    ) -> None:
        """Add an answer."""
        content = {"json": json} if json is not None else {"text": text}
        self.answers.append(lambda _: httpx.Response(status, headers=headers, **content))

    def fail(self, error: type[Exception]) -> None:
        """Add a request that gets no answer."""

        def failing(_: httpx.Request) -> httpx.Response:
            raise error("no answer")

        self.answers.append(failing)

    @property
    def clock(self) -> Clock:
        """The clock: waits make it go."""
        return Clock(lambda: NOW + timedelta(seconds=self.seconds), lambda: self.seconds, self._pass)

    def graph(self, settings: Settings = SETTINGS) -> Graph:
        """Return the client under test."""
        http = httpx.Client(transport=httpx.MockTransport(self._send))
        return Graph(
            settings, http, self._token, Quota(self.folder / "q", "t", self.clock), self.clock, jitter=lambda: 1.0
        )

    def _send(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(request)

    def _token(self, _resource: str, is_refused: bool) -> str:
        self.tokens.append(is_refused)
        return f"token-{len(self.tokens)}"

    def _pass(self, seconds: float) -> bool:
        self.seconds += seconds
        return False


@pytest.fixture
def scripted(tmp_path: Path) -> Scripted:
    return Scripted(tmp_path)
