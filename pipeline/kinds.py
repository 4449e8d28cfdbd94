"""Find a source, a carrier, a format or a channel: the file name is the only registration there is."""

from __future__ import annotations

import pkgutil
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from types import ModuleType

from pipeline.errors import NOWHERE, Place, SettingsError


@cache
def known(package: str) -> list[str]:
    """Return the names of all modules in `package`."""
    return sorted(module.name for module in pkgutil.iter_modules(import_module(package).__path__))


def find(package: str, kind: str, place: Place = NOWHERE) -> ModuleType:
    """Return the module `kind` of `package`; raise SettingsError with the nearest names when there is none."""
    return find_in((package,), kind, place)


def find_in(packages: tuple[str, ...], kind: str, place: Place = NOWHERE) -> ModuleType:
    """Return the module `kind` of the first of `packages` that has it; raise SettingsError when none has."""
    found = _module(packages, kind)
    if found is not None:
        return found
    names = sorted(name for package in packages for name in known(package))
    near = get_close_matches(kind, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    where = " or ".join(package.replace(".", " ") for package in packages)
    raise SettingsError(f"no {kind!r} in {where}; there is {', '.join(names)}{hint}", place=place)


@cache
def _module(packages: tuple[str, ...], kind: str) -> ModuleType | None:
    # A log asks for its program at each line.
    package = next((package for package in packages if kind in known(package)), None)
    return import_module(f"{package}.{kind}") if package else None
