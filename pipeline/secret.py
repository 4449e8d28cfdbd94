"""
A secret: where to read it, and never what it is.

The value is read each time it is revealed and kept nowhere, so settings load on a machine that does not have it, a
rotated secret is seen without a restart, and neither a log nor a traceback can show it. pydantic prints the input of
a failed validation, so a password written where `{ file = … }` belongs is replaced before pydantic sees the error.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NoReturn

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, ValidationError, core_schema

from pipeline.errors import SettingsError

SHOWN = "***"

_EXPECTED = 'a secret must be given as { file = "…" } or { env = "…" }'


class Secret:
    """A value that prints as `***`; two secrets are equal when they are read from the same place."""

    __slots__ = ("_kind", "_name")

    def __init__(self, kind: str, name: str) -> None:
        self._kind = kind
        self._name = name

    @classmethod
    def from_setting(cls, value: object) -> Secret:
        """Return the secret that the setting `value` points to; nothing is read yet."""
        if isinstance(value, Secret):
            return value
        if not isinstance(value, dict):
            raise SettingsError(f"{_EXPECTED}, and not as a {type(value).__name__} in the settings text")
        if len(value) != 1 or not value.keys() <= {"file", "env"}:
            raise SettingsError(f"{_EXPECTED}, with exactly one of the two keys")
        ((kind, name),) = value.items()
        if not isinstance(name, str) or not name or "\0" in name:
            raise SettingsError(f"{_EXPECTED}, and {kind} must name a {_NOUNS[kind]}")
        return cls(kind, name)

    def reveal(self) -> str:
        """Return the value as it is now, without the line end that closes most files."""
        value = self._read_file() if self._kind == "file" else self._read_env()
        if not value.strip():
            raise SettingsError(f"the secret in {self.where} is empty: write the value there")
        return value

    @property
    def where(self) -> str:
        """Where the value is read, for people."""
        return f"the {_NOUNS[self._kind]} {self._name}"

    def _read_env(self) -> str:
        try:
            return os.environ[self._name]
        except KeyError:
            raise SettingsError(f"{self.where} is not set: it should hold a secret") from None

    def _read_file(self) -> str:
        try:
            # Notepad on Windows writes a byte order mark.
            return Path(self._name).expanduser().read_text("utf-8-sig").rstrip("\r\n")
        except UnicodeDecodeError:  # its text quotes what was read
            raise SettingsError(f"the secret in {self.where} is not UTF-8 text: save it as UTF-8") from None
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SettingsError(f"{self.where} should hold a secret, but cannot be read: {reason}") from error

    def __repr__(self) -> str:
        return SHOWN

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return format(SHOWN, format_spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self._kind, self._name) == (other._kind, other._name)

    def __hash__(self) -> int:
        return hash((self._kind, self._name))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _validated, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"oneOf": [_schema_of("file"), _schema_of("env")]}


_NOUNS = {"file": "file", "env": "environment variable"}


def _schema_of(key: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {key: {"type": "string", "minLength": 1}},
        "required": [key],
        "additionalProperties": False,
    }


def _validated(value: object) -> Secret:
    try:
        return Secret.from_setting(value)
    except SettingsError as error:
        _refuse(error.sentence)


def _refuse(sentence: str) -> NoReturn:
    problem = PydanticCustomError("secret", "{sentence}", {"sentence": sentence})
    raise ValidationError.from_exception_data("Secret", [InitErrorDetails(type=problem, input=SHOWN)]) from None
