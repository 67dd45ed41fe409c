"""Command ``sngan version``: the versions that a report of a fault needs."""

import platform
from importlib import metadata
from typing import Any

import sngan
from sngan.cli.parser import CommandParser

DESCRIPTION = "Show the versions of sngan, Python and torch."


def add_arguments(parser: CommandParser) -> None:
    """Add nothing: the command has no flags."""


def run(values: dict[str, Any]) -> None:  # noqa: ARG001
    """Run ``sngan version``."""
    print(f"sngan {sngan.__version__}")
    # the metadata tell the version without the second that an import takes
    print(f"Python {platform.python_version()}, torch {metadata.version('torch')}")
