"""`authsunset doctor` as a person meets it."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.cli.doctor import _world
from pipeline.graph.identity import Settings
from tests.cli import SETTINGS, authsunset, settings_in

CANARY = "hunter2-canary"


def test_a_machine_that_is_well_gives_exit_code_0_and_stays_as_it_was(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    (tmp_path / "logs" / "mail.log").touch()

    ran = authsunset("-c", settings, "doctor", "--format", "json", cwd=tmp_path)

    rows = json.loads(ran.out)
    assert ran.code == 0
    assert not [row for row in rows if row["state"] == "broken"]
    assert {row["group"] for row in rows} == {"settings", "machine", "lake", "sources", "channels"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["authsunset.toml", "logs"]


def test_what_is_broken_gives_exit_code_1_and_its_mend_below_the_table(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"http://127.0.0.1:9/{CANARY}?sig={CANARY}")
    hook = f'\n[channel.hook]\nkind = "webhook"\nurl = {{{{ file = "{tmp_path.as_posix()}/url" }}}}\n'
    settings = settings_in(tmp_path, SETTINGS + hook)

    ran = authsunset("-c", settings, "doctor", cwd=tmp_path)

    assert ran.code == 1
    assert "nothing listens at 127.0.0.1:9" in ran.out
    assert "\n   nc -vz 127.0.0.1 9\n" in ran.out
    assert "1 broken" in ran.err
    assert CANARY not in ran.out + ran.err


def test_bad_settings_give_exit_code_78_and_the_lake_is_looked_at_all_the_same(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, SETTINGS.replace("paths", "path"))

    ran = authsunset("-c", settings, "doctor", "--format", "ndjson", cwd=tmp_path)

    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.code == 78
    assert any("did you mean 'paths'?" in row["found"] for row in rows if row["state"] == "broken")
    assert {row["group"] for row in rows} == {"settings", "machine", "lake"}


def test_microsoft_is_asked_impatiently_and_within_the_count_that_the_service_keeps(tmp_path: Path) -> None:
    tenant = Settings(tenant="contoso.onmicrosoft.com", client="x", ca_file=tmp_path / "none.pem", timeout_s=60)
    counted = tmp_path / "graph-quota.sqlite"

    with _world(tenant, tmp_path, 10) as new:
        assert new.graph is not None
        assert new.graph.quota.path != counted, "a file of another user would lock the service out"
        assert new.graph.settings.timeout_s == 10
        assert new.graph.clock.wait(600), "who is asked to wait for minutes gives up"
    counted.touch()
    with _world(tenant, tmp_path, 10) as known:
        assert known.graph is not None
        assert known.graph.quota.path == counted
    assert sorted(tmp_path.iterdir()) == [counted]
