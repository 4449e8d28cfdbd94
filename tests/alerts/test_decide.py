"""When to speak, as a table: each row is a night at the screen."""

from __future__ import annotations

from datetime import timedelta

import pytest

from alerts.decide import Reason, Sent, decide
from tests.conftest import NOW

DAY = timedelta(days=1)
A, B = frozenset({"a"}), frozenset({"a", "b"})
NOTHING: frozenset[str] = frozenset()


def said(firing: frozenset[str], ago: timedelta = timedelta(hours=1), reason: Reason = Reason.NEW) -> Sent:
    return Sent(firing, NOW - ago, reason)


@pytest.mark.parametrize(
    ("firing", "last", "reason"),
    [
        pytest.param(NOTHING, None, None, id="nothing fires and nothing was said"),
        pytest.param(A, None, Reason.NEW, id="a first finding is new"),
        pytest.param(A, said(A), None, id="the same finding an hour later is no news"),
        pytest.param(B, said(A), Reason.GREW, id="a second finding about the same sender is more of it"),
        pytest.param(A, said(B), None, id="one of two findings less is no news while the other goes on"),
        pytest.param(A, said(A, ago=DAY), Reason.REMINDER, id="a day later it is said again"),
        pytest.param(A, said(A, ago=DAY - timedelta(seconds=1)), None, id="but not a second earlier"),
        pytest.param(NOTHING, said(A), Reason.RESOLVED, id="when nothing fires any more it is over"),
        pytest.param(NOTHING, said(A, reason=Reason.RESOLVED), None, id="over is said once"),
        pytest.param(A, said(NOTHING, reason=Reason.RESOLVED), Reason.NEW, id="what comes back after its end is new"),
        pytest.param(frozenset({"b"}), said(A), Reason.GREW, id="another episode of the same finding is news"),
    ],
)
def test_decision(firing: frozenset[str], last: Sent | None, reason: Reason | None) -> None:
    assert decide(firing, last, NOW, DAY) == reason
