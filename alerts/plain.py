"""
Make text from a log fit to be shown: what cannot be seen becomes visible, what never ends is cut.

Control characters drive terminals and break headers, bidirectional overrides make a name read backwards, and a lone
surrogate cannot be sent at all. They are spelled out, and not dropped, because they are evidence. The braces of the
spelling mean nothing in HTML or Markdown.
"""

from __future__ import annotations

import re
import unicodedata

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_KEPT = "\n\t\u200c\u200d"  # Persian, Hindi and emoji cannot be written without the joiners
_LINE_ENDS = re.compile(r"\r\n|\r|\n")
_SPACES = re.compile(r"[ \t\r\n]+")


def spelled_out(text: str) -> str:
    """Return `text` with everything unseen, except line ends and tabs, in the form {U+202E}."""
    return "".join(_seen(character) for character in text)


def one_line(text: str, longest: int) -> str:
    """Return `text` on one line of at most `longest` characters, with everything unseen spelled out."""
    looked_at = text[: 4 * longest]
    shown = spelled_out(_SPACES.sub(" ", looked_at).strip())
    is_whole = len(shown) <= longest and len(looked_at) == len(text)
    return shown if is_whole else shown[: longest - 1] + "…"


def lines(text: str, longest: int, most: int = 100) -> list[str]:
    """Return up to `most` lines of `text`, `longest` characters in all, as `one_line` shows them; none is empty."""
    found = [line for line in _LINE_ENDS.split(text[:longest]) if line.strip()]
    shown = [one_line(line, longest) for line in found[:most]]
    is_whole = len(text) <= longest and len(found) <= most
    return shown if is_whole else [*shown, "…"]


def _seen(character: str) -> str:
    if character in _KEPT or unicodedata.category(character) not in _UNSEEN:
        return character
    return f"{{U+{ord(character):04X}}}"
