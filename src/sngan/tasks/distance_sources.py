"""Sources of a distance: two data sets, read in one form so that their samples have one shape."""

import logging
import sys
from dataclasses import replace

from sngan import data
from sngan.config import DataConfig
from sngan.engine.setup import open_dataset
from sngan.utils.checks import require
from sngan.utils.progress import counting
from sngan.utils.text import printable

_log = logging.getLogger("sngan")
_COLOURS = {1: "grey", 3: "colour", 4: "colour and opacity"}


def open_alike(
    source_x: str, source_y: str, settings: DataConfig
) -> tuple[data.Dataset, data.Dataset]:
    """Open two SOURCEs so that their samples have one shape.

    Images whose resolution or channels are left out, and differ, are read in the form that both
    have: the smaller size, and colour if one of them is in colour. A line in the log says so.

    Parameters
    ----------
    source_x, source_y
        The data sets, in any form of ``sngan train --data``.
    settings
        The settings that both are read with. Its source does not matter.

    Raises
    ------
    ValueError
        If a source cannot be read, or the samples differ in shape after all.
    """
    sources = {"source_x": source_x, "source_y": source_y}
    found = {name: _open(replace(settings, source=one), name) for name, one in sources.items()}
    shapes = {name: one.sample_shape for name, one in found.items()}
    if len(set(shapes.values())) > 1 and all(one.is_images for one in found.values()):
        common = _common(list(shapes.values()))
        channels, height, width = common
        size = data.resolution_setting((height, width))
        _log.warning(
            "%s has %s images, %s has %s: both are read as %s (--resolution and --channels choose "
            "otherwise)",
            printable(source_x), _shown(shapes["source_x"]), printable(source_y),
            _shown(shapes["source_y"]), _shown(common),
        )  # fmt: skip
        for name, one in sources.items():
            if shapes[name] != common:
                in_common = replace(settings, source=one, resolution=size, channels=channels)
                found[name] = _open(in_common, name)
    left, right = found.values()
    require(
        left.sample_shape == right.sample_shape,
        "source_y",
        expected=f"samples of shape {left.sample_shape}, as in {printable(source_x)}",
        got=f"{right.sample_shape} in {printable(source_y)}",
    )
    return left, right


def _open(settings: DataConfig, name: str) -> data.Dataset:
    # standard output is for the result
    with counting("decoding", file=sys.stderr) as progress:
        try:
            return open_dataset(settings, progress)
        except ValueError as error:
            about, _, rest = str(error).partition(": ")
            # the error names the setting of training, which this task does not have
            raise ValueError(f"{name if about == 'data' else about}: {rest}") from error


def _common(shapes: list[tuple[int, ...]]) -> tuple[int, int, int]:
    """Return the most channels, and the size with the fewest pixels, of shapes (C, H, W)."""
    _, height, width = min(shapes, key=lambda shape: shape[1] * shape[2])
    return max(shape[0] for shape in shapes), height, width


def _shown(shape: tuple[int, ...]) -> str:
    channels, height, width = shape
    return f"{width}×{height} {_COLOURS[channels]}"
