"""Let a source end between two chunks when the service is asked to stop: what it has yielded is kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.clock import Stopped
from pipeline.model import Notice, Pull, Pulled


def until_stopped(pull: Pull, stop: threading.Event) -> Pull:
    """Return `pull` so that it raises Stopped once `stop` is set, instead of looking for more."""

    def pull_on(position: Mapping[str, Any]) -> Iterator[Pulled | Notice]:
        for found in pull(position):
            yield found
            if stop.is_set():
                raise Stopped

    return pull_on
