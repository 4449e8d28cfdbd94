"""Which files are parts of one log, and in which order they were written."""

from __future__ import annotations

import random

import pytest

from pipeline.rotation import is_rotated, log_of, oldest_first

OLDEST_FIRST = [
    ["mail.log.10.gz", "mail.log.2.gz", "mail.log.1", "mail.log"],
    ["mail.log-20261121.gz", "mail.log-20261122", "mail.log"],
    ["mail.log-2026-11-21.gz", "mail.log-2026-11-22", "mail.log"],
    ["mail.log-2026112106.gz", "mail.log-2026112118", "mail.log"],
    ["maillog.20261121-235959.gz", "maillog.20261123-182422.gz", "maillog"],
    ["SEND2026112309-1.LOG", "SEND2026112310-1.LOG", "SEND2026112310-2.LOG", "SEND2026112310-10.LOG"],
    ["RECV20261122-1.LOG", "RECV20261123-1.LOG"],
]


@pytest.mark.parametrize("parts", OLDEST_FIRST, ids=lambda parts: str(parts[0]))
def test_the_parts_of_a_log_are_one_log_and_the_oldest_comes_first(parts: list[str]) -> None:
    paths = [f"/var/log/{part}" for part in parts]
    shuffled = random.Random(7).sample(paths, len(paths))  # noqa: S311 - an order, not a secret

    assert oldest_first(shuffled) == paths
    assert len({log_of(path) for path in paths}) == 1


def test_logs_of_other_names_and_folders_are_other_logs() -> None:
    paths = [
        "a/mail.log",
        "a/mail.err",
        "b/mail.log",
        "a/mail.iso.log",
        "a/SEND2026112309-1.LOG",
        "a/RECV2026112309-1.LOG",
    ]

    assert len({log_of(path) for path in paths}) == len(paths)


def test_the_parts_of_several_logs_stay_together() -> None:
    paths = ["b/mail.log", "a/mail.log", "b/mail.log.1", "a/mail.log.1.gz"]

    assert oldest_first(paths) == ["a/mail.log.1.gz", "a/mail.log", "b/mail.log.1", "b/mail.log"]


@pytest.mark.parametrize(
    "path",
    ["mail.log.1", "mail.log.2.gz", "mail.log.gz", "mail.log.3.ZST", "mail.log-20261121", "x/maillog.20261123-182422"],
)
def test_a_part_that_was_put_aside_is_rotated(path: str) -> None:
    assert is_rotated(path)


@pytest.mark.parametrize(
    "path", ["mail.log", "x.1/mail.log", "SEND2026112309-1.LOG", "report-2026.csv", "maillog", "mail-v1.log"]
)
def test_a_part_that_may_still_grow_is_not(path: str) -> None:
    assert not is_rotated(path)


def test_a_name_that_is_nothing_but_a_suffix_is_left_as_it_is() -> None:
    assert log_of("logs/.1") == "logs/.1"
