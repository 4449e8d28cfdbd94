"""
The command line: thin files that read arguments, call, and print. stdout is data, stderr is for people.

Exit codes: 0 ok · 1 failed · 2 wrong usage · 78 bad settings. Commands import late, so that `--help` answers at once.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

import click

from pipeline.errors import AuthsunsetError, SettingsError

BAD_SETTINGS = 78

COMMANDS = {
    "demo": "demo",
    "scan": "scan",
    "run": "run",
    "ingest": "stages",
    "detect": "stages",
    "alert": "stages",
    "parse": "parse",
    "query": "query",
    "shell": "shell",
    "trace-row": "trace_row",
    "senders": "senders",
    "rules": "rules",
    "config": "config",
    "doctor": "doctor",
    "gaps": "gaps",
    "quarantine": "quarantine",
    "lake": "lake",
    "simulate": "simulate",
    "completion": "completion",
}
"""Each command and the file here that holds it, in the order of --help."""


_FLAGS = re.compile(r"--quiet|--verbose|--no-color|-q|-v{1,3}")
_WITH_VALUE = re.compile(r"(?:--config|-c)(=.*)?", re.DOTALL)


def _own_options(args: Sequence[str]) -> Iterator[str]:
    """Yield `args` with the options of `authsunset` itself before the command; what follows `--` stays where it is."""
    rest: list[str] = []
    waiting = iter(args)
    for arg in waiting:
        if arg == "--":
            rest += [arg, *waiting]
        elif value := _WITH_VALUE.fullmatch(arg):
            of_its_own = [] if value[1] else [*itertools.islice(waiting, 1)]
            yield from (arg, *of_its_own)
        elif _FLAGS.fullmatch(arg):
            yield arg
        else:
            rest.append(arg)
    yield from rest


class Commands(click.Group):
    """Finds a command in its file when it is asked for, and names the nearest one when it does not exist."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take our own options wherever they stand: `scan -v /var/log` is what people type."""
        return super().parse_args(ctx, [*_own_options(args)])

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order that a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Return the command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"pipeline.cli.{COMMANDS[cmd_name]}"), cmd_name.replace("-", "_"))
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that `args` begin with; an unknown one gets a hint."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


_ABOUT = """
Find every sender that the end of Basic authentication for SMTP submission to Exchange Online breaks.

\b
authsunset demo                 see the whole of it on sample data
authsunset scan /var/log        what do my logs say? no settings, nothing kept
authsunset run -c my.toml       the service: read, detect, alert

The options below may stand before a command or behind it.
"""


@click.command(
    cls=Commands, help=_ABOUT, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120}
)
@click.version_option(None, "--version", package_name="authsunset", prog_name="authsunset")
@click.option(
    "--config",
    "-c",
    "config",
    type=click.Path(path_type=Path),
    envvar="AUTHSUNSET_CONFIG",
    help="Settings file (TOML). Default: ./authsunset.toml, then /etc/authsunset/authsunset.toml.",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing on stderr but errors.")
@click.option("-v", "--verbose", count=True, help="Say more on stderr.")
@click.option("--no-color", is_flag=True, envvar="NO_COLOR", help="No colours, as NO_COLOR does.")
@click.pass_context
def authsunset(ctx: click.Context, config: Path | None, quiet: bool, verbose: int, no_color: bool) -> None:
    """Keep what holds for every command; the words for people are _ABOUT."""
    from pipeline.cli.output import Screen

    ctx.obj = Screen(config=config, quiet=quiet, verbose=verbose, no_color=no_color)


def main() -> None:
    """Run the command line; every expected error ends in one sentence and an exit code, never in a traceback."""
    # Asked to end, we leave by the way that cleans up behind us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        authsunset.main(standalone_mode=False)
        sys.stdout.flush()  # what cannot be written is said here, not by the interpreter on its way out
    except click.exceptions.Abort:
        sys.exit(130)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except AuthsunsetError as error:
        click.echo(f"authsunset: {error}", err=True)
        sys.exit(BAD_SETTINGS if isinstance(error, SettingsError) else 1)
    except BrokenPipeError:
        _drop_output()  # the reader of our output went away; there is nobody to tell
        sys.exit(1)
    except (KeyboardInterrupt, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "interrupted" not in str(error):
            raise
        sys.exit(130)  # DuckDB tells of Ctrl-C in the middle of a query in its own way
    except OSError as error:
        click.echo(
            f"authsunset: {error.filename or 'output'}: {error.strerror or error}; nothing more was written", err=True
        )
        _drop_output()
        sys.exit(1)


def _drop_output() -> None:
    """Let what is still buffered go nowhere, so that leaving does not fail on it once more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
