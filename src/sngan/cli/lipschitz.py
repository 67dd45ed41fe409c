"""Command ``sngan lipschitz``: bounds of the Lipschitz constant of a run's critic."""

from typing import Any

from sngan.cli import flags
from sngan.cli.output import JSON_HELP, print_result
from sngan.cli.parser import CommandParser
from sngan.cli.paths import folder_to_read
from sngan.tasks.lipschitz import lipschitz_with_pictures

DESCRIPTION = (
    "Bound the Lipschitz constant of a run's critic: from above by a proof, from "
    "below by the steepest point that a search finds. Draws RUN/lipschitz/layers.png and cone.png."
)


def add_arguments(parser: CommandParser) -> None:
    """Add the flags of ``sngan lipschitz``."""
    parser.flag("run", str, "the run's folder")
    parser.switch("--upper-only", "prove the upper bound, without the search for a steep point")
    flags.add_checkpoint_flag(parser)
    parser.flag("--json", str, JSON_HELP, default=None)


def run(values: dict[str, Any]) -> None:
    """Run ``sngan lipschitz``."""
    bounds, pictures = lipschitz_with_pictures(
        folder_to_read(values["run"]),
        checkpoint=values["checkpoint"],
        lower=not values["upper_only"],
        progress=True,
    )
    lines = [bounds.table(), *(f"pictures: {picture.parent}" for picture in pictures[:1])]
    print_result(bounds.to_dict(), "\n".join(lines), json_to=values["json"])
