"""Whether each secret is where the settings say: it is read, found not empty, and forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pipeline.doctor.facts import user_name
from pipeline.doctor.result import Group, Result, Topic
from pipeline.errors import SettingsError
from pipeline.secret import Secret


def secrets(sections: Mapping[str, object]) -> Iterator[Result]:
    """Yield how each secret in `sections` is, which are dataclasses of settings by the name of their table."""
    for section, settings in sections.items():
        for key, secret in secrets_in(settings):
            yield _one(Topic(Group.SETTINGS, "secret", f"[{section}] {key}"), secret)


def secrets_in(settings: Any) -> Iterator[tuple[str, Secret]]:
    """Yield each secret in a dataclass of settings, with the key that it has there."""
    for each in fields(settings) if is_dataclass(settings) else ():
        value = getattr(settings, each.name)
        values = value if isinstance(value, tuple) else (value,)
        for one in values:
            if isinstance(one, Secret):
                yield each.name, one
            elif is_dataclass(one):
                yield from ((f"{each.name}.{key}", secret) for key, secret in secrets_in(one))


def _one(topic: Topic, secret: Secret) -> Result:
    try:
        secret.reveal()
    except SettingsError as error:
        mend = (
            f"put the secret there so that the user {user_name()} may read it, and nobody else:\n"
            "install -m 600 /dev/stdin FILE    # then paste it and press Ctrl-D\n"
            "a variable of a service stands in its unit: EnvironmentFile=/etc/authsunset/environment"
        )
        return topic.broken(error.sentence, mend)
    return topic.ok(f"{secret.where} holds one")
