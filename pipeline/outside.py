"""What a source may use of the world outside: the clock, a network, a folder. All of it is handed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from pipeline.clock import Clock
from pipeline.errors import SettingsError

if TYPE_CHECKING:  # who reads files only need not load what logs in at Microsoft
    from pipeline.graph.client import Graph


@dataclass(frozen=True, slots=True)
class Outside:
    """
    `folder` takes small things that are no evidence, such as a count of requests or a download that is being read.

    `microsoft` makes a client for the tenant in [microsoft], with its share of the quota for a backfill or without.
    """

    clock: Clock
    folder: Path
    http: httpx.Client
    microsoft: Callable[[bool], Graph] | None = None

    def graph(self, *, is_backfill: bool = False) -> Graph:
        """Return a client of Microsoft Graph; raise SettingsError when the settings name no tenant."""
        if self.microsoft is None:
            raise SettingsError("this source needs a table [microsoft] with tenant, client and a certificate or secret")
        return self.microsoft(is_backfill)
