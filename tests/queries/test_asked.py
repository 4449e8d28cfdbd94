"""What is told of each detection as it was asked last."""

from __future__ import annotations

from pipeline.lake import Lake
from queries.asked import last_asked
from tests.conftest import NOW


def test_a_cursor_is_read_however_much_it_tells(lake: Lake) -> None:
    states = {
        "a/new": f'{{"snapshot": 4, "state": "nodata", "asked_at": "{NOW.isoformat()}", "because": "no traces"}}',
        "a/old": '{"snapshot": 4}',
        "a/odd": "no JSON",
        "a/none": None,
        "a/list": "[4]",
    }
    with lake.writing():
        lake.insert(
            "cursors", [{"name": f"detection {id}", "state": each, "updated_at": NOW} for id, each in states.items()]
        )
        lake.insert("cursors", [{"name": "source relay", "state": "4", "updated_at": NOW}])

    found = last_asked(lake)

    assert found.keys() == states.keys()
    assert (found["a/new"].state, found["a/new"].because) == ("nodata", "no traces")
    assert {each.state for id, each in found.items() if id != "a/new"} == {"ok"}
    assert {each.asked_at for each in found.values()} == {NOW}
