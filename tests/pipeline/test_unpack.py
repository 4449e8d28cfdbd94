"""What is packed comes out as it went in, as UTF-8, and never more than a log can hold."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import unpack
from pipeline.unpack import file_of, members_of, unpacked

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = b"".join(b"line %05d of the log of caf\xc3\xa9\n" % number for number in range(5_000))
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "zstd": zstd.compress,
}


def read(path: Path | str, offset: int = 0, size: int = 1 << 30) -> bytes:
    with unpacked(path) as content:
        content.seek(offset)
        return content.read(size)


@pytest.mark.parametrize("packing", PACKERS)
def test_each_packing_is_told_by_its_content(packing: str, tmp_path: Path) -> None:
    path = tmp_path / "mail"
    path.write_bytes(PACKERS[packing](TEXT))

    with unpacked(path) as content:
        assert content.packing == packing
        assert content.read(len(TEXT) + 1) == TEXT
        content.seek(1000)
        assert content.read(50) == TEXT[1000:1050]
        content.seek(len(TEXT) + 100)
        assert content.read(10) == b""


@pytest.mark.parametrize("packing", PACKERS)
def test_of_what_was_cut_off_the_beginning_is_kept(packing: str, tmp_path: Path) -> None:
    path = tmp_path / "mail"
    packed = PACKERS[packing](TEXT)
    path.write_bytes(packed[: len(packed) * 2 // 3])

    with unpacked(path) as content:
        kept = content.read(len(TEXT))
        assert TEXT.startswith(kept)
        assert content.trouble
        assert packing in content.trouble


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("packing", [None, "gzip"])
def test_utf_16_comes_as_utf_8(encoding: str, packing: str | None, tmp_path: Path) -> None:
    path = tmp_path / "hmailserver.log"
    raw = TEXT.decode().encode(encoding)
    path.write_bytes(PACKERS[packing](raw) if packing else raw)

    assert read(path) == TEXT
    assert read(path, 7_777, 100) == TEXT[7_777:7_877]


@settings(max_examples=25, deadline=None)
@given(cut=st.integers(min_value=130, max_value=4_000))
def test_half_a_letter_of_utf_16_waits_for_the_other_half(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("half") / "hmailserver.log"
    raw = TEXT.decode().encode("utf-16-le")
    path.write_bytes(raw[:cut])
    first = read(path)
    path.write_bytes(raw)

    assert TEXT.startswith(first)
    assert first + read(path, len(first)) == TEXT


@pytest.mark.parametrize("hole", [64, 100, 70_000])
def test_zero_bytes_in_front_of_a_log_are_skipped(hole: int, tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    path.write_bytes(bytes(hole) + TEXT)

    assert read(path) == TEXT
    assert read(path, 100, 10) == TEXT[100:110]


def test_a_file_of_zero_bytes_alone_stays_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.write_bytes(bytes(1000))

    assert not read(path).strip(b"\x00")


@pytest.mark.parametrize("packing", ["gzip", "xz", "zstd"])
def test_what_unpacks_to_an_absurd_size_is_given_up_and_said(
    packing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "MOST_UNPACKED", 1 << 20)
    path = tmp_path / "bomb"
    path.write_bytes(PACKERS[packing](TEXT[:100] + b"a" * (64 << 20)))

    with unpacked(path) as content:
        kept = content.read(64 << 20)

        assert len(kept) < 32 << 20
        assert content.trouble
        assert "times its size" in content.trouble


class TestArchive:
    def test_each_member_is_a_file(self, tmp_path: Path) -> None:
        archive = tmp_path / "Exports.ZIP"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.mkdir("logs")
            packed.writestr("logs/mail.log", TEXT)
            packed.writestr("report.csv", "a,b\n".encode("utf-16"))

        members = members_of(str(archive))

        assert [member.removeprefix(f"{archive}!/") for member in members] == ["logs/mail.log", "report.csv"]
        assert read(members[0]) == TEXT
        assert read(members[0], 500, 20) == TEXT[500:520]
        assert read(members[1]) == b"a,b\n"
        assert file_of(members[0]) == archive

    def test_what_is_no_archive_is_itself(self, tmp_path: Path) -> None:
        for name, content in (("mail.log", b"x"), ("broken.zip", b"PK\x03\x04broken"), ("text.zip", b"hello")):
            (tmp_path / name).write_bytes(content)

            assert members_of(str(tmp_path / name)) == [str(tmp_path / name)]

    def test_a_member_that_is_gone_or_damaged_is_said_and_no_crash(self, tmp_path: Path) -> None:
        archive = tmp_path / "a.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("mail.log", TEXT)
        raw = bytearray(archive.read_bytes())
        raw[2000:2100] = bytes(100)
        archive.write_bytes(raw)

        with pytest.raises(OSError, match="cannot be opened"):
            read(f"{archive}!/other.log")
        with unpacked(f"{archive}!/mail.log") as content:
            content.read(len(TEXT) + 1)
            assert content.trouble
