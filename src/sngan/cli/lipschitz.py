"""Command ``sngan lipschitz``: bounds of the Lipschitz constant of a critic or another network."""

from typing import Any, Literal

from sngan.cli import flags
from sngan.cli.output import JSON_HELP, print_result
from sngan.cli.parser import CommandParser
from sngan.cli.paths import expanded, run_to_read
from sngan.lipschitz import LipschitzBounds
from sngan.runs.chosen import LAST
from sngan.runs.networks import OwnNetworks
from sngan.tasks.audit import audit
from sngan.tasks.lipschitz import lipschitz_of_network, lipschitz_with_pictures
from sngan.tasks.networks import MODEL_HELP, is_own_network, named_network
from sngan.utils.checks import require

DESCRIPTION = (
    "Bound the Lipschitz constant of a run's critic or of a network of your own: from above by a "
    "proof, from below by the steepest point that a search finds. For a run, it also compares the "
    "critic's bound of W1 with the exact W1 between real and generated samples, and draws "
    "layers.png, cone.png and potentials.png into RUN/lipschitz/."
)


def add_arguments(parser: CommandParser) -> None:
    """Add the flags of ``sngan lipschitz``."""
    parser.flag("run", str, MODEL_HELP)
    parser.flag(
        "--shape",
        str,
        "shape of one sample, such as 3,32,32, for package.module:name",
        default=None,
    )
    parser.flag(
        "--slopes",
        Literal["product", "eclipse", "sdp"],
        "the proof: the layers' constants alone, slopes in closed form, or the best multipliers",
        default="eclipse",
    )
    parser.flag(
        "--box", str, "bound it for inputs from LOW to HIGH, as -1,1; not for a run", default=None
    )
    parser.flag(
        "--norm", Literal["2", "1", "inf"], "norm of inputs and outputs; not for a run", default="2"
    )
    parser.switch("--upper-only", "prove the upper bound, without the search for a steep point")
    flags.add_checkpoint_flag(parser)
    for name in ("critic", "generator"):
        parser.flag(
            f"--{name}",
            str,
            f"package.module:name of the {name} of a run that was trained on a module in Python",
            default=None,
        )
    parser.flag("--certificate", str, "write a file that `sngan verify` checks again", default=None)
    parser.flag("--json", str, JSON_HELP, default=None)
    flags.add_code_flags(parser)


def run(values: dict[str, Any]) -> None:
    """Run ``sngan lipschitz``."""
    options: dict[str, Any] = {
        "slopes": values["slopes"],
        "lower": not values["upper_only"],
        "progress": True,
    }
    if is_own_network(values["run"]):
        unused = {"checkpoint": LAST, "critic": None, "generator": None}
        _refuse(values, unused, "none for a network of your own (only for a run)")
        own = {key: values[key] for key in ("shape", "box", "norm")}
        bounds = lipschitz_of_network(values["run"], **own, **options)
        lines, record = [bounds.table()], bounds.to_dict()
    else:
        expected = "none for a run (only for package.module:name or FILE.pt2)"
        _refuse(values, {"shape": None, "box": None, "norm": "2"}, expected)
        bounds, lines, record = _of_run(values, options)
    if values["certificate"] is not None:
        bounds.save(expanded(values["certificate"]))
        lines.append(f"certificate: {values['certificate']}")
    print_result(record, "\n".join(lines), json_to=values["json"])


def _of_run(
    values: dict[str, Any], options: dict[str, Any]
) -> tuple[LipschitzBounds, list[str], dict[str, Any]]:
    """Return the bounds of a run's critic, and the lines and figures that are printed."""
    folder, checkpoint = run_to_read(values["run"]), values["checkpoint"]
    own = OwnNetworks(
        **{
            name: named_network(values[name], argument=name)
            for name in ("generator", "critic")
            if values[name] is not None
        }
    )
    bounds, pictures = lipschitz_with_pictures(folder, checkpoint=checkpoint, own=own, **options)
    lines = [bounds.table(), *(f"pictures: {picture.parent}" for picture in pictures[:1])]
    if values["upper_only"]:
        return bounds, lines, bounds.to_dict()
    found = audit(folder, bounds.upper, checkpoint=checkpoint, own=own)
    if found is None:
        return bounds, lines, bounds.to_dict()
    return bounds, [*lines, found.text()], bounds.to_dict() | {"critic": found.to_dict()}


def _refuse(values: dict[str, Any], unused: dict[str, Any], expected: str) -> None:
    """Raise if a flag that has no use here was given."""
    for key, default in unused.items():
        require(values[key] == default, key, expected=expected, got=values[key])
