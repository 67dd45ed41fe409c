"""Command ``sngan help``: the commands, or the flags of one of them."""

from typing import Any

from sngan.cli.main import parser_of, usage
from sngan.cli.parser import CommandParser

DESCRIPTION = "Show the commands, or the flags of a command."


def add_arguments(parser: CommandParser) -> None:
    """Add the argument of ``sngan help``."""
    parser.flag("command", str | None, "a command; left out: all commands", nargs="?", default=None)


def run(values: dict[str, Any]) -> None:
    """Run ``sngan help``."""
    name = values["command"]
    print(usage() if name is None else parser_of(name)[1].format_help(), end="")
