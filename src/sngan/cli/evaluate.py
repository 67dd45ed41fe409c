"""Command ``sngan evaluate``: metrics of a run's samples, or of the samples of a SOURCE."""

from typing import Any

from sngan.cli import flags
from sngan.cli.output import JSON_HELP, print_result
from sngan.cli.parser import CommandParser
from sngan.cli.paths import RUN_HELP, run_to_read
from sngan.tasks.evaluate import evaluate
from sngan.utils.extractor_names import FORMS

DESCRIPTION = (
    "Measure samples against real ones: Fréchet and kernel distance, MIND, "
    "precision and recall, density and coverage, Wasserstein distances, modes and classes "
    "covered, copies. Metrics that do not apply to the data are left out. The samples are those of "
    "a run, or with --data those of any SOURCE: `sngan evaluate samples/ --data photos/`."
)


def add_arguments(parser: CommandParser) -> None:
    """Add the flags of ``sngan evaluate``."""
    parser.flag("run", str, f"{RUN_HELP}; or with --data a SOURCE of samples")
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
        f"features: {FORMS} (the last two run code); {own}",
        default=None,
    )
    parser.flag(
        "--weights",
        str,
        f"file of weights of inception, dinov2 or clip; {own}",
        default=None,
    )
    parser.flag(
        "--metrics",
        str,
        "names joined by commas; usual: all but frechet_infinity (FD for infinitely many samples) "
        "and fld (needs held-out samples); all",
        default="usual",
    )
    parser.flag(
        "--halves",
        int,
        "random halves of the features for the 95 % intervals; 0: no intervals",
        default=25,
    )
    parser.flag(
        "--held_out",
        str,
        "for fld: a SOURCE of samples not trained on; left out: those that the run kept",
        default=None,
    )
    parser.flag(
        "--seed",
        int,
        "seed of the generated samples, of the choice of real ones, and of the halves",
        default=0,
    )
    flags.add_checkpoint_flag(parser)
    parser.flag("--json", str, JSON_HELP, default=None)
    flags.add_code_flags(parser)


def run(values: dict[str, Any]) -> None:
    """Run ``sngan evaluate``."""
    found = evaluate(
        run_to_read(values["run"]),
        source=values["data"],
        samples=values["samples"],
        extractor=values["extractor"],
        weights=values["weights"],
        metrics=values["metrics"],
        halves=values["halves"],
        held_out=values["held_out"],
        seed=values["seed"],
        checkpoint=values["checkpoint"],
    )
    print_result(found.to_dict(), found.table(), json_to=values["json"])
