"""Command ``sngan data``: what a SOURCE is read as."""

from pathlib import Path
from typing import Any

from sngan.cli import flags
from sngan.cli.output import JSON_HELP, print_result
from sngan.cli.parser import CommandParser
from sngan.cli.paths import new_file
from sngan.tasks.data import describe
from sngan.utils.checks import require

DESCRIPTION = (
    "Show what a SOURCE is read as, before a training: the number of samples, the sizes of the "
    "image files, the size and crop of the images as read, values, classes, and skipped files. "
    "--out draws samples of each class, and the same samples with adaptive augmentation "
    "(`sngan train --augment ada`) of probability 0.2, 0.5 and 0.8; points are drawn as a "
    "scatter. The other flags are settings of `sngan train` and change the reading in the same way."
)


def add_arguments(parser: CommandParser) -> None:
    """Add the flags of ``sngan data``."""
    parser.flag("source", str, "a SOURCE, as in `sngan train --data`")
    parser.flag("--out", str, "FILE.png for a picture of samples", default=None)
    flags.add_reading_flags(parser)
    parser.flag("--json", str, JSON_HELP, default=None)
    parser.switch("--overwrite", "replace the file at --out")


def run(values: dict[str, Any]) -> None:
    """Run ``sngan data``."""
    out = None if values["out"] is None else _new_picture(values)
    try:
        found = describe(flags.reading_settings(values, values["source"]))
    except ValueError as error:
        raise ValueError(flags.without_group(str(error), source="source")) from error
    if out is not None:
        # matplotlib takes a second to import
        from sngan.tasks.data_picture import save_data_picture

        out.parent.mkdir(parents=True, exist_ok=True)
        save_data_picture(found, out)
    picture = [] if out is None else [f"picture: {values['out']}"]
    print_result(found.to_dict(), "\n".join([found.table(), *picture]), json_to=values["json"])


def _new_picture(values: dict[str, Any]) -> Path:
    is_png = values["out"].lower().endswith(".png")
    require(is_png, "out", expected="FILE.png", got=values["out"])
    return new_file(values["out"], overwrite=values["overwrite"])
