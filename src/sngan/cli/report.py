"""Command ``sngan report``: the HTML page of a run or comparison."""

from sngan.cli.parser import CommandParser
from sngan.cli.paths import folder_to_read
from sngan.tasks.report import report

DESCRIPTION = "Write a run's report.html, or a comparison's compare.html, from its records."


def add_arguments(parser: CommandParser) -> None:
    """Add the flags of ``sngan report``."""
    parser.flag("run", str, "the folder of a run or of a comparison")


def run(argv: list[str]) -> None:
    """Run ``sngan report``."""
    parser = CommandParser("report", description=DESCRIPTION)
    add_arguments(parser)
    print(f"report: {report(folder_to_read(parser.parse(argv)['run']))}")
