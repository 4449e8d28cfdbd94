"""Find a source, a format or a channel: the file name is the only registration there is."""

from __future__ import annotations

import pkgutil
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType

from pipeline.errors import NOWHERE, Place, SettingsError


def known(package: str) -> list[str]:
    """Return the names of all modules in `package`."""
    return sorted(module.name for module in pkgutil.iter_modules(import_module(package).__path__))


def find(package: str, kind: str, place: Place = NOWHERE) -> ModuleType:
    """Return the module `kind` of `package`; raise SettingsError with the nearest names when there is none."""
    names = known(package)
    if kind not in names:
        near = get_close_matches(kind, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        sentence = f"no {kind!r} in {package.replace('.', ' ')}; there is {', '.join(names)}{hint}"
        raise SettingsError(sentence, place=place)
    return import_module(f"{package}.{kind}")
