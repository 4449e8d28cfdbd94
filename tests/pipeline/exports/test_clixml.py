"""What the samples of Export-Clixml do not show: breaks, references and hostile files."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.exports.clixml import Element, elements_in, is_clixml, names_in
from pipeline.model import Chunk, Reject

HEAD = '<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">'
MAILBOX = '<Obj RefId="{0}"><MS><S N="Name">m{0}</S><B N="Off">true</B></MS></Obj>'
TWO = HEAD + MAILBOX.format(0) + MAILBOX.format(1) + "</Objs>"


def read(text: str, encoding: str = "utf-8") -> list[Element | Reject]:
    return list(elements_in(Chunk(text.encode(encoding), "export", offset=100)))


def values_of(text: str) -> list[dict[str, str]]:
    return [each.values for each in read(text) if isinstance(each, Element)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_each_object_is_read_and_stands_where_its_offset_says(encoding: str) -> None:
    text = TWO.replace("m1", "Gerät")
    body = text.encode(encoding)

    found = read(text, encoding)

    assert is_clixml(body[:300])
    assert {"Name", "Off"} <= set(names_in(body[:300]))
    assert [each.values["Name"] for each in found if isinstance(each, Element)] == ["m0", "Gerät"]
    assert [body[each.offset - 100 :].startswith(each.raw) for each in found] == [True, True]


def test_a_value_that_was_written_before_is_found_by_its_number() -> None:
    first = '<Obj RefId="0"><MS><Obj N="Policy" RefId="9"><ToString>Block</ToString></Obj></MS></Obj>'
    second = '<Obj RefId="1"><MS><Ref N="Policy" RefId="9" /></MS></Obj>'

    assert values_of(HEAD + first + second + "</Objs>") == [{"Policy": "Block"}, {"Policy": "Block"}]


def test_an_enumeration_a_dictionary_and_an_object_without_words_are_text() -> None:
    members = (
        '<Obj N="Kind" RefId="2"><TN RefId="1"><T>Enum</T></TN><ToString>Shared</ToString><I32>4</I32></Obj>'
        '<Obj N="Map" RefId="3"><DCT><En><S N="Key">a</S><I32 N="Value">1</I32></En></DCT></Obj>'
        '<Obj N="Who" RefId="4"><Props><S N="Local">x</S><S N="Address">x@contoso.example</S></Props></Obj>'
        '<Nil N="None" /><S N="Lines">a_x000A_b</S>'
    )

    [values] = values_of(f'{HEAD}<Obj RefId="0"><Props>{members}</Props></Obj></Objs>')

    assert values == {"Kind": "Shared", "Map": "[a, 1]", "Who": "x@contoso.example", "None": "", "Lines": "a\nb"}


@pytest.mark.parametrize("cut", range(len(HEAD) + 5, len(TWO)))
def test_a_file_cut_off_anywhere_costs_its_last_object_only(cut: int) -> None:
    found = read(TWO[:cut])

    whole = TWO[:cut].count("</Obj>")
    assert [type(each) for each in found] == [Element] * whole + [Reject]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be"])
def test_what_breaks_off_is_kept_from_the_beginning_of_its_line(encoding: str) -> None:
    text = f"{TWO}\n password=&x"

    found = read(text, encoding)

    assert isinstance(found[-1], Reject)
    assert found[-1].raw == " password=&x".encode(encoding.replace("utf-16", "utf-16-le").replace("-le-be", "-be"))


def test_a_document_type_is_refused() -> None:
    text = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]>{HEAD}&a;</Objs>'

    [reject] = read(text)

    assert isinstance(reject, Reject)
    assert "document type" in reject.reason


@pytest.mark.parametrize("inner", ["<LST>", "<MS>", ""])
def test_a_hostile_file_takes_no_time(inner: str) -> None:
    began = time.perf_counter()

    read(HEAD + f'<Obj RefId="0"><MS><S N="Name">x</S></MS>{inner}' * 20_000)

    assert time.perf_counter() - began < 5


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything(noise: bytes) -> None:
    body = TWO.encode()

    list(elements_in(Chunk(body[:150] + noise + body[150:], "export")))
