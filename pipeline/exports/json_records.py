"""One record of a JSON export. Keys are compared without case, because feeds that pass records on change it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class JsonRecord:
    """One record: its values by key in lower case, and where the document that holds it begins."""

    values: dict[str, Any]
    offset: int

    def text(self, *names: str) -> str:
        """Return the first of the values called `names` (lower case) that says something, as text."""
        for name in names:
            value = self.values.get(name)
            if isinstance(value, dict):  # Windows PowerShell writes some dates as {"value": …, "DateTime": …}
                value = next((each for key, each in value.items() if key.lower() == "value"), None)
            if isinstance(value, str) and value.strip():
                return value.strip()
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return str(value)
        return ""

    def inner(self, name: str) -> dict[str, Any]:
        """Return the object called `name` with its keys in lower case; some exports write it as JSON in a string."""
        value = self.values.get(name)
        if isinstance(value, str) and value.lstrip()[:1] == "{":
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                return {}
        return {str(key).lower(): each for key, each in value.items()} if isinstance(value, dict) else {}
