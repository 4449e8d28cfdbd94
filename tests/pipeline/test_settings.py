"""The settings file: a whole one, and each mistake that people make in one, with the line to mend."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.kinds import known
from pipeline.secret import Secret
from pipeline.settings import Settings, load, read, where
from tests.cli import ROOT

CANARY = "hunter2-canary"

WHOLE = """\
[lake]
folder = "/var/lib/authsunset"
lock_deadline = "90s"

[tenant]
domains = ["contoso.example"]

[alerts]
every = "1m"
remind_after = "2d"

[source.relays]
kind = "files"
every = "5s"
paths = [
  "/var/log/mail.log*",  # [lake]
]
zone = "Europe/Berlin"

[channel.admins]
kind = "email"
to = ["it@contoso.example"]
sender = "authsunset@contoso.example"
host = "relay.contoso.example"
port = 587
user = "authsunset"
password = { env = "AUTHSUNSET_TEST_PASSWORD" }

[detection.basic_retired]
min_refusals = 2
"""


def settings_in(folder: Path, text: str | bytes) -> Path:
    path = folder / "authsunset.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems_in(folder: Path, text: str | bytes) -> list[str]:
    """Return the problems of a settings file, each as people see it: without the folder that the test made."""
    settings, problems = read(settings_in(folder, text))
    assert settings is None
    return [str(problem).removeprefix(f"{folder}/") for problem in problems]


def read_well(folder: Path, text: str | bytes) -> Settings:
    settings, problems = read(settings_in(folder, text))
    assert problems == []
    assert settings is not None
    return settings


def test_a_whole_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHSUNSET_TEST_PASSWORD", CANARY)

    settings = read_well(tmp_path, WHOLE)

    assert settings.lake.folder == Path("/var/lib/authsunset")
    assert settings.lake.lock_deadline == timedelta(seconds=90)
    assert settings.tenant.domains == ("contoso.example",)
    assert (settings.alerts.every, settings.alerts.remind_after) == (timedelta(minutes=1), timedelta(days=2))
    assert (settings.sources["relays"].kind, settings.sources["relays"].every) == ("files", timedelta(seconds=5))
    assert settings.sources["relays"].settings.paths == ("/var/log/mail.log*",)
    assert settings.channels["admins"].settings.password == Secret("env", "AUTHSUNSET_TEST_PASSWORD")
    assert settings.channels["admins"].module.__name__ == "alerts.channels.email"
    assert settings.detections == {"basic_retired": {"min_refusals": 2}}


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    settings = read_well(tmp_path, "")

    assert (settings.lake.folder, settings.alerts.every) == (tmp_path / "lake", timedelta(seconds=15))
    assert (settings.sources, settings.channels, settings.detections) == ({}, {}, {})


def test_a_file_saved_by_notepad_is_read(tmp_path: Path) -> None:
    text = b"\xef\xbb\xbf" + b'[lake]\r\nfolder = "/srv/lake"\r\n'

    assert read_well(tmp_path, text).lake.folder == Path("/srv/lake")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            '[lake]\n\nfoldr = "x"\n',
            "authsunset.toml:3 [lake]: unknown key 'foldr'; did you mean 'folder'?",
            id="unknown_key",
        ),
        pytest.param(
            '[tenant]\ncolour = "x"\n',
            "authsunset.toml:2 [tenant]: unknown key 'colour'; there is domains",
            id="unknown_key_like_no_other",
        ),
        pytest.param(
            '[source.relays]\nkind = "files"\n"path" = ["x"]\npaths = ["y"]\n',
            "authsunset.toml:3 [source.relays]: unknown key 'path'; did you mean 'paths'?",
            id="unknown_key_of_a_source",
        ),
        pytest.param(
            '[source.relays]\nkind = "files"\npaths = ["y"]\n[source.relays.filter]\nx = 1\n',
            "authsunset.toml:4 [source.relays]: unknown key 'filter'; there is paths, format, zone, host, kind, every",
            id="unknown_table_of_a_source",
        ),
        pytest.param(
            '[lake]\nfolder = "x"\n[alert]\nevery = "1m"\n',
            "authsunset.toml:3 [alert]: unknown table [alert]; did you mean 'alerts'?",
            id="unknown_table",
        ),
        pytest.param(
            'folder = "x"\n[lake]\n',
            "authsunset.toml:1 [folder]: unknown key 'folder' outside of any table; "
            "there is lake, tenant, alerts, microsoft, source, channel, detection",
            id="key_outside_of_any_table",
        ),
        pytest.param(
            '[source.relays]\npaths = ["x"]\n',
            "authsunset.toml:1 [source.relays]: lacks the key 'kind', such as kind = \"files\"",
            id="missing_kind_of_a_source",
        ),
        pytest.param(
            "[lake]\n[channel.admins]\n",
            "authsunset.toml:2 [channel.admins]: lacks the key 'kind', such as kind = \"email\"",
            id="missing_kind_of_a_channel",
        ),
        pytest.param(
            '[source.relays]\npaths = ["x"]\nkind = "fils"\n',
            "authsunset.toml:3 [source.relays]: no 'fils' in pipeline sources; "
            f"there is {', '.join(known('pipeline.sources'))}; did you mean 'files'?",
            id="unknown_kind",
        ),
        pytest.param(
            '[source.relays]\nkind = "files"\n',
            "authsunset.toml:1 [source.relays]: lacks the key 'paths'",
            id="missing_key",
        ),
        pytest.param(
            '[source.relays]\nkind = "files"\npaths = "/var/log/mail.log"\n',
            "authsunset.toml:3 [source.relays]: 'paths': should be a list, such as [\"…\"]",
            id="wrong_type",
        ),
        pytest.param(
            "[lake]\nfolder = 7\n", "authsunset.toml:2 [lake]: 'folder': should be a path in quotes",
            id="wrong_type_of_a_path",
        ),
        pytest.param(
            'lake = "here"\n', "authsunset.toml:1 [lake]: should be a table", id="value_in_place_of_a_table"
        ),
        pytest.param(
            '[source]\nrelays = "files"\n',
            "authsunset.toml:2 [source]: 'relays' should be a table: [source.relays]",
            id="source_that_is_no_table",
        ),
        pytest.param(
            '[[source]]\nkind = "files"\n',
            "authsunset.toml:1 [source]: give each source a name: [source.NAME]",
            id="source_without_a_name",
        ),
        pytest.param(
            "[detection]\nbasic_retired = 5\n",
            "authsunset.toml:2 [detection]: 'basic_retired' should be a table: [detection.basic_retired]",
            id="detection_that_is_no_table",
        ),
        pytest.param(
            '[alerts]\nremind_after = "1 day"\n',
            "authsunset.toml:2 [alerts]: 'remind_after': '1 day' is no span of time; "
            "write a number and s, m, h, d or w, such as '15m'",
            id="bad_span",
        ),
        pytest.param(
            "[alerts]\nremind_after = 60\n",
            "authsunset.toml:2 [alerts]: 'remind_after': '60' is no span of time; "
            "write a number and s, m, h, d or w, such as '15m'",
            id="span_without_a_unit",
        ),
        pytest.param(
            '[lake]\nlock_deadline = "-5m"\n',
            "authsunset.toml:2 [lake]: 'lock_deadline': '-5m' is a negative span of time; write it without the sign",
            id="negative_span",
        ),
        pytest.param(
            f'[lake]\nlock_deadline = "{"9" * 30}w"\n',
            f"authsunset.toml:2 [lake]: 'lock_deadline': '{'9' * 30}w' is longer than any calendar; "
            "write a number and a unit, such as '15m'",
            id="endless_span",
        ),
        pytest.param(
            '[source.relays]\nkind = "files"\npaths = ["x"]\nevery = "0s"\n',
            "authsunset.toml:4 [source.relays]: 'every' should be longer than nothing, such as '10s'",
            id="every_that_never_waits",
        ),
        pytest.param(
            '[source.relays]\nkind = "files"\npaths = ["x"]\nzone = "Berlin"\n',
            "authsunset.toml:1 [source.relays]: no time zone 'Berlin'; "
            "write one like 'Europe/Berlin', 'UTC' or 'local'",
            id="bad_zone",
        ),
        pytest.param(
            f'[channel.teams]\nkind = "teams"\nurl = "https://{CANARY}.example"\n',
            "authsunset.toml:3 [channel.teams]: 'url': a secret must be given as "
            '{ file = "…" } or { env = "…" }, and not as a str in the settings text',
            id="literal_secret",
        ),
        pytest.param(
            '[lake]\nfolder = "x\n',
            "authsunset.toml:2: is not TOML: Illegal character '\\n' (at line 2, column 12)",
            id="not_toml",
        ),
        pytest.param(
            '[lake]\nfolder = "l\xe4ke"\n'.encode("latin-1"),
            "authsunset.toml: is not UTF-8 text; save it as UTF-8",
            id="not_utf_8",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line_and_the_mend(tmp_path: Path, text: str | bytes, problem: str) -> None:
    assert problems_in(tmp_path, text) == [problem]


def test_all_problems_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
[lake]
foldr = "x"
lock_deadline = "soon"

[lakes]

[source.a]
kind = "fils"
every = "often"

[source.b]
kind = "files"
path = ["x"]
zone = 7

[channel.c]
kind = "email"
port = "many"
"""

    problems = problems_in(tmp_path, text)

    found = [(int(problem.split(":")[1].split()[0]), problem.partition("]: ")[2].split(";")[0]) for problem in problems]
    assert found == [
        (2, "unknown key 'foldr'"),
        (3, "'lock_deadline': 'soon' is no span of time"),
        (5, "unknown table [lakes]"),
        (8, "no 'fils' in pipeline sources"),
        (9, "'every': 'often' is no span of time"),
        (11, "lacks the key 'paths'"),
        (13, "unknown key 'path'"),
        (14, "'zone': should be a valid string"),
        (16, "lacks the key 'to'"),
        (16, "lacks the key 'sender'"),
        (18, "'port': should be a valid integer, unable to parse string as an integer"),
    ]


def test_a_missing_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"there is no settings file .*gone\.toml; name one with --config"):
        load(tmp_path / "gone.toml")


def test_a_folder_is_no_settings_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no settings file"):
        where(tmp_path)


def test_the_file_beside_is_taken_when_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings_in(tmp_path, WHOLE)
    monkeypatch.chdir(tmp_path)

    assert where(None) == Path("authsunset.toml")


def test_a_file_that_vanished_meanwhile_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    settings, problems = read(tmp_path / "gone.toml")

    assert settings is None
    assert [str(problem) for problem in problems] == [
        f"{tmp_path}/gone.toml: cannot be read: No such file or directory"
    ]


def test_loading_fails_with_every_problem_in_one_error(tmp_path: Path) -> None:
    path = settings_in(tmp_path, "[lake]\nfoldr = 1\n[tenant]\ndomain = 1\n")

    with pytest.raises(SettingsError) as caught:
        load(path)

    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    "line",
    [
        f'password = "{CANARY}"',
        f'password = {{ value = "{CANARY}" }}',
        f'password = ["{CANARY}"]',
        f'pasword = "{CANARY}"',
        f'password = {{ file = "a", env = "b", x = "{CANARY}" }}',
        f'password = "{CANARY}',
        f'port = "{CANARY}"',
    ],
)
def test_a_secret_in_the_wrong_place_is_never_shown(tmp_path: Path, line: str) -> None:
    problems = problems_in(
        tmp_path, f'[channel.admins]\nkind = "email"\nto = ["a@b.example"]\nsender = "c@b.example"\n{line}\n'
    )

    assert problems
    assert CANARY not in "".join(problems)


def test_nothing_of_the_settings_shows_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHSUNSET_TEST_PASSWORD", CANARY)

    assert CANARY not in repr(read_well(tmp_path, WHOLE))


EXAMPLES = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "sources.md").read_text("utf-8"), re.DOTALL)
MICROSOFT = next(each for each in EXAMPLES if "[microsoft]" in each)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: "+".join(re.findall(r"kind = \"(\w+)\"", each)))
def test_the_settings_that_the_pages_of_the_sources_show_are_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, example: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("c2VjcmV0LXNlY3JldC1zZWNyZXQ=")
    for name in re.findall(r"env = \"(\w+)\"", example):
        monkeypatch.setenv(name, secret.read_text())
    whole = example if "[microsoft]" in example else MICROSOFT.partition("[source")[0] + example

    path = tmp_path / "authsunset.toml"
    path.write_text(re.sub(r"file = \"[^\"]+\"", f'file = "{secret.as_posix()}"', whole), "utf-8")

    assert read(path)[1] == []
