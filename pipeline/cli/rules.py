"""`authsunset rules`: the detections, and the cases that they carry."""

from __future__ import annotations

import click

from pipeline.cli.output import Screen, format_option, print_rows


@click.group()
def rules() -> None:
    """Look at the detections and run their cases."""


@rules.command("list")
@format_option()
@click.pass_obj
def list_(screen: Screen, format: str) -> None:
    """List the detections."""
    from queries.detection import detections

    rows = [
        {
            "id": each.id,
            "severity": each.severity,
            "every": str(each.every),
            "window": str(each.window),
            "reads": list(each.reads),
            "cases": len(each.cases),
            "title": each.title,
        }
        for each in detections()
    ]
    print_rows(rows, format, no_color=screen.no_color)


@rules.command()
@click.argument("id")
def show(id: str) -> None:
    """Print the detection ID whole: header, query and cases."""
    from queries.detection import detection

    click.echo(detection(id).text, nl=False)


@rules.command()
@click.argument("ids", nargs=-1)
@click.pass_obj
def test(screen: Screen, ids: tuple[str, ...]) -> None:
    """Run the cases of all detections, or of those named; exit 1 when one fails."""
    from queries.cases import WITH_CASES, failures_of, failures_of_file
    from queries.detection import detection, detections
    from queries.sql_files import names_in, sql_file

    count = failed = 0
    for each in [detection(id) for id in ids] or detections():
        count += len(each.cases)
        for failure in failures_of(each):
            failed += 1
            screen.warn(f"{each.id}: {failure.case}: {failure.sentence}")
    for folder, name in [] if ids else [(room, each) for room in WITH_CASES for each in names_in(room)]:
        file = sql_file(folder, name)
        count += len(file.cases)
        for failure in failures_of_file(file):
            failed += 1
            screen.warn(f"{folder}/{name}: {failure.case}: {failure.sentence}")
    click.echo(f"{count - failed} of {count} cases pass")
    if failed:
        raise SystemExit(1)
