"""
Message traces of Exchange Online, through Microsoft Graph: what got in, for volumes and for senders that fall silent.

A windowed source. A trace shows no refusal and no protocol. The service wants both ends of the span, in whole seconds
and counted in; ten days at most and ninety back; 5,000 traces a page; 100 requests in five minutes. It answers 401
until the tenant has a service principal for Microsoft's own backend application. Its filter silently ignores `or`, so
nothing but the span is filtered there. There is no time of last change: rows come late and their status changes, so
each span is read again at growing ages (`pipeline/passes.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from pipeline.graph.client import Graph
from pipeline.graph.feeds import page_of, start_complaints
from pipeline.model import Pull, Window
from pipeline.outside import Outside
from pipeline.spans import span_of
from pipeline.windowed import Feed, backfill_of
from pipeline.windowed import pull_of as pull_feeds

EVERY = timedelta(minutes=5)
USES = "microsoft"
PERMISSIONS = ("ExchangeMessageTrace.Read.All",)
PATH = "/v1.0/admin/exchange/tracing/messageTraces"
LONGEST = timedelta(days=10)
HISTORY = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How far back the first read goes ('7d'; up to 90d, or use `ingest --since`), and traces a page."""

    start: str = "7d"
    page_size: int = 5000


def check(settings: Settings) -> list[str]:
    """Return what is wrong with `settings`, as sentences; nothing is asked."""
    complaints = start_complaints(settings.start, HISTORY)
    if not 1 <= settings.page_size <= 5000:
        complaints.append(f"'page_size' is {settings.page_size}; Microsoft takes 1 to 5000")
    return complaints


def pull_of(settings: Settings, outside: Outside) -> Pull:
    """Return what reads all traces since `start`, again and again as they age."""
    feeds = [_feed(settings, outside.graph())]
    return pull_feeds(feeds, span_of(settings.start), outside.clock.is_stopped)


def backfill(settings: Settings, outside: Outside, window: Window) -> Pull:
    """Return what reads the traces of `window` once."""
    feeds = [_feed(settings, outside.graph(is_backfill=True))]
    return backfill_of(feeds, window, outside.clock.is_stopped)


def _feed(settings: Settings, graph: Graph) -> Feed:
    return Feed(
        name="message traces",
        format="graph_message_trace",
        table="traces",
        origin=f"graph:{graph.settings.tenant}/messageTraces",
        page=lambda window, link: page_of(
            graph,
            link or PATH,
            PERMISSIONS[0],
            {"$filter": _filter(window), "$top": str(settings.page_size)} if link is None else None,
            prefer="include-unknown-enum-members",
        ),
        now=graph.now,
        longest=LONGEST,
        history=HISTORY,
    )


def _filter(window: Window) -> str:
    return (
        f"receivedDateTime ge {window.start:%Y-%m-%dT%H:%M:%SZ} and receivedDateTime le {window.end:%Y-%m-%dT%H:%M:%SZ}"
    )
