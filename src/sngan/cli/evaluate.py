"""Command ``sngan evaluate``: metrics of a run's samples."""

from typing import Any, get_args, get_type_hints

from sngan.cli import flags
from sngan.cli.output import JSON_HELP, print_result
from sngan.cli.parser import CommandParser
from sngan.cli.paths import folder_to_read
from sngan.config import EvaluationConfig
from sngan.tasks.evaluate import evaluate

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
    extractors = get_args(get_type_hints(EvaluationConfig)["extractor"])
    parser.flag(
        "--samples",
        int | None,
        f"generated samples, and at most as many real ones; {own}",
        default=None,
    )
    parser.flag(
        "--extractor",
        str,
        f"features: {', '.join(extractors)}; {own}",
        default=None,
    )
    parser.flag("--weights", str, f"file of InceptionV3 weights; {own}", default=None)
    parser.flag(
        "--seed", int, "seed of the generated samples, and of the choice of real ones", default=0
    )
    flags.add_checkpoint_flag(parser)
    parser.flag("--json", str, JSON_HELP, default=None)


def run(values: dict[str, Any]) -> None:
    """Run ``sngan evaluate``."""
    found = evaluate(
        folder_to_read(values["run"]),
        source=values["data"],
        samples=values["samples"],
        extractor=values["extractor"],
        weights=values["weights"],
        seed=values["seed"],
        checkpoint=values["checkpoint"],
    )
    print_result(found.to_dict(), found.table(), json_to=values["json"])
