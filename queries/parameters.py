"""
What a saved query may be asked with: each parameter has a type, a default and a word of help.

The header says it in the short form or the long one; the type of a plain default is that of its value, and a text such
as "-30d" is a moment:

    [params]
    since = "-30d"

    [params.outcome]
    type = "choice"
    choices = ["any", "accepted", "rejected"]
    default = "any"
    help = "Only answers with this outcome."
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.errors import DetectionError
from pipeline.spans import span_of
from queries.sql_files import SqlFile

_AGO = re.compile(r"-\d+(?:\.\d+)?[smhdw]")
_YES, _NO = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}
_INT64 = 1 << 63


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a saved query."""

    name: str
    type: str
    default: Any
    help: str = ""
    choices: tuple[str, ...] = ()

    @property
    def example(self) -> str:
        """What a value looks like, for people."""
        return " or ".join(self.choices) if self.type == "choice" else TYPES[self.type].example

    @property
    def shown_default(self) -> str:
        """The default as one would write it behind `-p`."""
        if isinstance(self.default, list):
            return ",".join(map(str, self.default))
        return str(self.default).lower() if isinstance(self.default, bool) else str(self.default)

    def value(self, given: str, now: datetime) -> Any:
        """Return what `given` means, for DuckDB; raise ValueError when it means nothing."""
        if self.type == "choice":
            if given not in self.choices:
                raise ValueError(given)
            return given
        return TYPES[self.type].read(given, now)


@dataclass(frozen=True, slots=True)
class Type:
    """A type of parameters: an example, and how to read a value that somebody wrote."""

    example: str
    read: Callable[[str, datetime], Any]


def parameters_in(file: SqlFile) -> tuple[Parameter, ...]:
    """Return the parameters of `file`, in the order of its header; raise ValueError for a header that is wrong."""
    return tuple(_parameter(name, said) for name, said in file.header.get("params", {}).items())


def default_of(said: Any) -> Any:
    """Return the default of a parameter of which the header has `said` this."""
    return said["default"] if isinstance(said, Mapping) else said


def parameters_of(file: SqlFile, given: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """Return the parameters of `file` with those `given` in their place; '-30d' is a time before `now`."""
    known = parameters_in(file)
    unknown = given.keys() - {each.name for each in known}
    if unknown:
        there_is = ", ".join(f"{each.name} ({each.type})" for each in known) or "none"
        raise DetectionError(f"query {file.name} has no parameter {', '.join(sorted(unknown))}; there is {there_is}")
    return {each.name: _value(file, each, given.get(each.name, each.shown_default), now) for each in known}


def _value(file: SqlFile, parameter: Parameter, given: str, now: datetime) -> Any:
    try:
        return parameter.value(given, now)
    except (ValueError, OverflowError) as error:
        kind = "one of these" if parameter.type == "choice" else f"of type {parameter.type}"
        raise DetectionError(
            f"query {file.name}: parameter {parameter.name} is {kind}, such as {parameter.example}; "
            f"{given!r} cannot be read so"
        ) from error


def _parameter(name: str, said: Any) -> Parameter:
    if not isinstance(said, Mapping):
        return Parameter(name, _type_of(said), said)
    unknown = said.keys() - {"type", "default", "help", "choices"}
    if unknown:
        raise ValueError(f"parameter {name}: unknown key {', '.join(sorted(unknown))}")
    type_ = said.get("type") or _type_of(said["default"])
    if type_ != "choice" and type_ not in TYPES:
        raise ValueError(f"parameter {name}: no type {type_!r}; there is {', '.join([*TYPES, 'choice'])}")
    return Parameter(name, type_, said["default"], said.get("help", ""), tuple(said.get("choices", ())))


def _type_of(default: Any) -> str:
    match default:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case list():
            return "list"
        case _:
            return "moment" if _AGO.fullmatch(str(default)) else "text"


def _integer(given: str, _: datetime) -> int:
    number = int(given)
    if not -_INT64 <= number < _INT64:
        raise ValueError(given)
    return number


def _number(given: str, _: datetime) -> float:
    number = float(given)
    if not math.isfinite(number):
        raise ValueError(given)
    return number


def _boolean(given: str, _: datetime) -> bool:
    if given.lower() not in _YES | _NO:
        raise ValueError(given)
    return given.lower() in _YES


def _duration(given: str, _: datetime) -> timedelta:
    return span_of(given)


def _moment(given: str, now: datetime) -> datetime:
    if _AGO.fullmatch(given):
        return now + span_of(given)
    moment = datetime.fromisoformat(given)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(given: str, _: datetime) -> str:
    return given


def _list(given: str, _: datetime) -> list[str]:
    return [each.strip() for each in given.split(",") if each.strip()]


TYPES: Mapping[str, Type] = {
    "integer": Type("7", _integer),
    "number": Type("0.5", _number),
    "boolean": Type("true or false", _boolean),
    "duration": Type("15m, 6h or 30d", _duration),
    "moment": Type("-30d, 2026-12-31 or 2026-12-31T18:00", _moment),
    "text": Type("scan@contoso.example", _text),
    "list": Type("contoso.example,fabrikam.example", _list),
}
"""Every type but `choice`, whose values the header lists."""
