"""
Read the settings: one TOML file, each part checked against the dataclass beside the code that it is for.

All problems are found at once and offline, and each names its line. The lake's folder is relative to the settings file,
so that cron and a shell mean the same one; other relative paths are relative to where the program is started.
Secrets stand in the file only as `{ file = "…" }` or `{ env = "…" }`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from pipeline.errors import Place, SettingsError
from pipeline.graph import identity
from pipeline.kinds import find
from pipeline.lake.tables import TIME_KEPT
from pipeline.span_setting import Span, span_written

WHERE = (Path("authsunset.toml"), Path("/etc/authsunset/authsunset.toml"))

T = TypeVar("T")


def _kept(value: object) -> str:
    if value in TIME_KEPT:
        return str(value)
    raise ValueError(f"no table {str(value)!r} of which old rows may go{_hint(str(value), tuple(TIME_KEPT))}")


Kept = Annotated[str, BeforeValidator(_kept)]
"""A table whose rows may have an end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeSettings:
    """
    [lake]: the folder that holds catalog and data, how long to wait for another writer, and how it is looked after.

    `keep` says how long rows of a table are kept, such as { deliveries = "400d" }; a table that it does not name is
    kept for ever. `maintain_every` is how often files are merged and old rows and snapshots go, `keep_snapshots` how
    long a reader may still look at what has been replaced.
    """

    folder: Path = Path("lake")
    lock_deadline: Span = timedelta(minutes=1)
    keep: dict[Kept, Span] = field(default_factory=dict)
    keep_snapshots: Span = timedelta(hours=6)
    maintain_every: Span = timedelta(hours=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantSettings:
    """[tenant]: the domains whose recipients count as internal."""

    domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """
    [alerts]: how often the outbox is looked at, and when an open problem is said again.

    `undelivered_on_stderr` says what no channel takes on stderr, even with --quiet.
    """

    every: Span = timedelta(seconds=15)
    remind_after: Span = timedelta(days=1)
    undelivered_on_stderr: bool = True


@dataclass(frozen=True, slots=True)
class Part:
    """A [source.NAME] or [channel.NAME]: its module, and the settings of that module."""

    name: str
    kind: str
    module: ModuleType
    settings: Any
    every: timedelta
    place: Place


def uses_microsoft(part: Part) -> bool:
    """Return whether `part` talks to the tenant in [microsoft]: its kind always does, or its own settings say so."""
    uses = getattr(part.module, "USES", "")
    return (uses(part.settings) if callable(uses) else uses) == "microsoft"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the settings file says."""

    path: Path
    lake: LakeSettings
    tenant: TenantSettings
    alerts: AlertSettings
    microsoft: identity.Settings | None = None
    sources: Mapping[str, Part] = field(default_factory=dict)
    channels: Mapping[str, Part] = field(default_factory=dict)
    detections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    lines: tuple[str, ...] = ()

    def place_of_detection(self, id: str, key: str) -> Place:
        """Return where `key` of [detection.ID] stands, or that table when `key` is empty."""
        return _Reader(self.path, list(self.lines)).place(f"detection.{id}", key)


_PARTS = {"source": "pipeline.sources", "channel": "alerts.channels"}
_USUAL_KIND = {"source": "files", "channel": "email"}
_EVERY = {"source": timedelta(seconds=10), "channel": timedelta(0)}
_TOP = ("lake", "tenant", "alerts", "microsoft", *_PARTS, "detection")
_IN_TOML = {"path_type": "should be a path in quotes", "tuple_type": 'should be a list, such as ["…"]'}
_HEADER = re.compile(r"\s*\[+\s*([^\]#]+?)\s*\]+\s*(?:#.*)?$")
_TOML_LINE = re.compile(r"at line (\d+)")


def load(path: Path | None, *, with_parts: bool = True) -> Settings:
    """
    Return the settings in `path`, or in the first usual place; raise SettingsError that names every problem.

    Without parts, sources and channels are left out: who only looks into the lake needs none of their secrets.
    """
    settings, problems = read(where(path), with_parts=with_parts)
    if problems or settings is None:
        raise SettingsError("\n".join(str(problem) for problem in problems))
    return settings


def where(path: Path | None) -> Path:
    """Return the file to read; raise SettingsError when there is none."""
    candidates = (path,) if path else WHERE
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    looked = " nor ".join(str(candidate) for candidate in candidates)
    what_to_do = "name one with --config, or see `authsunset scan` for a look without settings"
    raise SettingsError(f"there is no settings file {looked}; {what_to_do}")


def read(path: Path, *, with_parts: bool = True) -> tuple[Settings | None, list[SettingsError]]:
    """Return the settings in `path` and all their problems; there are settings only when there is no problem."""
    try:
        text = path.read_text("utf-8-sig")  # Notepad on Windows writes a byte order mark
        table = tomllib.loads(text)
    except OSError as error:
        return None, [SettingsError(f"cannot be read: {error.strerror}", place=Place(path))]
    except UnicodeDecodeError:
        return None, [SettingsError("is not UTF-8 text; save it as UTF-8", place=Place(path))]
    except tomllib.TOMLDecodeError as error:
        line = _TOML_LINE.search(str(error))
        return None, [SettingsError(f"is not TOML: {error}", place=Place(path, int(line[1]) if line else None))]
    if not with_parts:
        table = {name: value for name, value in table.items() if name not in _PARTS}
    return _Reader(path, text.splitlines()).read(table)


class _Reader:
    """Reads one file and gathers what is wrong in it."""

    def __init__(self, path: Path, lines: list[str]) -> None:
        self.path = path
        self.lines = lines
        self.problems: list[SettingsError] = []

    def read(self, table: dict[str, Any]) -> tuple[Settings | None, list[SettingsError]]:
        self.unknown_tables(table)
        lake = self.section(LakeSettings, table.get("lake", {}), "lake")
        tenant = self.section(TenantSettings, table.get("tenant", {}), "tenant")
        alerts = self.section(AlertSettings, table.get("alerts", {}), "alerts")
        microsoft = self.microsoft(table["microsoft"]) if "microsoft" in table else None
        sources = self.parts("source", table.get("source", {}))
        self.check_uses(sources, has_microsoft="microsoft" in table)
        channels = self.parts("channel", table.get("channel", {}))
        detections = self.named("detection", table.get("detection", {}))
        if self.problems or lake is None or tenant is None or alerts is None:
            return None, sorted(self.problems, key=lambda problem: problem.place.line or 0)
        lake = replace(lake, folder=self.path.parent / lake.folder)
        parts = (sources, channels, detections, tuple(self.lines))
        return Settings(self.path, lake, tenant, alerts, microsoft, *parts), []

    def microsoft(self, table: Any) -> identity.Settings | None:
        settings = self.section(identity.Settings, table, "microsoft")
        for complaint in identity.check(settings) if settings else ():
            self.problem(complaint, self.place("microsoft"))
        return settings

    def check_uses(self, sources: Mapping[str, Part], *, has_microsoft: bool) -> None:
        for part in sources.values():
            if uses_microsoft(part) and not has_microsoft:
                what = (
                    "needs a table [microsoft] with tenant, client, and a certificate, a secret or a federated identity"
                )
                self.problem(f"kind {part.kind!r} {what}", part.place)

    def unknown_tables(self, table: dict[str, Any]) -> None:
        for key, value in table.items():
            if key not in _TOP:
                what = f"table [{key}]" if isinstance(value, dict | list) else f"key {key!r} outside of any table"
                self.problem(f"unknown {what}{_hint(key, _TOP)}", self.place(key))

    def named(self, group: str, tables: Any) -> dict[str, dict[str, Any]]:
        """Return the tables [GROUP.NAME] by name, after noting what stands there and is no table."""
        if not isinstance(tables, dict):
            self.problem(f"give each {group} a name: [{group}.NAME]", self.place(group))
            return {}
        for name, table in tables.items():
            if not isinstance(table, dict):
                self.problem(f"{name!r} should be a table: [{group}.{name}]", self.place(group, name))
        return {name: table for name, table in tables.items() if isinstance(table, dict)}

    def parts(self, group: str, tables: Any) -> dict[str, Part]:
        found = (self.part(group, name, dict(table)) for name, table in self.named(group, tables).items())
        return {part.name: part for part in found if part}

    def part(self, group: str, name: str, table: dict[str, Any]) -> Part | None:
        section = f"{group}.{name}"
        place = self.place(section)
        every = self.every(table.pop("every"), section) if "every" in table else None
        if "kind" not in table:
            self.problem(f"lacks the key 'kind', such as kind = \"{_USUAL_KIND[group]}\"", place)
            return None
        kind = str(table.pop("kind"))
        try:
            module = find(_PARTS[group], kind, self.place(section, "kind"))
        except SettingsError as error:
            self.problems.append(error)
            return None
        settings = self.section(module.Settings, table, section, also=("kind", "every"))
        if settings is None:
            return None
        for complaint in module.check(settings):
            self.problem(complaint, place)
        usual: timedelta = getattr(module, "EVERY", _EVERY[group])
        return Part(name, kind, module, settings, every or usual, place)

    def every(self, value: Any, section: str) -> timedelta | None:
        try:
            every = span_written(value)
        except ValueError as error:
            self.problem(f"'every': {error}", self.place(section, "every"))
            return None
        if not every:
            self.problem("'every' should be longer than nothing, such as '10s'", self.place(section, "every"))
        return every

    def section(self, cls: type[T], table: Any, section: str, also: tuple[str, ...] = ()) -> T | None:
        """Return `table` as a `cls`, or None after noting what is wrong with it."""
        if not isinstance(table, dict):
            self.problem("should be a table", self.place(section))
            return None
        names = [each.name for each in fields(cls)]  # type: ignore[arg-type]
        for key in table:
            if key not in names:
                self.problem(f"unknown key {key!r}{_hint(key, (*names, *also))}", self.place(section, key))
        try:
            return TypeAdapter(cls).validate_python({key: table[key] for key in table if key in names})
        except ValidationError as error:
            for problem in error.errors(include_input=False, include_url=False):
                key = str(problem["loc"][0]) if problem["loc"] else ""
                self.problem(_sentence(key, problem["type"], problem["msg"]), self.place(section, key))
            return None

    def problem(self, sentence: str, place: Place) -> None:
        self.problems.append(SettingsError(sentence, place=place))

    def place(self, section: str, key: str = "") -> Place:
        return Place(self.path, self.line_of(section, key), section)

    def line_of(self, section: str, key: str) -> int | None:
        """Return the line, from 1, on which `key` of `section` stands, or that of the section."""
        inside, line_of_section = False, None
        for number, line in enumerate(self.lines, start=1):
            if header := _HEADER.match(line):
                name = re.sub(r"[\"' ]", "", header[1])
                inside = name == section
                if key and name == f"{section}.{key}":
                    return number
                if inside or (line_of_section is None and name.startswith(f"{section}.")):
                    line_of_section = number
            elif key and inside and _begins_with(key, line):
                return number
            elif line_of_section is None and _begins_with(section, line):
                line_of_section = number  # written as `section = …`
        return line_of_section


def _begins_with(key: str, line: str) -> bool:
    return re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line) is not None


def _hint(word: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there is {', '.join(known)}"


def _sentence(key: str, kind: str, message: str) -> str:
    if kind == "missing":
        return f"lacks the key {key!r}"
    plain = message.removeprefix("Value error, ").removeprefix("Input ").strip()
    return f"{key!r}: {_IN_TOML.get(kind, plain)}"
