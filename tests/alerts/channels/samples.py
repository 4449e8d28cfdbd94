"""Messages to send in tests, and the settings of every channel, by the names of their fields."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from alerts.message import Message
from pipeline.secret import Secret

CANARY = "c4n4ry"
"""Part of every secret that a channel gets here; it must be seen nowhere."""

NOW = datetime(2027, 1, 2, 3, 12, tzinfo=UTC)

URL = f"https://prod-01.westeurope.logic.azure.com/workflows/{CANARY}/triggers/manual/paths/invoke?sig={CANARY}"

HINT = """\
## What it means

Exchange Online takes no **password** any more. See [the announcement](https://learn.example/basic-auth).

## Check first

Which device sends, and what waits (*reads*):

```powershell
Get-MessageTraceV2 -SenderAddress "scanner@contoso.example" |
    Where-Object { $_.Status -ne 'Delivered' }
```

## Then

1. Send through the relay.
2. Keep `smtp.contoso.example` as the host.
   - port 25
   - no log-in

## It is over when

A mail of scanner\\_2@contoso.example is accepted.
"""


def message(**changes: Any) -> Message:
    """Return a message as it should look; `changes` replaces fields."""
    usual = Message(
        id="0a1b2c3d4e5f60718293a4b5",
        thread="5f60718293a4b5c6d7e8f900",
        reason="new",
        severity="high",
        title="scanner@contoso.example is refused: Basic authentication is off",
        summary="Exchange Online answers 550 5.7.30 to this sender.\n"
        "12 mails wait in the queue of relay1.contoso.example.",
        facts=(("Sender", "scanner@contoso.example"), ("Refusals", "41"), ("Device", "mfp-3 (192.0.2.17)")),
        hint=HINT,
        noticed_at=NOW,
        data={"fingerprint": "5f60", "refusals": 41},
    )
    return dataclasses.replace(usual, **changes)


def hostile_message(text: str) -> Message:
    """Return a message with `text` in every place that can hold a value from a log."""
    return message(title=text, summary=text, facts=(("Sender", text), (text, "HELO")), data={"helo": text})


def secret(folder: Path, name: str, value: str) -> Secret:
    """Return a secret that is read from a file in `folder`."""
    path = folder / name
    path.write_text(value, "utf-8")
    return Secret("file", str(path))


def settings_of(channel: ModuleType, folder: Path, **changes: Any) -> Any:
    """Return good settings for `channel`; of the values below it gets those that it has a field for."""
    values = {
        "url": changes.get("url") or secret(folder, "url", URL),
        "to": ("admin@contoso.example", "oncall@contoso.example"),
        "sender": "authsunset <alerts@contoso.example>",
        "host": "127.0.0.1",
        "starttls": False,
        "user": "alerts",
        "password": changes.get("password") or secret(folder, "password", "right"),
    } | changes
    fields = {field.name for field in dataclasses.fields(channel.Settings)}
    return channel.Settings(**{name: value for name, value in values.items() if name in fields})
