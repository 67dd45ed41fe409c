"""Picture of a data set: samples by class, and the same samples with augmentation."""

import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sngan.augment import nonleaking
from sngan.runs.sample_grid import image_grid, to_uint8
from sngan.tasks.data import Description
from sngan.utils.plotting import DATA, colour, new_figure, save_figure, square_axes
from sngan.utils.text import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

PROBABILITIES = (0.2, 0.5, 0.8)
_COLUMNS, _ROWS, _POINTS = 12, 10, 4000
_ROWS_OF_P, _ROWS_WITHOUT_CLASSES = 2, 4
_LONGEST = 24
_CELL = 0.55
_CHECK = 6


def save_data_picture(found: Description, path: Path) -> None:
    """Write a PNG of a data set: rows of images and of augmented ones, or a scatter of points.

    The choice of samples and the augmentation do not change from call to call.
    """
    figure = _images(found) if found.dataset.is_images else _points(found)
    with warnings.catch_warnings(action="ignore"):
        # the font lacks some characters of names; it draws boxes for them
        save_figure(figure, path)


def _images(found: Description) -> "Figure":
    """Draw rows of each class, then the first image of each row with each p."""
    rows = _rows_of_classes(found) if found.class_names else _rows_of_all(found)
    height = len(rows) + 1 + _ROWS_OF_P * len(PROBABILITIES)
    _, tall, wide = found.dataset.sample_shape
    figure = new_figure(_COLUMNS * _CELL + 1.2, height * _CELL * tall / wide + 0.7, dpi=150)
    data_axes, changed_axes = figure.subplots(
        2, 1, height_ratios=[len(rows), height - len(rows)], squeeze=False
    ).flatten()
    _draw(data_axes, rows, title=_title(found, len(rows)))
    chosen = _one_of_each(rows)
    _draw(
        changed_axes,
        [("p = 0", chosen), *_augmented(chosen)],
        title="the same with adaptive augmentation (ada), if its probability is p",
    )
    return figure


def _rows_of_classes(found: Description) -> list[tuple[str, Tensor]]:
    dataset, names = found.dataset, found.class_names
    assert dataset.labels is not None
    present = dataset.labels.unique().tolist()
    shown = [present[i * len(present) // _ROWS] for i in range(_ROWS)]
    rows: list[tuple[str, Tensor]] = []
    for label in present if len(present) <= _ROWS else shown:
        own = (dataset.labels == label).nonzero().flatten()
        rows.append((names[label], dataset.values(_evenly(own, _COLUMNS))))
    return rows


def _rows_of_all(found: Description) -> list[tuple[str, Tensor]]:
    dataset = found.dataset
    every = _evenly(torch.arange(len(dataset)), _COLUMNS * _ROWS_WITHOUT_CLASSES)
    return [("", dataset.values(row)) for row in every.split(_COLUMNS)]


def _evenly(indices: Tensor, most: int) -> Tensor:
    count = min(len(indices), most)
    return indices[torch.arange(count) * len(indices) // max(count, 1)]


def _one_of_each(rows: list[tuple[str, Tensor]]) -> Tensor:
    """Return a row of images: the first ones of all rows, then the second ones, and so on."""
    longest = max(len(images) for _, images in rows)
    ordered = [
        images[place] for place in range(longest) for _, images in rows if place < len(images)
    ]
    # few images are repeated, so that each is seen with several augmentations
    return torch.stack((ordered * _COLUMNS)[:_COLUMNS])


def _augmented(images: Tensor) -> list[tuple[str, Tensor]]:
    rows: list[tuple[str, Tensor]] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for p in PROBABILITIES:
            for number in range(_ROWS_OF_P):
                rows.append(("" if number else f"p = {p:g}", nonleaking(images, p)))
    return rows


def _draw(axes: "Axes", rows: list[tuple[str, Tensor]], *, title: str) -> None:
    """Draw rows of images as one sheet, with a label at each row."""
    first = rows[0][1]
    sheet = torch.zeros(len(rows) * _COLUMNS, *first.shape[1:])
    for number, (_, images) in enumerate(rows):
        sheet[number * _COLUMNS : number * _COLUMNS + len(images)] = images
    # places without an image are grey
    pixels = _on_checks(image_grid(to_uint8(sheet), columns=_COLUMNS))
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    tall = pixels.height / len(rows)
    axes.set_xticks([])
    axes.set_yticks(
        [(number + 0.5) * tall for number in range(len(rows))],
        [_short(label) for label, _ in rows],
        fontsize=8,
        # a dollar sign in a name begins no formula
        parse_math=False,
    )
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_title(title, fontsize=9, loc="left", parse_math=False)


def _on_checks(pixels: "Image") -> "Image":
    """Put a picture with opacity on grey checks, so that transparent places are not white."""
    from PIL import Image

    if pixels.mode != "RGBA":
        return pixels
    rows, columns = np.ogrid[: pixels.height, : pixels.width]
    is_dark = (rows // _CHECK + columns // _CHECK) % 2 == 0
    checks = Image.fromarray(np.where(is_dark, 205, 245).astype(np.uint8)).convert("RGBA")
    return Image.alpha_composite(checks, pixels)


def _title(found: Description, rows: int) -> str:
    channels, height, width = found.dataset.sample_shape
    total = len(found.class_names)
    part = f", {rows} of {total:,} classes" if rows < total else ""
    source = _short(found.settings.source, most=48)
    return f"{source}: {counted(found.dataset.total, 'image')}, {channels}×{height}×{width}{part}"


def _short(text: str, most: int = _LONGEST) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _points(found: Description) -> "Figure":
    """Draw the first two coordinates of points, each class in its colour."""
    dataset = found.dataset
    chosen = _evenly(torch.arange(len(dataset)), _POINTS)
    points = dataset.samples[chosen]
    labels = None if dataset.labels is None else dataset.labels[chosen].tolist()
    across, up = points[:, 0], points[:, min(1, points.shape[1] - 1)]
    limit = 1.05 * max(across.abs().max().item(), up.abs().max().item(), 1e-6)
    figure = new_figure(5, 5.3, dpi=110)
    axes = square_axes(figure, limit=limit if math.isfinite(limit) else 1.0)
    colours = DATA if labels is None else [colour(label) for label in labels]
    axes.scatter(across.tolist(), up.tolist(), s=3, c=colours, linewidths=0)
    source = _short(found.settings.source, most=40)
    kinds = f", {len(found.class_names):,} classes" if found.class_names else ""
    axes.set_title(
        f"{source}: {dataset.total:,} points{kinds}", fontsize=9, loc="left", parse_math=False
    )
    return figure
