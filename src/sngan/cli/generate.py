"""Command ``sngan generate``: samples of a run as files."""

import time
from typing import Any

import torch

from sngan.cli import flags
from sngan.cli.parser import CommandParser
from sngan.cli.paths import expanded, folder_to_read
from sngan.runs.export import export
from sngan.runs.run import load

DESCRIPTION = "Draw samples from a run; its training data is not needed."


def add_arguments(parser: CommandParser) -> None:
    """Add the flags of ``sngan generate``."""
    parser.flag("run", str, "the run's folder")
    parser.flag("--n", int, "number of samples", default=64)
    parser.flag("--out", str, "a folder, FILE.npz or FILE.png (one grid)", required=True)
    parser.flag("--seed", int, "seed of the noise; the same seed gives the same samples", default=0)
    parser.flag(
        "--label",
        str,
        "class to draw, by name or index, for a conditional run",
        default=None,
    )
    flags.add_checkpoint_flag(parser)
    parser.switch("--overwrite", "replace the samples at --out; your own files there stay")


def run(values: dict[str, Any]) -> None:
    """Run ``sngan generate``."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    folder, checkpoint = folder_to_read(values["run"]), values["checkpoint"]
    loaded = load(folder, checkpoint=checkpoint, device=device)
    label = values["label"]
    started = time.perf_counter()
    export(
        loaded,
        expanded(values["out"]),
        n=values["n"],
        seed=values["seed"],
        labels=None if label is None else loaded.class_index(label),
        overwrite=values["overwrite"],
    )
    rate = values["n"] / (time.perf_counter() - started)
    print(f"samples: {values['out']} ({rate:,.0f} a second on {device})")
