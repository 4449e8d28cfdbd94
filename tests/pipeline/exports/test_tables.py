from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.exports.tables import MOST_LINES, Export, columns_in, fold, lines_in, read, reject_of, shown, without
from pipeline.model import Chunk

NAMES = {"name": "name", "size": "size", fold("Größe"): "size"}


def table(text: str | bytes) -> Export:
    return read(Chunk(text.encode() if isinstance(text, str) else text, "export.csv"), NAMES)


def names_of(export: Export) -> list[str]:
    return [record["name"] for record in export.records]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_delimiter_and_line_end_is_read(delimiter: str, end: str) -> None:
    text = end.join([f"Name{delimiter}Size", f'"a{delimiter}b"{delimiter}1', f"c{delimiter}2"])

    export = table(text)

    assert [(record["name"], record["size"]) for record in export.records] == [(f"a{delimiter}b", "1"), ("c", "2")]


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (b"\xef\xbb\xbf", "utf-8"),
        (b"", "cp1252"),
        (b"\xff\xfe", "utf-16-le"),
        (b"", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
        (b"", "utf-16-be"),
    ],
)
def test_every_encoding_gives_the_same_words_and_true_offsets(mark: bytes, encoding: str) -> None:
    lines = ["Name;Größe\r\n", "Übung;1\r\n", "zwei;2\r\n"]

    export = table(mark + "".join(lines).encode(encoding))

    first = len(mark) + len(lines[0].encode(encoding))
    assert [dict(record.values) for record in export.records] == [
        {"name": "Übung", "size": "1"},
        {"name": "zwei", "size": "2"},
    ]
    assert [record.offset for record in export.records] == [first, first + len(lines[1].encode(encoding))]


def test_text_outside_the_basic_plane_keeps_the_offsets_of_utf_16_true() -> None:
    body = "Name,Size\n🖨🖨,1\nnext,2\n".encode("utf-16-le")

    export = table(body)

    assert names_of(export) == ["🖨🖨", "next"]
    assert body[export.records[1].offset :].decode("utf-16-le") == "next,2\n"


def test_a_lone_surrogate_becomes_a_replacement_character() -> None:
    body = "Name,Size\n".encode("utf-16-le") + b"\x00\xd8" + ",1\n".encode("utf-16-le")

    export = table(body)

    assert names_of(export) == ["\ufffd"]


def test_one_broken_byte_behind_a_utf8_mark_spoils_one_character_only() -> None:
    body = b"\xef\xbb\xbfName,Size\n\xff,1\n" + "Gerät,2\n".encode()

    export = table(body)

    assert names_of(export) == ["\ufffd", "Gerät"]


def test_a_type_line_and_an_excel_hint_before_the_header_are_skipped() -> None:
    export = table("#TYPE System.Object\nsep=;\n\nName;Size\na;1\n")

    assert names_of(export) == ["a"]
    assert export.repeated == 0


def test_a_record_that_begins_like_a_type_line_is_still_a_record() -> None:
    export = table('Name,Size\n"#TYPE x",1\n#TYPE y,2\n')

    assert names_of(export) == ["#TYPE x", "#TYPE y"]


def test_a_header_that_returns_is_counted_and_not_read() -> None:
    export = table('Name,Size\na,1\n#TYPE System.Object\n\ufeff"NAME","size"\nb,2\n')

    assert names_of(export) == ["a", "b"]
    assert export.repeated == 2


def test_an_open_quote_costs_only_its_own_line() -> None:
    export = table('"Name","Size"\n"a","1\n"b","2"\n"c","3"\n')

    assert [record.trouble is None for record in export.records] == [False, True, True]
    assert names_of(export) == ["", "b", "c"]


def test_an_open_quote_without_another_quote_behind_it_costs_only_its_own_line() -> None:
    plain = "".join(f"row{number},{number}\n" for number in range(2 * MOST_LINES))

    export = table(f'Name,Size\n"open,1\n{plain}')

    assert len(export.records) == 2 * MOST_LINES + 1
    assert [record.offset for record in export.records if record.trouble] == [10]


def test_a_quoted_value_may_hold_as_many_line_ends_as_a_subject_has_characters() -> None:
    export = table('Name,Size\n"' + "\n" * 255 + '",1\nb,2\n')

    assert names_of(export) == ["", "b"]
    assert not any(record.trouble for record in export.records)


def test_an_overlong_field_is_trouble_and_the_next_record_is_read() -> None:
    export = table("Name,Size\n" + "x" * 200_000 + ",1\nb,2\n")

    assert [bool(record.trouble) for record in export.records] == [True, False]


def test_a_header_too_long_to_be_one_has_no_columns() -> None:
    export = table("x" * 200_000 + "\na\n" + "y" * 200_000)

    assert export.columns == frozenset()


def test_too_few_and_too_many_fields_are_trouble() -> None:
    export = table("Name,Size\na\nb,2,3\nc,3\n")

    assert [record.trouble for record in export.records] == [
        "the record has 1 fields where its header has 2",
        "the record has 3 fields where its header has 2",
        None,
    ]


def test_a_rejected_record_keeps_its_bytes_and_its_place_in_the_file() -> None:
    body = Chunk("Name,Size\r\nä,1\r\nbroken\r\n".encode("utf-16-le"), "export.csv")
    export = read(body, NAMES)

    reject = reject_of(export.records[1], body, "because")

    assert reject.raw == "broken".encode("utf-16-le")
    assert body.body[reject.offset :].startswith(reject.raw)


def test_missing_columns_are_named_beside_those_that_are_there() -> None:
    body = Chunk(b"Name,Colour\n", "export.csv")

    error = without(read(body, NAMES), {"name": "Name", "size": "Size"}, body, "export it again")

    assert str(error) == "export.csv: the header names 'Name', 'Colour'; it lacks Size; export it again"


def test_the_first_of_two_columns_of_the_same_name_counts() -> None:
    export = table("Name,Size,name\na,1,b\n")

    assert names_of(export) == ["a"]


def test_header_words_are_compared_without_case_marks_and_quotes() -> None:
    assert fold('\ufeff"Sender_ Address\x00"') == "senderaddress"
    assert fold("TLS 1.2 (%)") == "tls12"


def test_a_value_shown_in_a_sentence_is_cut_and_cannot_move_the_cursor() -> None:
    assert shown("\x1b[2J") == "'\\x1b[2J'"
    assert len(shown("x" * 1_000)) == 42


@given(st.integers(min_value=28), st.sampled_from(["utf-8", "utf-16-le", "utf-16-be"]))
def test_a_head_may_be_cut_anywhere_behind_the_header(cut: int, encoding: str) -> None:
    body = "Name,Size\r\nä🖨,1\r\n".encode(encoding)

    columns = columns_in(body[: cut if encoding != "utf-8" else cut - 14], NAMES)

    assert columns == {"name", "size"}


@given(st.binary())
def test_no_bytes_are_lost_between_records(body: bytes) -> None:
    export = table(b"Name,Size\n" + body)

    assert all(record.size > 0 for record in export.records)
    ends = [10, *(record.offset + record.size for record in export.records)]
    starts = [*(record.offset for record in export.records), len(body) + 10]
    assert all(start >= end for start, end in zip(starts, ends, strict=True))


def test_a_header_that_names_a_zone_is_the_column_and_can_be_read_again() -> None:
    export = table("Name (UTC+01:00),Size\na,1\n")

    assert names_of(export) == ["a"]
    assert export.words["name"] == "Name (UTC+01:00)"


def test_the_longest_stretch_between_headers_is_the_size_of_one_export() -> None:
    export = table("Name,Size\na,1\nName,Size\nb,1\nc,1\nName,Size\n")

    assert (export.headings, export.longest, export.repeated) == ((1, 3), 2, 2)
    assert table("Name,Size\n").longest == 0


def test_values_that_return_are_kept_once() -> None:
    export = table("Name,Size\n" + "".join(f"same as ever, {number}\n" for number in range(3)))

    assert len({id(record["name"]) for record in export.records}) == 1
    assert [record["size"] for record in export.records] == ["0", "1", "2"]


def test_a_column_that_the_file_does_not_have_is_empty() -> None:
    [record] = table("Name\na\n").records

    assert (record["size"], record.values) == ("", {"name": "a"})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_lines_stand_where_their_offsets_say(encoding: str) -> None:
    body = "Name : ä\r\n\r\n🖨 : x\rlast".encode(encoding)

    lines = list(lines_in(body))

    assert [text for text, _offset in lines] == ["Name : ä\r\n", "\r\n", "🖨 : x\r", "last"]
    assert all(body[offset:].startswith(text.encode(encoding)) for text, offset in lines)
