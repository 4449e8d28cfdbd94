"""
Sign-ins of Entra ID, through Microsoft Graph: who still logs in with Basic authentication, by SMTP and from where.

A windowed source. It needs an Entra ID P1 or P2 licence, and goes back 30 days. Only the beta version tells the user
agent and the protocol, and without a filter it lists the interactive ones alone; SMTP log-ins stand in either, so both
kinds are read, each as a feed of its own. After the cutover a refused Basic log-in most likely leaves no sign-in at
all: what counts is that the successes stop.
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

EVERY = timedelta(minutes=10)
USES = "microsoft"
PERMISSIONS = ("AuditLog.Read.All",)
PATH = "/beta/auditLogs/signIns"
LONGEST = timedelta(days=7)
HISTORY = timedelta(days=30)
KINDS = ("interactiveUser", "nonInteractiveUser")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How far back the first read goes ('7d'; up to 30d), which kinds of sign-ins are read, and sign-ins a page."""

    start: str = "7d"
    kinds: tuple[str, ...] = KINDS
    page_size: int = 1000


def check(settings: Settings) -> list[str]:
    """Return what is wrong with `settings`, as sentences; nothing is asked."""
    complaints = start_complaints(settings.start, HISTORY)
    if not 1 <= settings.page_size <= 1000:
        complaints.append(f"'page_size' is {settings.page_size}; Microsoft takes 1 to 1000")
    if unknown := [kind for kind in settings.kinds if kind not in KINDS]:
        complaints.append(f"'kinds' has {', '.join(map(repr, unknown))}; there is {' and '.join(KINDS)}")
    if not settings.kinds:
        complaints.append(f"'kinds' is empty; name {' and '.join(KINDS)}, or leave it out")
    return complaints


def pull_of(settings: Settings, outside: Outside) -> Pull:
    """Return what reads all sign-ins since `start`, again as they age."""
    graph = outside.graph()
    feeds = [_feed(settings, graph, kind) for kind in settings.kinds]
    return pull_feeds(feeds, span_of(settings.start), outside.clock.is_stopped)


def backfill(settings: Settings, outside: Outside, window: Window) -> Pull:
    """Return what reads the sign-ins of `window` once."""
    graph = outside.graph(is_backfill=True)
    feeds = [_feed(settings, graph, kind) for kind in settings.kinds]
    return backfill_of(feeds, window, outside.clock.is_stopped)


def _feed(settings: Settings, graph: Graph, kind: str) -> Feed:
    return Feed(
        name=f"{kind} sign-ins",
        format="entra_signins",
        table="signins",
        origin=f"graph:{graph.settings.tenant}/signIns/{kind}",
        page=lambda window, link: page_of(
            graph,
            link or PATH,
            PERMISSIONS[0],
            {"$filter": _filter(window, kind), "$top": str(settings.page_size)} if link is None else None,
            prefer="include-unknown-enum-members",
        ),
        now=graph.now,
        longest=LONGEST,
        history=HISTORY,
    )


def _filter(window: Window, kind: str) -> str:
    span = (
        f"createdDateTime ge {window.start:%Y-%m-%dT%H:%M:%SZ} and createdDateTime le {window.end:%Y-%m-%dT%H:%M:%SZ}"
    )
    return f"{span} and signInEventTypes/any(t: t eq '{kind}')"
