"""Tables as Format-Table prints them: where columns end, and what is not whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.exports.printed_tables import Printed, headings_in, rows_in
from pipeline.model import Reject

WANTED = frozenset({"name", "off"})
TABLE = """
Name            Size   Off
----            ----   ---
scan              10  True
Two  words 1,234,567
erp                0 False

"""


def rows(text: str, wanted: frozenset[str] = WANTED) -> list[dict[str, str] | str]:
    found = rows_in(text.encode(), wanted)
    return [dict(each.cells) if isinstance(each, Printed) else each.reason for each in found if each]


def test_words_to_the_left_and_numbers_to_the_right_are_told_apart() -> None:
    assert rows(TABLE) == [
        {"name": "scan", "off": "True"},
        {"name": "Two  words", "off": ""},
        {"name": "erp", "off": "False"},
    ]
    assert headings_in(TABLE.encode()) == {"name", "size", "off"}


def test_each_row_stands_where_its_offset_says() -> None:
    body = ("PS C:\\> Gerät\n" + TABLE).encode()

    found = [each for each in rows_in(body, WANTED) if isinstance(each, Printed)]

    assert all(body[each.offset :].startswith(each.raw) for each in found)


def test_two_tables_without_a_blank_line_between_them_are_two() -> None:
    assert rows("Name Off\n---- ---\na    x\nName\n----\nb\n") == [{"name": "a", "off": "x"}, {"name": "b"}]


@pytest.mark.parametrize("cut", ["scan@contoso…", "scan@conto...", "…ontoso.example"])
def test_a_value_that_the_window_cut_off_is_none(cut: str) -> None:
    [reason] = rows(f"Name            Off\n----            ---\n{cut:15} True\n")

    assert "cut" in str(reason)


def test_a_cut_value_that_nobody_wants_costs_nothing() -> None:
    assert rows("Name Subject Off\n---- ------- ---\na    long... x\n") == [{"name": "a", "off": "x"}]


def test_an_address_that_goes_on_in_the_next_line_is_none() -> None:
    found = rows("Date  Name       Off\n----  ----       ---\n1     scan@conto x\n      so.example\n")

    assert "second line" in str(found[0])


def test_an_empty_first_cell_is_no_line_that_goes_on_where_both_have_an_address() -> None:
    text = "Policy Name\n------ ----\nBlock  a@contoso.example\n       b@contoso.example\n"

    assert rows(text, frozenset({"policy", "name"})) == [
        {"policy": "Block", "name": "a@contoso.example"},
        {"policy": "", "name": "b@contoso.example"},
    ]


def test_columns_that_run_into_each_other_are_not_guessed() -> None:
    [reason] = rows("Name Off\n---- ---\nabcdefgh\n")

    assert "run into each other" in str(reason)


@pytest.mark.parametrize(
    "text", ["a b\n- -\n", "Name\n -----\n", "Name Off\n---- ----\n", "\n----\n", "Name,Off\n---- ---\n"]
)
def test_dashes_below_words_of_another_length_make_no_table(text: str) -> None:
    is_table = text.startswith("a b")

    assert bool(headings_in(text.encode())) is is_table


@given(st.text(alphabet="-  \nNameOff.…", max_size=80))
def test_no_text_raises_anything(noise: str) -> None:
    found = list(rows_in((TABLE + noise).encode(), WANTED))

    assert all(each is None or isinstance(each, (Printed, Reject)) for each in found)
