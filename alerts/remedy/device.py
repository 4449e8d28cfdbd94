"""
Guess what a sender is from the words in its names.

A guess and nothing more: the word that spoke is returned with it, so that a hint can say why it thinks so.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

UNKNOWN = "unknown"

_LANGUAGES = ("english", "german", "french", "makers")
_ALONE_BELOW = 5  # letters; shorter words stand in too many other ones
_LONGEST_NAME = 200
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_LETTERS = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class Guess:
    """A class of device_words.toml, what it is in plain words, the word that spoke and in which name it stood."""

    device_class: str
    is_a: str
    word: str
    place: str


NO_GUESS = Guess(UNKNOWN, "", "", "")


@dataclass(frozen=True, slots=True)
class _Known:
    device_class: str
    is_a: str
    words: frozenset[str]
    makes: re.Pattern[str] | None


def guess_device(mailbox: str, names: Iterable[str] = ()) -> Guess:
    """
    Return what the mailbox's local part and the names of its clients (host names, HELO) speak for.

    The longest match wins, on a tie the mailbox before the clients and the class that comes first in the file.
    """
    places = [("mailbox", mailbox.rpartition("@")[0] or mailbox), *(("client", name.split(".")[0]) for name in names)]
    found = [match for place, name in places for match in _matches(place, _folded(name[:_LONGEST_NAME]))]
    return max(found, key=lambda match: match[0], default=(0, NO_GUESS))[1]


def _matches(place: str, name: str) -> Iterator[tuple[int, Guess]]:
    parts = _LETTERS.findall(name)
    for known in _known():
        for word in known.words:
            if any(_speaks(word, part) for part in parts):
                yield len(word), Guess(known.device_class, known.is_a, word, place)
        if known.makes and (make := known.makes.fullmatch(name)):
            yield len(name), Guess(known.device_class, known.is_a, make["letters"].upper(), place)


def _speaks(word: str, part: str) -> bool:
    if len(word) < _ALONE_BELOW:
        return part == word
    return part.startswith(word) or part.endswith(word)


def _folded(name: str) -> str:
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFC", name).lower().translate(_UMLAUTS))
    return "".join(character for character in plain if not unicodedata.combining(character))


@cache
def _known() -> tuple[_Known, ...]:
    rows = tomllib.loads((files("alerts.remedy") / "device_words.toml").read_text("utf-8"))["class"]
    return tuple(
        _Known(
            device_class=row["name"],
            is_a=row["is"],
            words=frozenset(word for language in _LANGUAGES for word in row.get(language, ())),
            makes=re.compile(rf"(?P<letters>{'|'.join(row['makes'])})[0-9a-f]{{6,}}") if "makes" in row else None,
        )
        for row in rows
    )
