"""Zones, disks, folders, files: facts about the machine, handed in, and what is made of them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from datetime import UTC, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pipeline.doctor.disk import Space, disk, space_of
from pipeline.doctor.exports import ages, schedule
from pipeline.doctor.facts import name_of_group, name_of_user, user_name
from pipeline.doctor.files import files
from pipeline.doctor.folder import owner, writable
from pipeline.doctor.result import Group, Result, State
from pipeline.doctor.zone import Machine, this_machine, zones
from pipeline.errors import SettingsError
from pipeline.needs import Age
from tests.pipeline.doctor.conftest import NOW

USUAL = Machine(is_told=True, is_container=False)


def knowing(**known: tzinfo) -> Callable[[str], tzinfo]:
    def find(name: str) -> tzinfo:
        try:
            return known[name.partition("/")[0]]
        except KeyError:
            raise SettingsError(f"no time zone {name!r}; write one like 'UTC'") from None

    return find


def test_the_zone_of_logs_that_name_none_is_said() -> None:
    _, found = zones(["relay", "scanner"], USUAL, knowing(local=ZoneInfo("Europe/Berlin"), Europe=UTC))

    assert (found.state, found.about) == (State.OK, "relay, scanner")
    assert "Europe/Berlin" in found.found


def test_no_zone_is_said_where_no_source_needs_one() -> None:
    assert [found.check for found in zones([], USUAL, knowing(Europe=UTC))] == ["time zones"]


def test_a_machine_that_does_not_tell_its_zone_is_a_warning() -> None:
    untold = Machine(is_told=False, is_container=False)

    _, found = zones(["relay"], untold, knowing(local=UTC, Europe=UTC))

    assert found.state is State.WARNING
    assert "does not tell its zone" in found.found
    assert 'zone = "Europe/Berlin"' in found.mend


def test_a_zone_that_contradicts_itself_is_broken() -> None:
    _, found = zones(["relay"], USUAL, knowing(Europe=UTC))

    assert found.state is State.BROKEN


@pytest.mark.parametrize(
    ("zone", "is_container", "state"),
    [
        (ZoneInfo("Etc/UTC"), True, State.WARNING),
        (UTC, True, State.WARNING),
        (UTC, False, State.OK),
        (ZoneInfo("Europe/Berlin"), True, State.OK),
    ],
)
def test_utc_in_a_container_is_doubted(zone: tzinfo, is_container: bool, state: State) -> None:
    machine = Machine(is_told=True, is_container=is_container)

    _, found = zones(["relay"], machine, knowing(local=zone, Europe=UTC))

    assert found.state is state


def test_a_machine_without_zones_is_told_to_install_them() -> None:
    [found] = zones([], USUAL, knowing())

    assert found.state is State.BROKEN
    assert "apt-get install tzdata" in found.mend


def test_this_machine_can_be_asked() -> None:
    found = list(zones(["relay"], this_machine()))

    assert len(found) == 2


@pytest.mark.parametrize(
    ("space", "state", "words"),
    [
        (Space(50 << 30, 1_000_000), State.OK, "50.0 GiB"),
        (Space(50 << 30), State.OK, "50.0 GiB"),
        (Space((2 << 30) - 1, 1_000_000), State.WARNING, "GiB"),
        (Space((256 << 20) - 1, 1_000_000), State.BROKEN, "may fail at any time"),
        (Space(50 << 30, 9_999), State.WARNING, "inodes"),
        (Space(50 << 30, 0), State.BROKEN, "inodes"),
        (Space(50 << 30, 1_000_000, is_read_only=True), State.BROKEN, "read-only"),
    ],
)
def test_a_disk_is_judged_by_what_is_left(space: Space, state: State, words: str, tmp_path: Path) -> None:
    found = disk(tmp_path / "lake", space)

    assert found.state is state
    assert words in found.found
    assert bool(found.mend) is (state is not State.OK)


def test_the_disk_of_a_folder_that_is_not_there_yet_can_be_asked(tmp_path: Path) -> None:
    assert space_of(tmp_path / "not" / "yet").free > 0


def test_a_folder_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    found = writable(Group.LAKE, "lake", tmp_path)

    assert found.state is State.OK
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    found = writable(Group.LAKE, "lake", tmp_path / "lake")

    assert found.state is State.OK
    assert "when it is first needed" in found.found
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "lake").touch()

    assert writable(Group.LAKE, "lake", tmp_path / "lake").state is State.BROKEN


@pytest.mark.parametrize(
    ("number", "words", "mend"),
    [
        (errno.EACCES, "may not write", "chown -R"),
        (errno.EROFS, "mounted read-only", "remount"),
        (errno.ENOSPC, "takes nothing more", "df -h"),
    ],
)
def test_a_folder_that_cannot_be_written_is_told_with_its_reason(
    number: int, words: str, mend: str, tmp_path: Path
) -> None:
    def write(_: Path) -> None:
        raise OSError(number, os.strerror(number))

    found = writable(Group.LAKE, "lake", tmp_path, write)

    assert found.state is State.BROKEN
    assert words in found.found
    assert mend in found.mend


def test_a_folder_that_may_not_be_made_is_told_with_the_command_that_makes_it(tmp_path: Path) -> None:
    def write(_: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    found = writable(Group.LAKE, "lake", tmp_path / "my lake", write)

    assert f"sudo install -d -o {user_name()} '{tmp_path}/my lake'" in found.mend


def test_who_looks_at_the_lake_of_another_user_is_warned() -> None:
    folder = Path("/var/lib/authsunset")

    [found] = owner(folder, (0, 123_456), "authsunset -c x.toml doctor")

    assert found.state is State.WARNING
    assert "sudo -u 123456 authsunset -c x.toml doctor" in found.mend
    assert not list(owner(folder, (5, 5), ""))
    assert not list(owner(folder, None, ""))


def test_users_and_groups_without_a_name_are_numbers() -> None:
    assert name_of_user(4_000_000_000) == "4000000000"
    assert name_of_group(4_000_000_000) == "4000000000"


def may_not(*paths: Path) -> Callable[[Path, int], bool]:
    return lambda path, _: path not in paths


def looked_for(pattern: Path | str, allowed: Callable[[Path, int], bool] = os.access) -> Result:
    [found] = files("relay", [str(pattern)], allowed)
    return found


def test_files_that_are_there_are_counted(tmp_path: Path) -> None:
    (tmp_path / "mail.log").touch()
    (tmp_path / "mail.log.1").touch()

    found = looked_for(tmp_path / "mail.log*")

    assert found.state is State.OK
    assert "2 files" in found.found


def test_a_pattern_that_names_nothing_is_a_warning_that_shows_where_to_look(tmp_path: Path) -> None:
    found = looked_for(tmp_path / "*.log")

    assert found.state is State.WARNING
    assert f"ls -la {tmp_path}" in found.mend


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    found = looked_for(tmp_path / "none" / "*.log")

    assert found.state is State.BROKEN
    assert f"there is no {tmp_path / 'none'}" in found.found


@pytest.mark.parametrize("pattern", ["mail.log", "mail.*"])
def test_a_file_that_may_not_be_read_names_the_group_to_join(pattern: str, tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.touch()
    log.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(log, -1, 4)  # adm on Debian; a group that root may have to himself is not to be joined
    group = name_of_group(log.stat().st_gid)

    found = looked_for(tmp_path / pattern, may_not(log))

    assert found.state is State.BROKEN
    assert f"may not read 1 of 1 files, such as {log}" in found.found
    assert f"usermod -aG {group} {user_name()}" in found.mend


def test_a_file_for_its_owner_alone_is_opened_by_an_access_list(tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.touch(0o600)

    found = looked_for(log, may_not(log))

    assert f"sudo setfacl -m u:{user_name()}:r {log}" in found.mend


def test_a_folder_on_the_way_that_is_shut_is_named(tmp_path: Path) -> None:
    (tmp_path / "shut" / "deep").mkdir(parents=True)
    (tmp_path / "shut").chmod(0o700)

    found = looked_for(tmp_path / "shut" / "deep" / "*.log", may_not(tmp_path / "shut"))

    assert f"may not look into {tmp_path / 'shut'}" in found.found
    assert "setfacl" in found.mend


def test_a_folder_that_may_be_passed_but_not_listed_is_only_shut_as_the_last_one(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "mail.log").touch()

    def allowed(path: Path, mode: int) -> bool:
        return path != tmp_path or mode == os.X_OK

    assert looked_for(tmp_path / "deep" / "*.log", allowed).state is State.OK
    assert looked_for(tmp_path / "*.log", allowed).state is State.BROKEN


def test_exports_are_judged_by_their_age() -> None:
    folder = Path("/srv/my exports")
    day = timedelta(days=1)
    delivered = [
        Age("mailbox switches", folder, NOW - timedelta(hours=3), day),
        Age("SMTP AUTH report", folder, NOW - timedelta(hours=25), day),
        Age("policies", folder, NOW - timedelta(days=9), day),
        Age("transport", folder, None, day),
    ]

    found = list(ages("exports", delivered, NOW, "fabrikam.onmicrosoft.com"))

    assert [each.state for each in found] == [State.OK, State.BROKEN, State.BROKEN, State.BROKEN]
    assert "3 h old" in found[0].found
    assert "25 h old, and 24 h are allowed" in found[1].found
    assert "9 days old" in found[2].found
    assert "nothing has been delivered" in found[3].found
    assert "-Folder '/srv/my exports' -Organization fabrikam.onmicrosoft.com" in found[1].mend


def test_the_schedule_is_ready_to_paste_for_cron_and_windows() -> None:
    said = schedule(Path("/srv/exports"), "0c7e5b7e-0000-0000-0000-000000000000")

    assert "\n17 5 * * * pwsh -NoProfile -NonInteractive -File" in said
    assert '\nschtasks /Create /TN "authsunset export job"' in said
    assert "-Organization contoso.onmicrosoft.com" in said, "an id is no domain"
