"""`authsunset rules`: the workbench of detections, from a first draft to what it would have said of last month."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.output import Screen, as_json, format_option, print_rows

if TYPE_CHECKING:
    from pipeline.model import Window
    from queries.asked import LastAsked
    from queries.backtest import Episode
    from queries.coverage import Coverage
    from queries.detection import Detection


@click.group()
def rules() -> None:
    """Look at the detections, check them, run their cases, and ask them about the past."""


@rules.command("list")
@format_option()
@click.pass_obj
def list_(screen: Screen, format: str) -> None:
    """List the detections, and how it went when each was asked last, if there is a lake."""
    from queries.asked import LastAsked
    from queries.detection import detections

    asked = _last_asked(screen)
    rows = [_listed(each, asked.get(each.id, LastAsked())) for each in detections()]
    columns = ["id", "severity", "confidence", "every", "window", "state", "asked_at", "title"]
    print_rows(rows, format, columns=columns if format == "table" else (), no_color=screen.no_color)


def _listed(detection: Detection, last: LastAsked) -> dict[str, Any]:
    return {
        "id": detection.id,
        "severity": detection.severity,
        "confidence": detection.confidence,
        "every": str(detection.every),
        "window": str(detection.window),
        "reads": list(detection.reads),
        "cases": len(detection.cases),
        "state": last.state,
        "asked_at": last.asked_at,
        "because": last.because,
        "title": detection.title,
    }


def _last_asked(screen: Screen) -> dict[str, LastAsked]:
    """Return how it went with each detection; nothing without settings that were named, or without a lake."""
    from pipeline.cli.setting import lake_folder
    from pipeline.errors import SettingsError
    from pipeline.lake import CATALOG, Lake
    from queries.asked import last_asked

    try:
        folder = lake_folder(screen)
    except SettingsError:
        if screen.config:
            raise
        return {}
    if not (folder / CATALOG).is_file():
        return {}
    with Lake.open(folder, read_only=True) as lake:
        return last_asked(lake)


@rules.command()
@click.argument("id")
def show(id: str) -> None:
    """Print the detection ID whole: header, query and cases."""
    from queries.own_files import detection_named

    click.echo(detection_named(id).text, nl=False)


@rules.command()
@click.argument("names", nargs=-1, metavar="[ID|PATH]...")
@format_option()
@click.pass_obj
def lint(screen: Screen, names: tuple[str, ...], format: str) -> None:
    """
    Check all detections, those named, or files of your own by the rules of the house; exit 1 when one is broken.

    \b
    authsunset rules lint
    authsunset rules lint drafts/odd_hours.sql
    """
    from queries.lint import lint as problems_of
    from queries.own_files import texts_named

    hints = remedies()
    texts = list(texts_named(names))
    problems = [problem for path, text in texts for problem in problems_of(path, text, hints)]
    if not names:
        problems += _problems_of_others()
    if format == "table":
        for problem in problems:
            click.echo(str(problem))
        screen.say(f"{len(texts)} detections, {len(problems)} problems")
    else:
        rows = [
            {"path": each.path, "line": each.line, "rule": each.rule, "sentence": each.sentence} for each in problems
        ]
        print_rows(rows, format, no_color=screen.no_color)
    if problems:
        raise SystemExit(1)


def _problems_of_others() -> list[Any]:
    from importlib.resources import files

    from queries.lint import lint_other

    paths = [f"{folder}/{name}.sql" for folder, name in _others()]
    texts = {path: (files("queries") / path).read_text("utf-8") for path in paths}
    return [problem for path, text in texts.items() for problem in lint_other(f"queries/{path}", text)]


def _others() -> list[tuple[str, str]]:
    from queries.cases import WITH_CASES
    from queries.sql_files import names_in

    return [(folder, name) for folder in WITH_CASES for name in names_in(folder)]


def remedies() -> frozenset[str]:
    """Return what a detection may name as its remedy: a problem whose way out is chosen, or a hint."""
    from importlib.resources import files

    from alerts.remedy import WAY_OUT

    hints = (file.name.partition(".")[0] for file in (files("alerts.remedy") / "hints").iterdir())
    return WAY_OUT | {name for name in hints if name and not name.startswith("_")}


@rules.command()
@click.argument("names", nargs=-1, metavar="[ID|PATH]...")
@click.option("--coverage", is_flag=True, help="Tell the predicates that no case can tell, too; exit 1 for one.")
@click.pass_obj
def test(screen: Screen, names: tuple[str, ...], coverage: bool) -> None:
    """
    Run the cases of all detections, of those named, or of files of your own; exit 1 when one fails.

    With --coverage each predicate of each query is taken out in turn, and a case has to come out differently.
    """
    from queries.cases import Bench, failures_of, failures_of_file
    from queries.own_files import detections_named
    from queries.sql_files import sql_file

    found = detections_named(names)
    files = [] if names else [(folder, sql_file(folder, name)) for folder, name in _others()]
    with Bench.open() as bench:
        failures = [(each.id, failure) for each in found for failure in failures_of(each, bench)]
        failures += [
            (f"{folder}/{file.name}", failure) for folder, file in files for failure in failures_of_file(file, bench)
        ]
    for id, failure in failures:
        screen.warn(f"{id}: {failure.case}: {failure.sentence}")
    count = sum(len(each.cases) for each in found) + sum(len(file.cases) for _, file in files)
    click.echo(f"{count - len(failures)} of {count} cases pass")
    if not failures and coverage:
        _tell_coverage(screen, found, with_endings=not names)
    if screen.failures:
        raise SystemExit(1)


def _tell_coverage(screen: Screen, detections: Sequence[Detection], *, with_endings: bool) -> None:
    predicates = 0
    for path, covered in _coverages(detections, with_endings=with_endings):
        predicates += covered.mutants
        for mutant in covered.uncovered:
            screen.warn(f"{path}:{mutant.line}: {mutant}")
        for excuse in covered.idle_excuses:
            screen.warn(f"{path}: 'uncovered' excuses what a case can tell, or what is not there: {excuse!r}")
    click.echo(f"{predicates - screen.failures} of {predicates} changes to a predicate are told by a case")


def _coverages(detections: Sequence[Detection], *, with_endings: bool) -> Iterator[tuple[str, Coverage]]:
    """Yield how far the cases of each detection go, and of what ends findings: nothing else decides what is said."""
    from importlib.resources import files

    from queries.cases import Bench
    from queries.coverage import coverage, coverage_of_file
    from queries.parsed import begins_at
    from queries.sql_files import names_in, sql_file

    with Bench.open() as bench:
        for each in detections:
            yield f"queries/{each.id}.sql", coverage(each, bench)
        for name in names_in("over") if with_endings else ():
            text = (files("queries") / "over" / f"{name}.sql").read_text("utf-8")
            covered = coverage_of_file(sql_file("over", name), bench, begins_at=begins_at(text))
            yield f"queries/over/{name}.sql", covered


@rules.command()
@click.argument("name", metavar="ID|PATH")
@click.option("--since", default="30d", show_default=True, help="Where the span begins: 30d, 2026-12-01.")
@click.option("--until", help="Where it ends; now, when it is left out.")
@click.option("--param", "-p", "params", multiple=True, metavar="K=V", help="A parameter of the detection.")
@click.option("--diff", metavar="ID|PATH", help="Another version: what does only one of the two find?")
@click.option("--diff-param", "diff_params", multiple=True, metavar="K=V", help="A parameter of the other version.")
@format_option()
@click.pass_obj
def backtest(
    screen: Screen,
    name: str,
    since: str,
    until: str | None,
    params: tuple[str, ...],
    diff: str | None,
    diff_params: tuple[str, ...],
    format: str,
) -> None:
    """
    Ask a detection about the past of the lake, as the service would have; nothing is written.

    \b
    authsunset rules backtest basic_auth_refused --since 14d
    authsunset rules backtest went_silent --since 90d --diff drafts/went_silent.sql
    authsunset rules backtest basic_auth_refused --diff-param min_refusals=3
    """
    from pipeline.cli.setting import lake_folder, span_asked
    from pipeline.clock import utc_now
    from pipeline.lake import Lake
    from queries.backtest import backtest as asked_about
    from queries.backtest import with_params
    from queries.own_files import detection_named

    span = span_asked(since, until, utc_now())
    one = with_params(detection_named(name), _pairs("--param", params))
    has_other = bool(diff or diff_params)
    other_params = {**({} if diff else _pairs("--param", params)), **_pairs("--diff-param", diff_params)}
    other = with_params(detection_named(diff or name), other_params) if has_other else None
    with Lake.open(lake_folder(screen), read_only=True) as lake:
        ours = asked_about(lake, one, span)
        theirs = asked_about(lake, other, span) if other else None
    if theirs is None:
        _print_history(screen, span, ours, format)
    else:
        _print_difference(screen, span, ours, theirs, format)


def _pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    wrong = [each for each in given if "=" not in each]
    if wrong:
        raise click.UsageError(f"{option} {wrong[0]} is not K=V")
    return dict(each.split("=", 1) for each in given)


def _print_history(screen: Screen, span: Window, episodes: Sequence[Episode], format: str) -> None:
    from queries.backtest import by_day

    days = [{"day": day, "opened": count} for day, count in by_day(span, episodes)]
    rows = [_told(each) for each in episodes]
    if format == "json":
        click.echo(as_json({"days": days, "opened": rows}, indent=2))
        return
    if format == "table":
        print_rows([day for day in days if day["opened"]], format, no_color=screen.no_color, title="by day")
    print_rows(rows, format, no_color=screen.no_color, title="what would have opened")
    screen.say(f"{len(rows)} findings would have opened on {len(days)} days; the busiest has {_most(days, 'opened')}")


def _print_difference(
    screen: Screen, span: Window, ours: Sequence[Episode], theirs: Sequence[Episode], format: str
) -> None:
    from queries.backtest import by_day, missing_from

    counts = zip(by_day(span, ours), by_day(span, theirs), strict=True)
    days = [{"day": day, "this": this, "other": other} for (day, this), (_, other) in counts]
    only = [{"only_in": "this", **_told(each)} for each in missing_from(ours, theirs)]
    only += [{"only_in": "other", **_told(each)} for each in missing_from(theirs, ours)]
    if format == "json":
        click.echo(as_json({"days": days, "this": len(ours), "other": len(theirs), "only": only}, indent=2))
        return
    if format == "table":
        print_rows(
            [day for day in days if day["this"] or day["other"]], format, no_color=screen.no_color, title="by day"
        )
    print_rows(only, format, no_color=screen.no_color, title="what only one of the two finds")
    screen.say(f"this one opens {len(ours)} findings and the other {len(theirs)}; {len(only)} are in one of them only")


def _told(episode: Episode) -> dict[str, Any]:
    facts = {name: value for name, value in episode.facts.items() if name not in episode.about}
    return {
        "opened_at": episode.opened_at,
        **episode.about,
        "first_seen": episode.first_seen,
        "last_seen": episode.last_seen,
        "over_at": episode.over_at,
        "because": episode.because,
        "facts": facts,
    }


def _most(days: Sequence[Mapping[str, Any]], counted: str) -> int:
    return max((int(day[counted]) for day in days), default=0)
