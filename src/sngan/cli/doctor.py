"""Command ``sngan doctor``: the health of a run."""

from typing import Any

from sngan.cli.output import JSON_HELP, print_result
from sngan.cli.parser import CommandParser
from sngan.cli.paths import run_to_read
from sngan.health import FINDINGS
from sngan.tasks.doctor import doctor

DESCRIPTION = (
    "Say whether a run is healthy, from its records alone: it may still train, or have been "
    "interrupted. Each finding has its evidence in figures, the step since which it holds, how "
    "sure it is, and flags to try in a new run (sngan train --config RUN/config.yaml --out NEW "
    f"FLAGS). Findings: {', '.join(FINDINGS)}. A finding whose figures the run did not record is "
    "listed with the reason. The page docs/health.md explains the figures."
)


def add_arguments(parser: CommandParser) -> None:
    """Add the flags of ``sngan doctor``."""
    parser.flag("run", str, "the run: its folder, or hf:USER/NAME")
    parser.flag("--json", str, JSON_HELP, default=None)


def run(values: dict[str, Any]) -> None:
    """Run ``sngan doctor``."""
    found = doctor(run_to_read(values["run"]))
    again = f"\n\nsngan train --config {values['run']}/config.yaml --out NEW FLAGS"
    text = found.text() + (again if found.illnesses else "")
    print_result(found.to_dict(), text, json_to=values["json"])
