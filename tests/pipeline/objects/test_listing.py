from __future__ import annotations

import pytest

from pipeline.objects.bucket import is_key
from pipeline.objects.listing import behind_broken


@pytest.mark.parametrize(
    ("name", "behind"),
    [
        ("a//b", "a/0"),
        ("a/b//", "a/b/0"),
        ("../up", "..0"),
        ("a/../b", "a/..0"),
        ("a/./b", "a/.0"),
        ("a/..", "a/.. "),
        (".", ". "),
        ("/rooted//x", "0"),
        ("new\nline/../x", "new "),
        ("esc\x1b[31m", "esc "),
        ("delete\x7f", "delete\x80"),
    ],
)
def test_the_listing_goes_on_behind_all_that_is_broken_in_the_same_way(name: str, behind: str) -> None:
    found = behind_broken(name)

    assert found == behind
    assert found > name
    assert is_key(found)


@pytest.mark.parametrize("name", ["a/b", "a/...", "a/..b", "..a", "ü/日本.log", " "])
def test_a_name_that_can_be_asked_for_breaks_nothing(name: str) -> None:
    assert behind_broken(name) is None
    assert is_key(name)
