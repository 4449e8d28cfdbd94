"""`authsunset parse`: the rows exactly as the lake gets them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from pipeline.cli.output import Screen, format_option, print_rows

SHOWN = (
    "event_time",
    "received_at",
    "day",
    "kind",
    "sender",
    "recipient",
    "client_ip",
    "endpoint",
    "stage",
    "outcome",
    "reply_class",
    "auth_protocol",
    "messages",
    "request_id",
)


@click.command()
@click.argument("paths", nargs=-1, required=True)
@click.option("--as", "as_format", metavar="FORMAT", help="Take the files for this format instead of recognising it.")
@click.option("--zone", default="local", show_default=True, help="Zone of times that name none, such as Europe/Berlin.")
@format_option()
@click.pass_obj
def parse(screen: Screen, paths: tuple[str, ...], as_format: str | None, zone: str, format: str) -> None:
    """
    Print the rows of PATHS as the lake gets them; several files are read as one log, oldest first.

    \b
    authsunset parse mail.log.1.gz mail.log --format ndjson
    authsunset parse export.csv --as message_trace_csv
    """
    rows = _rows(screen, paths, as_format, zone)
    if format == "table":
        found = list(rows)
        print_rows(
            found,
            format,
            columns=[name for name in SHOWN if any(row.get(name) is not None for row in found)],
            no_color=screen.no_color,
        )
    else:
        print_rows(rows, format)
    if screen.failures:
        raise SystemExit(1)


def _rows(screen: Screen, paths: tuple[str, ...], as_format: str | None, zone: str) -> Iterator[dict[str, Any]]:
    from pipeline.errors import FormatError
    from pipeline.following import pull
    from pipeline.model import Notice
    from pipeline.reading import read
    from pipeline.recognise import always, recognise
    from pipeline.rotation import oldest_first
    from pipeline.unpack import file_of
    from pipeline.zones import zone_of

    for path in paths:
        if not file_of(path).exists() and not file_of(path).is_symlink():
            screen.warn(f"{path}: there is no such file; check the path")
    rejects = 0
    carries: dict[str, Any] = {}
    for found in pull(
        oldest_first(paths), {}, always(as_format) if as_format else recognise, zone_of(zone), to_the_end=True
    ):
        if isinstance(found, Notice):
            (screen.warn if found.is_failure else screen.say)(f"{found.origin}: {found.sentence}")
            continue
        try:
            parsed = read(found.format, found.chunk, carries.get(found.format, {}))
        except FormatError as error:
            screen.warn(f"{found.chunk.origin}: {error.sentence}")
            continue
        carries[found.format] = parsed.carry
        for gap in parsed.gaps:
            screen.warn(f"{found.chunk.origin}: {gap.cause}")
        for reject in parsed.rejects:
            rejects += 1
            if screen.verbose:
                screen.say(f"{found.chunk.origin}: byte {reject.offset}: {reject.reason}")
        for table, rows in parsed.tables.items():
            yield from (
                {"table": table, "format": found.format, "origin": found.chunk.origin, **row}
                for row in rows.to_pylist()
            )
    screen.say(f"{rejects} lines could not be read" + ("; -v names them" if rejects and not screen.verbose else ""))
