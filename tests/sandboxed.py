"""
Run the command with the system calls that `deploy/authsunset.service` leaves it, and no memory both written and run.

systemd would do it in the same way: a filter of libseccomp, with the groups of calls that systemd itself lists.

    python -m tests.sandboxed run --once
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NoReturn

UNIT = Path(__file__).parents[1] / "deploy" / "authsunset.service"
LIBRARY = "libseccomp.so.2"
CANNOT = 77
"""The exit code where this machine cannot restrict a process like this, as test runners have it."""
ALLOW, REFUSE_EPERM, REFUSE_EAFNOSUPPORT = 0x7FFF0000, 0x00050001, 0x00050000 + 97
SET_NO_NEW_PRIVILEGES, SET_NO_WRITE_AND_EXECUTE = 38, 65
LAST_FAMILY = 45
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}


EQUAL = 4


class Comparison(ctypes.Structure):
    """One argument of a call against a number: struct scmp_arg_cmp."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


@cache
def calls_in(group: str) -> frozenset[str]:
    """Return the system calls of a group such as @system-service, groups within it included."""
    analyze = shutil.which("systemd-analyze") or "systemd-analyze"
    listed = subprocess.run([analyze, "syscall-filter", group], capture_output=True, text=True, check=True)
    names = [
        line.strip() for line in listed.stdout.splitlines()[1:] if line.strip() and not line.strip().startswith("#")
    ]
    return frozenset(call for name in names for call in (calls_in(name) if name.startswith("@") else {name}))


def allowed(unit: str) -> frozenset[str]:
    """Return the system calls that the filters of `unit` leave."""
    left: frozenset[str] = frozenset()
    for line in unit.splitlines():
        name, _, value = line.partition("=")
        if name == "SystemCallFilter":
            named = frozenset().union(*(calls_in(group) for group in value.lstrip("~").split()))
            left = left - named if value.startswith("~") else left | named
    return left


def families(unit: str) -> frozenset[int]:
    """Return the families of addresses that `unit` leaves."""
    [line] = [line for line in unit.splitlines() if line.startswith("RestrictAddressFamilies=")]
    return frozenset(FAMILIES[name] for name in line.partition("=")[2].split())


def restrict(unit: str) -> None:
    """Take from this process what `unit` takes."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        _say_that_it_cannot(f"there is no {LIBRARY}")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_rule_add_array.argtypes = (
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(Comparison)),
    )
    library.seccomp_load.argtypes = (ctypes.c_void_p,)
    rules = library.seccomp_init(REFUSE_EPERM)
    for call in allowed(unit) - {"socket"}:
        number = library.seccomp_syscall_resolve_name(call.encode())
        if number >= 0:
            library.seccomp_rule_add_array(rules, ALLOW, number, 0, None)
    socket = library.seccomp_syscall_resolve_name(b"socket")
    for family in range(LAST_FAMILY + 1):
        action = ALLOW if family in families(unit) else REFUSE_EAFNOSUPPORT
        library.seccomp_rule_add_array(rules, action, socket, 1, ctypes.byref(Comparison(0, EQUAL, family, 0)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or prctl(SET_NO_WRITE_AND_EXECUTE, 1, 0, 0, 0):
        _say_that_it_cannot("the kernel knows no PR_SET_MDWE (Linux 6.3)")
    if library.seccomp_load(rules):
        _say_that_it_cannot("the kernel takes no filter of system calls")


def _say_that_it_cannot(why: str) -> NoReturn:
    sys.stderr.write(f"{why}\n")
    raise SystemExit(CANNOT)


def main() -> None:
    """Restrict this process, and be the command then."""
    restrict(UNIT.read_text("utf-8"))
    from pipeline.cli import main as command

    sys.argv[0] = "authsunset"
    command()


if __name__ == "__main__":
    main()
