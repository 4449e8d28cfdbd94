"""`authsunset completion`: a script that lets a shell complete our commands."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """
    Print a completion script for SHELL.

    \b
    authsunset completion bash >> ~/.bashrc
    """
    from click.shell_completion import get_completion_class

    from pipeline.cli import authsunset

    found = get_completion_class(shell)
    if found:
        click.echo(found(authsunset, {}, "authsunset", "_AUTHSUNSET_COMPLETE").source())
