"""Command ``sngan morph``: the way from seed to seed as a moving picture."""

from typing import Any

import torch

from sngan.cli import flags
from sngan.cli.parser import CommandParser
from sngan.cli.paths import RUN_HELP, new_file, run_to_read
from sngan.runs.noise import parse_seeds
from sngan.runs.run import load
from sngan.tasks.morph import FPS, FRAMES, morph
from sngan.utils.text import counted

DESCRIPTION = (
    "Draw the way from seed to seed of a run on images, through classes too. A GIF or an MP4 "
    "returns to the first seed; a PNG shows a row for each pair of seeds. MP4 needs the package "
    "imageio-ffmpeg (pip install 'sngan[video]')."
)


def add_arguments(parser: CommandParser) -> None:
    """Add the flags of ``sngan morph``."""
    parser.flag("run", str, RUN_HELP)
    parser.flag("--seeds", str, "at least two seeds, such as 3,17,40-42", required=True)
    parser.flag("--out", str, "FILE.gif, FILE.mp4 or FILE.png (a strip)", required=True)
    parser.flag(
        "--label",
        str,
        "class by name or index, or a list such as cat,dog with one for each seed in turn; left "
        "out: a class that depends on the seed",
        default=None,
    )
    parser.flag(
        "--frames",
        int | None,
        f"frames from one seed to the next (default: {FRAMES}; in a PNG 8)",
        default=None,
    )
    parser.flag("--fps", float, "frames a second", default=FPS)
    parser.flag(
        "--scale",
        int | None,
        "each pixel becomes a square of this side; left out: about 256 pixels",
        default=None,
    )
    parser.flag("--truncation", float | None, "as in `sngan generate`", default=None)
    parser.switch("--overwrite", "replace the file at --out")
    flags.add_checkpoint_flag(parser)
    flags.add_code_flags(parser)


def run(values: dict[str, Any]) -> None:
    """Run ``sngan morph``."""
    out = new_file(values["out"], overwrite=values["overwrite"])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded = load(run_to_read(values["run"]), checkpoint=values["checkpoint"], device=device)
    seeds, label = parse_seeds(values["seeds"]), values["label"]
    count = morph(
        loaded,
        seeds,
        out,
        labels=None if label is None else loaded.class_indices(label, len(seeds)),
        **{key: values[key] for key in ("frames", "fps", "scale", "truncation")},
    )
    print(f"morph: {values['out']} ({counted(count, 'frame')})")
