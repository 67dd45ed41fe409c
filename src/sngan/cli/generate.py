"""Command ``sngan generate``: samples of a run as files."""

import time
from typing import Any

import torch

from sngan.cli import flags
from sngan.cli.parser import CommandParser
from sngan.cli.paths import RUN_HELP, run_to_read
from sngan.runs.drawing import Drawing
from sngan.runs.export import export, kind_of
from sngan.runs.noise import parse_seeds
from sngan.runs.run import load

DESCRIPTION = "Draw samples from a run; its training data is not needed."


def add_arguments(parser: CommandParser) -> None:
    """Add the flags of ``sngan generate``."""
    parser.flag("run", str, RUN_HELP)
    parser.flag("--n", int | None, "number of samples (default: 64)", default=None)
    parser.flag(
        "--out",
        str,
        "a folder (one PNG a sample), FILE.npz, or one grid: FILE.png, .jpg or .webp",
        required=True,
    )
    parser.flag(
        "--seed",
        int | None,
        "seed of the noise; the same seed gives the same samples (default: 0)",
        default=None,
    )
    parser.flag(
        "--seeds",
        str,
        "one sample for each seed, such as 3,17,40-60; a sample does not depend on the other seeds",
        default=None,
    )
    parser.flag(
        "--label",
        str,
        "class to draw, by name or index, or a list such as cat,dog that is taken in turn; for a "
        "conditional run",
        default=None,
    )
    flags.add_checkpoint_flag(parser)
    parser.flag(
        "--truncation",
        float | None,
        "noise from the normal distribution truncated to this value, such as 0.7: more typical "
        "and less varied samples (Brock et al. 2019, arXiv:1809.11096)",
        default=None,
    )
    parser.flag("--columns", int | None, "columns of the grid; left out: square", default=None)
    parser.flag(
        "--scale",
        int | None,
        "each pixel becomes a square of this side; left out: 1, and a grid of about 512 pixels",
        default=None,
    )
    parser.switch("--captions", "write the seed and the class below each image of a grid")
    parser.switch("--overwrite", "replace the samples at --out; your own files there stay")
    flags.add_code_flags(parser)


def run(values: dict[str, Any]) -> None:
    """Run ``sngan generate``."""
    kind_of(values["out"])  # a wrong name is an error before the networks are loaded
    device = "cuda" if torch.cuda.is_available() else "cpu"
    checkpoint = values["checkpoint"]
    loaded = load(run_to_read(values["run"]), checkpoint=checkpoint, device=device)
    given, label = values["seeds"], values["label"]
    asked = {
        key: values[key] for key in ("n", "seed", "truncation", "columns", "scale", "captions")
    }
    seeds = None if given is None else parse_seeds(given)
    count = Drawing(**asked, seeds=seeds).count
    labels = None if label is None else loaded.class_indices(label, count)
    started = time.perf_counter()
    export(
        loaded,
        values["out"],
        seeds=seeds,
        labels=labels,
        overwrite=values["overwrite"],
        **asked,
    )
    rate = count / (time.perf_counter() - started)
    print(f"samples: {values['out']} ({rate:,.0f} a second on {device})")
