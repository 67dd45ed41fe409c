"""Command ``sngan certify``: certified, attacked and clean accuracy of a classifier."""

from typing import Any, Literal

from sngan.cli import flags
from sngan.cli.output import JSON_HELP, print_result
from sngan.cli.parser import CommandParser
from sngan.lipschitz import CertifiedAccuracy
from sngan.tasks.certify import certify
from sngan.tasks.networks import MODEL_HELP

DESCRIPTION = (
    "Certify the classes that a network predicts: the share of samples whose right class is proved "
    "within each Euclidean radius, beside the share that survives an attack within it. Images are "
    "read in the size that the network takes, if the network says it, or that of --resolution."
)


def add_arguments(parser: CommandParser) -> None:
    """Add the flags of ``sngan certify``."""
    parser.flag("network", str, MODEL_HELP)
    parser.flag("source", str, "a SOURCE with labels, as in `sngan train --data`")
    parser.flag("--radii", str, "radii such as 36/255,72/255, in units of the network's input")
    parser.flag(
        "--range",
        str | None,
        "range of the pixels that the network expects; left out: 0,1, and for a run -1,1",
        default=None,
    )
    parser.flag("--n", int, "samples, drawn at random", default=1000)
    parser.flag(
        "--slopes",
        Literal["product", "eclipse", "sdp"],
        "the proof: the layers' constants alone, slopes in closed form, or the best multipliers",
        default="eclipse",
    )
    parser.flag("--attack-steps", int, "steps of the attack; 0 attacks nothing", default=20)
    parser.flag("--seed", int, "seed of the choice of samples and of the attack", default=0)
    flags.add_reading_flags(parser)
    flags.add_checkpoint_flag(parser)
    parser.flag("--json", str, JSON_HELP, default=None)
    flags.add_code_flags(parser)


def run(values: dict[str, Any]) -> None:
    """Run ``sngan certify``."""
    try:
        found = _certified(values)
    except ValueError as error:
        raise ValueError(flags.without_group(str(error), source="source")) from error
    print_result(found.to_dict(), found.table(), json_to=values["json"])


def _certified(values: dict[str, Any]) -> CertifiedAccuracy:
    return certify(
        values["network"],
        values["source"],
        radii=_given(values["radii"]),
        value_range=values["range"],
        n=values["n"],
        settings=flags.reading_settings(values, values["source"]),
        checkpoint=values["checkpoint"],
        slopes=values["slopes"],
        attack_steps=values["attack_steps"],
        seed=values["seed"],
    )


def _given(radii: str | None) -> str:
    if radii is None:
        raise ValueError("radii: expected numbers such as 36/255,72/255, got nothing")
    return radii
