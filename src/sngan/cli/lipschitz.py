"""Command ``sngan lipschitz``: bounds of the Lipschitz constant of a run's critic."""

from typing import Any

from sngan.cli.output import JSON_HELP, print_result
from sngan.cli.parser import CommandParser
from sngan.cli.paths import folder_to_read
from sngan.tasks.audit import audit
from sngan.tasks.lipschitz import lipschitz_with_pictures

DESCRIPTION = (
    "Bound the Lipschitz constant of a run's critic: from above by a proof, from "
    "below by the steepest point that a search finds. Draws RUN/lipschitz/layers.png and cone.png. "
    "Compares the critic's bound of W1 with the exact W1 between real and generated samples, and "
    "draws it beside the optimal potential: potentials.png."
)


def add_arguments(parser: CommandParser) -> None:
    """Add the flags of ``sngan lipschitz``."""
    parser.flag("run", str, "the run's folder")
    parser.switch("--upper-only", "prove the upper bound, without the search for a steep point")
    parser.flag("--json", str, JSON_HELP, default=None)


def run(values: dict[str, Any]) -> None:
    """Run ``sngan lipschitz``."""
    bounds, pictures = lipschitz_with_pictures(
        folder_to_read(values["run"]), lower=not values["upper_only"], progress=True
    )
    lines = [bounds.table(), *(f"pictures: {picture.parent}" for picture in pictures[:1])]
    found = None if values["upper_only"] else audit(folder_to_read(values["run"]), bounds.upper)
    lines += [found.text()] if found else []
    record = bounds.to_dict() | ({"critic": found.to_dict()} if found else {})
    print_result(record, "\n".join(lines), json_to=values["json"])
