"""Command ``sngan evaluate``: metrics of a run's samples."""

from typing import Any

from sngan.cli import flags
from sngan.cli.output import JSON_HELP, print_result
from sngan.cli.parser import CommandParser
from sngan.cli.paths import folder_to_read
from sngan.tasks.evaluate import evaluate
from sngan.utils.extractor_parts import EXTRACTORS

DESCRIPTION = (
    "Measure a run's samples against its data: Fréchet and kernel distance, "
    "precision and recall, density and coverage, Wasserstein distances, modes and classes "
    "covered. Metrics that do not apply to the data are left out."
)


def add_arguments(parser: CommandParser) -> None:
    """Add the flags of ``sngan evaluate``."""
    parser.flag("run", str, "the run's folder")
    parser.flag("--data", str, "a SOURCE to compare with; left out: the run's", default=None)
    own = "left out: the run's setting"
    parser.flag(
        "--samples",
        int | None,
        f"generated samples, and at most as many real ones; {own}",
        default=None,
    )
    parser.flag(
        "--extractor",
        str,
        f"features: {', '.join(EXTRACTORS)}, or package.module:function; {own}",
        default=None,
    )
    parser.flag("--weights", str, f"file of InceptionV3 weights; {own}", default=None)
    parser.flag(
        "--seed", int, "seed of the generated samples, and of the choice of real ones", default=0
    )
    parser.flag("--json", str, JSON_HELP, default=None)
    flags.add_code_flags(parser)


def run(values: dict[str, Any]) -> None:
    """Run ``sngan evaluate``."""
    found = evaluate(
        folder_to_read(values["run"]),
        source=values["data"],
        samples=values["samples"],
        extractor=values["extractor"],
        weights=values["weights"],
        seed=values["seed"],
    )
    print_result(found.to_dict(), found.table(), json_to=values["json"])
