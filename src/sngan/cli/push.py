"""Command ``sngan push``: a run on the Hugging Face hub."""

from typing import Any

from sngan.cli import flags
from sngan.cli.parser import CommandParser
from sngan.cli.paths import RUN_HELP, run_to_read
from sngan.tasks.sharing.push import push

DESCRIPTION = (
    "Put a run on the Hugging Face hub: its generator, settings, records, pictures and a model "
    "card, but no checkpoints and no paths of this machine. Every command that reads a run takes "
    "hf:USER/NAME. It needs the package huggingface_hub (pip install 'sngan[hub]') and a token "
    "(`hf auth login`, or HF_TOKEN)."
)


def add_arguments(parser: CommandParser) -> None:
    """Add the flags of ``sngan push``."""
    parser.flag("run", str, RUN_HELP)
    parser.flag("target", str, "hf:USER/NAME")
    parser.switch("--private", "a new repository is visible to its owner only")
    flags.add_code_flags(parser)


def run(values: dict[str, Any]) -> None:
    """Run ``sngan push``."""
    address = push(run_to_read(values["run"]), values["target"], private=values["private"])
    print(f"pushed: {address}")
    print(f"more:   sngan generate {values['target']} --n 64 --out grid.png")
