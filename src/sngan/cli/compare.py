"""Command ``sngan compare``: train methods side by side."""

from typing import Any

from sngan import config as configs
from sngan.cli import flags
from sngan.cli.parser import CommandParser
from sngan.methods import METHODS
from sngan.tasks.compare import SETTINGS, Budget, compare

DESCRIPTION = (
    "Train methods side by side: same data, networks, first weights and budget. "
    "Writes OUT/compare.html and compare.json, and goes on where it was stopped. Any setting "
    "of `sngan train` can be given and holds for all runs."
)

# of a single run
_OTHER = ("--method NAME", "--out RUN", "--seed S", "--preset NAME", "--hours H")


def add_arguments(parser: CommandParser) -> None:
    """Add the flags of ``sngan compare``."""
    parser.flag(
        "--methods",
        str,
        f"methods, joined by commas: {', '.join(METHODS)}",
        default="vanilla,wgan,wgan-gp,sn",
    )
    parser.flag("--seeds", int, "runs of each method, with different seeds", default=1)
    parser.flag(
        "--settings",
        str,
        f"rows of Miyato et al. 2018, table 1, joined by commas: {', '.join(SETTINGS)}",
        default="",
    )
    parser.flag(
        "--same_budget",
        Budget,
        "the budget that each method gets: steps, --steps of the generator; critic-steps, --steps "
        "of the critic; seconds, the time that the first method needs for --steps",
        default="steps",
    )
    parser.switch("--overwrite", "replace a comparison that is at --out; your own files stay")
    flags.add_config_flags(
        parser,
        without=("method.name", "hours", "preset"),
        of_a_run=("method", "seed", "out", "hours", "preset"),
    )
    flags.add_allow_code(parser)
    shared = {flag: text for flag, text in flags.COMMON.items() if flag not in _OTHER}
    parser.common = {
        "--methods A,B,...": "the methods; `sngan methods` lists them",
        "--seeds N": "runs of each method, with different seeds",
        **shared,
        "--config FILE": "YAML file of settings; of a run's config.yaml, all but its method, seed "
        "and folder",
        "--out FOLDER": "the folder of the comparison; left out: runs/compare",
    }


def run(values: dict[str, Any]) -> None:
    """Run ``sngan compare``."""
    asked = {
        key: values.pop(key) for key in ("methods", "seeds", "settings", "same_budget", "overwrite")
    }
    values.pop("config")
    overrides = values.pop("method", {})
    found = compare(
        configs.from_dict(values),
        methods=_names(asked["methods"]),
        seeds=asked["seeds"],
        settings=_names(asked["settings"]),
        out=values["out"] or "runs/compare",
        overrides={key: value for key, value in overrides.items() if value is not None},
        same_budget=asked["same_budget"],
        overwrite=asked["overwrite"],
    )
    print(found.table())
    print(f"page: {found.folder / 'compare.html'}")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
