"""Command ``sngan cache``: show or remove the files that sngan keeps between commands."""

from typing import Any

from sngan.cli.output import JSON_HELP, print_result
from sngan.cli.parser import CommandParser
from sngan.utils import cache
from sngan.utils.text import counted

DESCRIPTION = (
    "Show the folder in which sngan keeps decoded images, features of real samples "
    "and downloaded weights between commands. All of it can be made again; when it "
    f"holds over {cache.LIMIT / 2**30:.0f} GiB, the files that were used longest ago are removed."
)


def add_arguments(parser: CommandParser) -> None:
    """Add the flags of ``sngan cache``."""
    parser.switch("--clear", "remove its files")
    parser.flag("--json", str, JSON_HELP, default=None)


def run(values: dict[str, Any]) -> None:
    """Run ``sngan cache``."""
    found = cache.clear() if values["clear"] else cache.usage()
    said = "removed" if values["clear"] else "holds"
    text = f"{found.folder}\n{said} {counted(found.files, 'file')}, {found.bytes / 2**20:,.1f} MiB"
    data = {**found._asdict(), "folder": str(found.folder), "limit": cache.LIMIT}
    print_result(data | {"cleared": values["clear"]}, text, json_to=values["json"])
