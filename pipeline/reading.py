"""
Read one chunk by its format: the one way from bytes to rows, for ingest, `parse` and the replay of a quarantine.

What comes out holds no credential, whichever format it was.
"""

from __future__ import annotations

from pipeline.kinds import find
from pipeline.model import Carry, Chunk, Parsed
from pipeline.recognise import FORMATS, LOG, programs
from pipeline.redact import without_credentials


def read(format: str, chunk: Chunk, carry: Carry) -> Parsed:
    """Return what `chunk` holds; `format` is a file format, or a program whose lines alone are wanted of a log."""
    if format in programs():
        return without_credentials(find(FORMATS, LOG).parse(chunk, carry, only=format))
    parsed: Parsed = find(FORMATS, format).parse(chunk, carry)
    return without_credentials(parsed)
