"""What the feeds of Graph share: a page of records, and how far back they go."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from pipeline.graph.client import Graph, UnavailableError
from pipeline.spans import span_of
from pipeline.windowed import Page


def page_of(graph: Graph, address: str, permission: str, params: Mapping[str, str] | None, *, prefer: str = "") -> Page:
    """Return one page of records; raise UnavailableError for an answer that is none, and as `Graph.page` does."""
    answer = graph.page(address, permission, params=params, prefer=prefer)
    if not isinstance(answer.values.get("value"), list):
        raise UnavailableError("Microsoft Graph answered with JSON that is no page of records", retry=True)
    return Page(answer.body, answer.next_link, answer.asked_at)


def start_complaints(start: str, history: timedelta) -> list[str]:
    """Return what is wrong with how far back a first read goes."""
    try:
        span = span_of(start)
    except ValueError as error:
        return [f"'start': {error}"]
    if not timedelta(0) < span <= history:
        return [f"'start' is {start!r}; Microsoft keeps {history.days} days, so give up to '{history.days}d'"]
    return []
