"""
What the process that commands are forked off has got ready: all of the program, and DuckDB with its extensions.

Half of what a short command takes is importing the program, and half of the rest is DuckDB's check of the signatures of
its extensions, over 70 MB. An engine of one thread comes whole with a fork; those of more do not.
"""

from __future__ import annotations

import gc
import os
import pkgutil
from importlib import import_module

import pytest  # noqa: F401 - a child looks for it in what it takes for its main program, where there is no xdist

from pipeline.lake import engines

for package in ("pipeline", "queries", "alerts"):
    for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
        if not module.name.endswith("__main__"):
            import_module(module.name)

ENGINE = engines.Engine.made(threads="1")
MADE_IN = os.getpid()
gc.freeze()


def take_over() -> None:
    """Let the first lake that this process opens be opened on the engine that is ready."""
    engines.IDLE[os.getpid()] = [ENGINE]
