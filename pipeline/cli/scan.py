"""`authsunset scan`: logs in, findings and ways out. No settings, nothing kept."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.output import Screen, cell, format_option, print_rows, printable

if TYPE_CHECKING:
    from alerts.remedy import Advice
    from pipeline.ingest import Outcome
    from pipeline.lake import Lake
    from pipeline.model import Pull
    from queries.detection import Detection
    from queries.facts import SenderFacts
    from queries.history import Noted

REFUSED = ("sender", "state", "refusals", "mails", "rescuable", "lost", "devices", "last_seen", "way_out")
ALL_COLUMNS = ("sender", "detection", *REFUSED[1:-1], "messages", "evidence", "way_out")
RESIDUAL = ("sender", "messages", "evidence", "last_seen", "way_out")


@click.command()
@click.argument("paths", nargs=-1, required=True)
@click.option("--as", "as_format", metavar="FORMAT", help="Take the files for this format instead of recognising each.")
@click.option("--zone", default="local", show_default=True, help="Zone of times that name none, such as Europe/Berlin.")
@click.option(
    "--domain",
    "domains",
    multiple=True,
    help="A domain of your tenant: its recipients are internal. May be given again.",
)
@click.option("--hints", is_flag=True, help="Print the way out of each sender in full.")
@click.option("--exit-code", is_flag=True, help="Exit 1 when there are findings.")
@format_option()
@click.pass_obj
def scan(
    screen: Screen,
    paths: tuple[str, ...],
    as_format: str | None,
    zone: str,
    domains: tuple[str, ...],
    hints: bool,
    exit_code: bool,
    format: str,
) -> None:
    """
    Read logs and exports in PATHS (files or folders): who is refused, who still uses a password, and the way out.

    \b
    authsunset scan /var/log
    authsunset scan mail.log* --hints
    authsunset scan exports/ --domain contoso.com --format json
    """
    from pipeline.zones import zone_of

    with tempfile.TemporaryDirectory(prefix="authsunset-") as folder:
        rows, has_evidence = _scan(screen, Path(folder), paths, as_format, zone_of(zone), domains)
    if format == "table" and rows:
        _print(screen, rows, hints=hints)
    elif format == "table":
        click.echo(_nothing_found(has_evidence=has_evidence, is_whole=not screen.failures))
    else:
        print_rows(
            rows,
            format,
            columns=ALL_COLUMNS if format in {"csv", "md"} else (),
            no_color=screen.no_color,
        )
    if screen.failures or (exit_code and rows):
        raise SystemExit(1)


def _scan(
    screen: Screen, folder: Path, paths: Sequence[str], as_format: str | None, zone: tzinfo, domains: Sequence[str]
) -> tuple[list[dict[str, Any]], bool]:
    """Return what is found in `paths`, and whether they hold any evidence at all."""
    from pipeline.clock import utc_now
    from pipeline.following import pull
    from pipeline.ingest import run_source
    from pipeline.lake import Lake
    from pipeline.recognise import always, recognise
    from queries.detect import detect
    from queries.history import latest
    from queries.senders import facts_of

    files = _files(screen, paths)
    recognised = always(as_format) if as_format else recognise
    with Lake.open(folder / "lake") as lake:
        outcome = run_source(
            lake,
            "scan",
            _with_progress(screen, lambda position: pull(files, position, recognised, zone, to_the_end=True)),
            utc_now,
        )
        _tell(screen, outcome, set(paths))
        for each in _asked():
            detect(lake, each, utc_now(), in_one_window=True)
        found = latest(lake)
        facts = facts_of(lake, found, domains)
        if outcome.rows:
            screen.say(_about_held(lake))
    rows = [
        _row(noted, facts[noted.fingerprint])
        for noted in sorted(
            found, key=lambda each: (not each.is_open, each.detection, -facts[each.fingerprint].refusals, each.sender)
        )
    ]
    return rows, outcome.rows > 0


def _asked() -> list[Detection]:
    """Return the detections that logs of any age answer: who is refused at the log-in, and who has a password still."""
    from alerts.remedy import WAY_OUT
    from queries.detection import detections

    return [
        each
        for each in detections()
        if each.remedy in WAY_OUT and (each.id.startswith("rejection/") or each.id == "residual/residual_basic_sender")
    ]


def _files(screen: Screen, paths: Iterable[str]) -> list[str]:
    from pipeline.rotation import oldest_first

    files: set[str] = set()
    for path in map(Path, paths):
        if path.is_dir():
            files |= {str(each) for each in path.rglob("*") if each.is_file() and not each.is_symlink()}
        elif path.exists():
            files.add(str(path))
        else:
            screen.warn(f"{path}: there is no such file; check the path")
    return oldest_first(files)


def _with_progress(screen: Screen, pull: Pull) -> Pull:
    """Return `pull` that shows on a terminal what is being read."""
    import sys

    if screen.quiet or not sys.stderr.isatty():
        return pull

    def shown(position: Any) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        from pipeline.model import Pulled

        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[read]}"),
            console=Console(stderr=True),
            transient=True,
        ) as progress:
            task = progress.add_task("reading", total=None, read="")
            done = 0
            for found in pull(position):
                if isinstance(found, Pulled):
                    done += len(found.chunk.body)
                    progress.update(
                        task, description=printable(Path(found.chunk.origin).name), read=f"{done / 1e6:.0f} MB"
                    )
                yield found

    return shown


def _tell(screen: Screen, outcome: Outcome, named: set[str]) -> None:
    """Say what was read; a file that was named and cannot be read is a failure, one in a folder is not."""
    left_out = 0
    for notice in outcome.notices:
        if notice.is_failure and (notice.origin in named or not notice.is_foreign):
            screen.warn(f"{notice.origin}: {notice.sentence}")
        elif notice.is_failure and not screen.verbose:
            left_out += 1
        else:
            screen.say(f"{notice.origin}: {notice.sentence}")
    if not outcome.chunks and any(notice.is_failure for notice in outcome.notices):
        screen.warn("nothing was read; name a log or an export of a known kind")
    if outcome.rejects > outcome.lines / 2:
        screen.warn(f"{outcome.rejects} of {outcome.lines} lines could not be read; is it the right format?")
    counted = ", ".join(f"{count} {table}" for table, count in sorted(outcome.by_table.items()) if count) or "no rows"
    screen.say(
        f"read {outcome.lines} lines: {counted}, {outcome.rejects} unreadable"
        + (f"; {left_out} files of no known kind left out (-v names them)" if left_out else "")
    )


def _about_held(lake: Lake) -> str:
    """Return a sentence about mail that waits behind the refusal of another sender."""
    mails, senders = lake.connection.execute(
        "SELECT count(DISTINCT log_host || ' ' || queue_id), count(DISTINCT sender) FROM deliveries AS held "
        "WHERE kind = 'held' AND reply_class = 'basic_retired' AND sender <> '' "
        "AND NOT EXISTS (SELECT 1 FROM deliveries AS tries WHERE tries.kind = 'try' "
        "AND tries.reply_class = 'basic_retired' AND tries.log_host = held.log_host AND tries.queue_id = held.queue_id)"
    ).fetchone() or (0, 0)
    return (
        f"{mails} more mails of {senders} senders were held back untried, behind the refusal of another"
        if mails
        else "no mail was held back behind the refusal of another sender"
    )


def _row(noted: Noted, facts: SenderFacts) -> dict[str, Any]:
    from alerts.remedy import advise

    advice, hint = advise(facts)
    return {
        "sender": noted.sender,
        "detection": noted.detection,
        "state": _state(noted),
        "refusals": facts.refusals,
        "mails": facts.mails,
        "rescuable": facts.rescuable,
        "lost": facts.lost,
        "messages": noted.facts.get("messages"),
        "evidence": noted.facts.get("evidence"),
        "devices": [str(device) for device in facts.devices],
        "first_seen": noted.first_seen,
        "last_seen": noted.last_seen,
        "over_at": noted.over_at,
        "way_out": advice.title,
        "because": list(advice.because),
        "not_others": _not_others(advice),
        "hint": hint,
    }


def _state(noted: Noted) -> str:
    if noted.detection.startswith("residual/"):
        return "does still" if noted.is_open else "migrated"
    return "is refused" if noted.is_open else f"accepted again {noted.over_at:%Y-%m-%d %H:%M}"


def _not_others(advice: Advice) -> dict[str, str]:
    return dict(advice.not_others)


def _nothing_found(*, has_evidence: bool, is_whole: bool) -> str:
    """Return the verdict where nothing is found: silence of logs that say nothing is not health."""
    if not has_evidence:
        return "This tells nothing about any sender: no mail, log-in or report was found in what was read."
    shown = "as far as these logs show" if is_whole else "as far as could be read, and not all could"
    return (
        f"No sender is refused, and none is seen with a password, {shown}.\n"
        "A device that submits directly and logs nowhere is not in them; look into the SMTP AUTH clients report."
    )


def _print(screen: Screen, rows: Sequence[dict[str, Any]], *, hints: bool) -> None:
    from alerts.markdown import as_text
    from queries.detection import detections

    for detection in detections():
        mine = [row for row in rows if row["detection"] == detection.id]
        if mine:
            columns = RESIDUAL if detection.id.startswith("residual/") else REFUSED
            words = detection.title.removeprefix("{sender} ").removeprefix("is ")
            title = words[0].upper() + words[1:]
            print_rows(
                mine,
                "table",
                columns=columns,
                no_color=screen.no_color,
                title=f"{title}: {len(mine)} sender{'s' if len(mine) > 1 else ''}",
            )
    if not hints:
        click.echo("The way out of each sender in full: add --hints")
        return
    for row in rows:
        click.echo(
            f"\n{'=' * 72}\n{printable(cell(row['sender']))}: {row['way_out']}\n{'=' * 72}\n{as_text(row['hint'])}"
        )
