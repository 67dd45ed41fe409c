"""Command ``sngan report``: the HTML page of a run or comparison."""

from typing import Any

from sngan.cli.parser import CommandParser
from sngan.cli.paths import folder_to_read
from sngan.tasks.report import report

DESCRIPTION = "Write a run's report.html, or a comparison's compare.html, from its records."


def add_arguments(parser: CommandParser) -> None:
    """Add the flags of ``sngan report``."""
    parser.flag("run", str, "the folder of a run or of a comparison")


def run(values: dict[str, Any]) -> None:
    """Run ``sngan report``."""
    print(f"report: {report(folder_to_read(values['run']))}")
