"""Command ``sngan models``: the families of networks, with a line each."""

import inspect
from typing import Any

from sngan.cli.output import JSON_HELP, print_result
from sngan.cli.parser import CommandParser
from sngan.models import MODELS
from sngan.utils.tables import text_table

DESCRIPTION = (
    "List the families of networks of `sngan train --model`. --width scales their channels, and "
    "images may have any even size of at least 8 pixels."
)


def add_arguments(parser: CommandParser) -> None:
    """Add the flags of ``sngan models``."""
    parser.flag("--json", str, JSON_HELP, default=None)


def run(values: dict[str, Any]) -> None:
    """Run ``sngan models``."""
    rows = {name: _about(family) for name, family in MODELS.items()}
    table = text_table([("model", "networks"), *rows.items()], rule=True)
    print_result({"models": rows}, table, json_to=values["json"])


def _about(family: object) -> str:
    """Return the first line about the module of a family, which names its paper."""
    module = inspect.getmodule(family)
    return (inspect.getdoc(module) or inspect.getdoc(family) or "–").splitlines()[0]
