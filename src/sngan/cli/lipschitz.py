"""Command ``sngan lipschitz``: bounds of the Lipschitz constant of a critic or another network."""

from typing import Any, Literal

from sngan.cli.output import JSON_HELP, print_result
from sngan.cli.parser import CommandParser
from sngan.cli.paths import expanded, folder_to_read
from sngan.tasks.lipschitz import lipschitz_of_network, lipschitz_with_pictures
from sngan.tasks.networks import MODEL_HELP, is_own_network
from sngan.utils.checks import require

DESCRIPTION = (
    "Bound the Lipschitz constant of a run's critic or of a network of your own: from above by a "
    "proof, from below by the steepest point that a search finds. For a run, draws "
    "RUN/lipschitz/layers.png and cone.png."
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
    parser.flag("--certificate", str, "write a file that `sngan verify` checks again", default=None)
    parser.flag("--json", str, JSON_HELP, default=None)


def run(values: dict[str, Any]) -> None:
    """Run ``sngan lipschitz``."""
    options: dict[str, Any] = {
        "slopes": values["slopes"],
        "lower": not values["upper_only"],
        "progress": True,
    }
    if is_own_network(values["run"]):
        own = {key: values[key] for key in ("shape", "box", "norm")}
        bounds = lipschitz_of_network(values["run"], **own, **options)
        lines = [bounds.table()]
    else:
        for key, unused in (("shape", None), ("box", None), ("norm", "2")):
            expected = "none for a run (only for package.module:name or FILE.pt2)"
            require(values[key] == unused, key, expected=expected, got=values[key])
        bounds, pictures = lipschitz_with_pictures(folder_to_read(values["run"]), **options)
        lines = [bounds.table(), *(f"pictures: {picture.parent}" for picture in pictures[:1])]
    if values["certificate"] is not None:
        bounds.save(expanded(values["certificate"]))
        lines.append(f"certificate: {values['certificate']}")
    print_result(bounds.to_dict(), "\n".join(lines), json_to=values["json"])
