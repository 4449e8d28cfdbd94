"""
Follow files like `tail -F`: plain or packed, through rotation.

A file is known by how its unpacked content begins, so `mail.log` is still the same file when it
has become `mail.log.1.gz`; the position counts unpacked bytes. Exports (formats read whole) are known by their whole
content. A partial last line waits. In a part that rotation has put aside it waits until two pulls have found the part
unchanged, because its writer, or whoever copies it, may not have finished.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from glob import escape as glob_escape
from glob import glob
from pathlib import Path
from typing import Any

from pipeline.known_files import CUT_OFF, TAIL_BYTES, UNKNOWN, Known, KnownFiles, as_text, digest, left_at
from pipeline.lines import line_end_of
from pipeline.model import Chunk, Notice, Pulled
from pipeline.recognise import HEAD_BYTES, Kind, Recognise, kind_of
from pipeline.rotation import is_rotated, log_of, oldest_first
from pipeline.unpack import Unpacked, archive_of, file_of, members_of, unpacked

CHUNK_BYTES = 8 << 20
MOST_WITHOUT_LINE_END = 32 << 20
MOST_WHOLE_BYTES = 1 << 30


def paths_of(patterns: Iterable[str]) -> list[str]:
    """Return the files that `patterns` name, the parts of each log together and the oldest first."""
    found = {path for pattern in patterns for path in glob(pattern, recursive=True)}  # noqa: PTH207 - Path globs below itself only
    return oldest_first(path for path in found if Path(path).is_file() or not Path(path).exists())


def pull(
    paths: Iterable[str],
    position: Mapping[str, Any],
    recognised: Recognise,
    zone: tzinfo,
    *,
    to_the_end: bool = False,
    host: str | None = None,
) -> Iterator[Pulled | Notice]:
    """
    Yield what is new in `paths` since `position`, and notices about files that cannot be read.

    With `to_the_end` a last line without an end is yielded too, and a last empty chunk of each log says that this is
    all. Without it, an empty chunk brings a position that has moved though no line was new.
    """
    paths = [member for path in paths for member in members_of(path)]
    look = _Look(paths, KnownFiles.at(position, paths), recognised, zone, to_the_end, host)
    stored = position
    read: dict[tuple[str, str], Pulled] = {}
    for path in paths:
        try:
            for found in _pull_file(path, look):
                if isinstance(found, Pulled):
                    stored = found.position
                    read[found.log, found.format] = found
                    yield found
                else:
                    yield replace(found, origin=as_text(found.origin))
        except OSError as error:
            yield _unreadable(path, error)
    if to_the_end:
        yield from (_nothing_more(last) for last in read.values() if not kind_of(last.format).is_whole)
    elif look.files.noted and look.files.position() != stored:
        yield look.pulled(b"", look.files.noted.offset, look.files.noted)


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at all files: what is known of them, and how they are to be read."""

    paths: Sequence[str]
    files: KnownFiles
    recognised: Recognise
    zone: tzinfo
    to_the_end: bool
    host: str | None

    def pulled(self, body: bytes, offset: int, entry: Known) -> Pulled:
        as_of = datetime.fromtimestamp(entry.mtime_ns / 1e9, UTC)
        path = as_text(entry.path)
        chunk = Chunk(body, path, entry.identity, offset, as_of, self.zone, host=self.host)
        return Pulled(chunk, entry.format, log_of(path), self.files.position())


def _nothing_more(last: Pulled) -> Pulled:
    chunk = last.chunk
    return replace(last, chunk=replace(chunk, body=b"", offset=chunk.offset + len(chunk.body), is_last=True))


def _unreadable(path: str, error: OSError) -> Notice:
    if isinstance(error, FileNotFoundError) and not file_of(path).is_symlink():
        return Notice(as_text(path), "is not there any more; a rotation may just have renamed it", is_failure=False)
    why = error.strerror or error
    return Notice(as_text(path), f"cannot be read: {why}; check that it exists and that this user may read it")


def _pull_file(path: str, look: _Look) -> Iterator[Pulled | Notice]:
    stat = file_of(path).stat()
    unchanged = look.files.unchanged(path, stat)
    if unchanged and (unchanged.rest in {0, CUT_OFF} or not is_rotated(path)):
        return
    if stat.st_size == 0:
        yield from _pull_nothing(look.files.empty(path, stat), look)
        return
    with unpacked(path) as content:
        head = content.read(HEAD_BYTES)
        if archive := archive_of(head):
            is_foreign = archive == "zip" and not path.lower().endswith(
                ".zip"
            )  # spreadsheets and programs are such too
            sentence = f"is a {archive} archive that cannot be looked into; unpack it and name the files"
            yield Notice(path, sentence, is_foreign=is_foreign)
            return
        alike = look.files.alike(head)
        kind = Kind(alike[0].format, is_whole=False) if alike else look.recognised(head)
        if kind is None:
            yield Notice(path, content.trouble or _why_unknown(head), is_foreign=not content.trouble)
            return
        seen = look.files.new(head, path, stat, kind.name)
        if kind.is_whole:
            yield from _pull_whole(content, seen, look)
        else:
            is_finished = look.to_the_end or unchanged is not None or content.packing is not None
            pieces = _Pieces(content, line_end_of(head), is_finished=is_finished)
            yield from _pull_log(pieces, seen, alike, look)


def _pull_nothing(seen: Known, look: _Look) -> Iterator[Pulled | Notice]:
    """Read on what an empty file held before; a pipe or a device, which also seems empty, is never opened."""
    if not file_of(seen.path).is_file():
        yield Notice(seen.path, "is no file (a pipe or a device), which is not read; write it into a file first")
        return
    yield Notice(seen.path, "is empty", is_failure=False)
    yield from _replaced(look.files.replaced(seen), seen.path, look)
    look.files.note(seen)


def _pull_log(pieces: _Pieces, seen: Known, alike: list[Known], look: _Look) -> Iterator[Pulled | Notice]:
    """Go on where this file was left, under whichever name, as far as it is still the same file."""
    content = pieces.content
    before, tail = left_at(content, alike)
    if before:
        seen = replace(seen, identity=before.identity, offset=before.offset, tail=before.tail)
        replaced = look.files.replaced(seen)
        look.files.note(replace(seen, rest=UNKNOWN))
        yield from _replaced(replaced, seen.path, look)
        yield from _found_again(before, seen.path, look)
    elif own := next((each for each in alike if each.path == seen.path), None):
        sentence = "does not hold any more what was read of it; it is read again from its start"
        yield Notice(seen.path, sentence, is_gap=True)
        seen = replace(seen, identity=own.identity)
    elif original := next((each for each in alike if _is_part_of(content, each.path)), None):
        look.files.note(seen)
        yield _copy(seen.path, original.path)
        return
    else:
        content.seek(0)
        yield from _replaced(look.files.replaced(seen), seen.path, look)
    is_new = False
    filled = _filled(look.files, [each for each in alike if log_of(each.path) == log_of(seen.path)])
    for found in _pull_lines(pieces, seen, tail, look):
        if isinstance(found, Pulled):
            yield from filled
        is_new = True
        yield found
    if not content.trouble:
        yield from filled
    if before and before.path != seen.path and not is_new and before.starts(before.path):
        yield _copy(seen.path, before.path)


def _filled(files: KnownFiles, before: Iterable[Known]) -> Iterator[Notice]:
    """Yield, once, that the gaps are none any more that were noted where packed files were cut off."""
    for each in before:
        if each.rest == CUT_OFF:
            sentence = "was cut off when it was last looked at, and is longer now"
            yield Notice(each.path, sentence, is_failure=False, fills_gap=True, offset=each.offset)
            files.forget(each)


def _replaced(before: Known | None, path: str, look: _Look) -> Iterator[Pulled | Notice]:
    """Yield the rest of the log that `path` held `before`, under its new name, or that it is lost."""
    if before is None:
        return
    if is_rotated(path) and before.rest == 0:
        return  # an old part, read to its end, that made room for the next
    if before.rest == CUT_OFF and before.starts(path):
        return  # a packed copy that was being written
    if moved := _moved_to(before, path, look):
        yield from _pull_file(moved, look)
        return
    sentence = (
        f"was truncated or replaced after byte {before.offset} was read, and no rotated part goes on from there; "
        "what was written to it in between, if anything, is lost unless a copy of it is read"
    )
    yield Notice(path, sentence, is_gap=True, offset=before.offset)


def _found_again(before: Known, path: str, look: _Look) -> Iterator[Notice]:
    """Yield that the gap is none any more that was noted while the rotated part, `path`, of a log was not there yet."""
    is_part = before.path != path and is_rotated(path) and log_of(before.path) == log_of(path)
    if is_part and look.files.replaced(before):
        sentence = f"was replaced when it was last looked at; what it held goes on in {as_text(path)}: nothing is lost"
        yield Notice(before.path, sentence, is_failure=False, fills_gap=True, offset=before.offset)


def parts_of(path: str) -> list[str]:
    """Return the files beside that of `path` whose names begin as those of its log do, as rotation names them."""
    own = file_of(path)
    begins = Path(log_of(path)).stem
    beside = (str(each) for each in sorted(own.parent.glob(f"{glob_escape(begins)}*")) if each.is_file())
    return [each for each in beside if each != path]


def _moved_to(before: Known, path: str, look: _Look) -> str | None:
    """Return where the log is now that `path` held before: beside it, or where else the settings look."""
    begins = Path(log_of(path)).stem
    elsewhere = [each for each in look.paths if each != path and Path(each).name.startswith(begins)]
    return next((each for each in dict.fromkeys([*parts_of(path), *elsewhere]) if before.starts(each)), None)


def _is_part_of(content: Unpacked, path: str) -> bool:
    """Return whether the file at `path` begins with all that `content` holds."""
    content.seek(0)
    try:
        with unpacked(path) as other:
            while piece := content.read(CHUNK_BYTES):
                if other.read(len(piece)) != piece:
                    return False
    except OSError:
        return False
    return True


def _copy(path: str, original: str) -> Notice:
    return Notice(path, f"holds nothing that {original} does not hold: a copy, left out", is_failure=False)


def _pull_lines(pieces: _Pieces, entry: Known, tail: bytes, look: _Look) -> Iterator[Pulled | Notice]:
    """Yield what stands behind the offset of `entry`, where the content is now; `tail` are the bytes before it."""
    content = pieces.content
    look.files.note(entry)
    for body in pieces:
        tail = (tail + body[-TAIL_BYTES:])[-TAIL_BYTES:]
        offset = entry.offset
        entry = replace(entry, offset=offset + len(body), tail=digest(tail), rest=pieces.rest)
        look.files.note(entry)
        yield look.pulled(body, offset, entry)
    look.files.note(replace(entry, rest=CUT_OFF if content.is_cut_off else pieces.rest))
    if content.trouble:
        yield Notice(entry.path, content.trouble, is_gap=True, offset=entry.offset)


class _Pieces:
    """What follows in a file, in pieces cut behind a line end; `rest` is known with the last piece."""

    def __init__(self, content: Unpacked, line_end: bytes, *, is_finished: bool) -> None:
        self.content = content
        self.line_end = line_end
        self.is_finished = is_finished
        self.rest = UNKNOWN

    def __iter__(self) -> Iterator[bytes]:
        waiting = b""
        is_end = False
        while not is_end:
            piece = self.content.read(CHUNK_BYTES)
            is_end = len(piece) < CHUNK_BYTES
            waiting += piece
            cut = self._cut(waiting, is_end=is_end)
            if is_end:
                # What a break cut off is not waited for: nothing follows until the file is another one.
                self.rest = 0 if self.content.trouble else len(waiting) - cut
            if cut:
                yield waiting[:cut]
                waiting = waiting[cut:]

    def _cut(self, waiting: bytes, *, is_end: bool) -> int:
        is_all = is_end and self.is_finished and not self.content.trouble
        behind_line = waiting.rfind(self.line_end) + 1
        is_too_long = not behind_line and len(waiting) > MOST_WITHOUT_LINE_END
        return len(waiting) if is_all or is_too_long else behind_line


def _pull_whole(content: Unpacked, seen: Known, look: _Look) -> Iterator[Pulled | Notice]:
    content.seek(0)
    body = content.read(MOST_WHOLE_BYTES + 1)
    trouble = "is an export of more than 1 GiB; split it" if len(body) > MOST_WHOLE_BYTES else content.trouble
    if trouble:
        yield Notice(seen.path, trouble, is_gap=True, offset=len(body))
    else:
        yield from _filled(look.files, look.files.exports_at(seen.path))
    rest = CUT_OFF if content.is_cut_off else 0
    entry = replace(seen, identity=digest(body), head_bytes=0, offset=len(body), rest=rest)
    is_new = not look.files.has(entry.identity)
    look.files.note(entry)
    if is_new and body:
        yield look.pulled(body, 0, entry)


def _why_unknown(head: bytes) -> str:
    if b"\x00" in head[:4096] and head[1:64:2].strip(b"\x00"):
        return "is not text (it holds zero bytes); only logs and exports can be read"
    return (
        "is of no kind that we know by its content; name the format with `--as FORMAT` or `format = …`, or leave it out"
    )
