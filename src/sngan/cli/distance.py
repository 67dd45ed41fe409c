"""Command ``sngan distance``: the Wasserstein distance of two data sets."""

from typing import Any

from sngan.cli import flags
from sngan.cli.output import JSON_HELP, print_result
from sngan.cli.parser import CommandParser
from sngan.tasks.distance import distance

DESCRIPTION = (
    "Measure the Wasserstein-1 distance of two data sets, exactly on N samples of each with "
    "proved bounds, and the sliced distance of all samples (of 10,000 if the data is streamed). "
    "Two samples of one distribution are apart too, so distances of halves of each data set stand "
    "beside it, with an interval and a permutation test. "
    "The ground distance is Euclidean; images count as vectors of pixels in [-1, 1]. Both data "
    "sets are read with the same settings, and images of different sizes or channels in one form."
)


def add_arguments(parser: CommandParser) -> None:
    """Add the flags of ``sngan distance``."""
    parser.flag("source_x", str, "a SOURCE, as in `sngan train --data`")
    parser.flag("source_y", str, "another SOURCE")
    parser.flag("--n", int, "samples of each for the exact distance", default=2000)
    parser.flag(
        "--permutations",
        int | None,
        "permutations for the p-value, of all N samples; 0: none; left out: 199, of fewer samples "
        "if those of all take over 20 s",
        default=None,
    )
    parser.flag(
        "--seed", int, "seed of the choice of samples, their halves and permutations", default=0
    )
    flags.add_reading_flags(parser)
    parser.flag("--json", str, JSON_HELP, default=None)


def run(values: dict[str, Any]) -> None:
    """Run ``sngan distance``."""
    try:
        found = distance(
            values["source_x"],
            values["source_y"],
            n=values["n"],
            seed=values["seed"],
            permutations=values["permutations"],
            settings=flags.reading_settings(values, values["source_x"]),
        )
    except ValueError as error:
        raise ValueError(flags.without_group(str(error), source="source_x")) from error
    print_result(found.to_dict(), found.table(), json_to=values["json"])
