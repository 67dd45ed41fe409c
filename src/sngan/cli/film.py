"""Command ``sngan film``: the saved samples of a training as a moving picture."""

from typing import Any

from sngan.cli.parser import CommandParser
from sngan.cli.paths import new_file, run_to_read
from sngan.tasks.film import FPS, film
from sngan.utils.text import counted

DESCRIPTION = (
    "Show how the samples of a run got better: the pictures that it saved while it trained, as a "
    "GIF or an MP4. MP4 needs the package imageio-ffmpeg (pip install 'sngan[video]')."
)


def add_arguments(parser: CommandParser) -> None:
    """Add the flags of ``sngan film``."""
    parser.flag("run", str, "the run: its folder, or hf:USER/NAME")
    parser.flag("--out", str, "FILE.gif or FILE.mp4", default="film.gif")
    parser.flag("--fps", float, "frames a second", default=FPS)
    parser.switch("--overwrite", "replace the file at --out")


def run(values: dict[str, Any]) -> None:
    """Run ``sngan film``."""
    out = new_file(values["out"], overwrite=values["overwrite"])
    count = film(run_to_read(values["run"]), out, fps=values["fps"])
    print(f"film: {values['out']} ({counted(count, 'frame')})")
