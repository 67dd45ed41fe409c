"""Sample grid: generated images in one picture, or a scatter of generated points."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sngan.runs.captions import CAPTION_PIXELS, caption_height, draw_caption
from sngan.utils.checks import require
from sngan.utils.plotting import (
    DATA,
    SAMPLES,
    new_figure,
    rendered,
    save_image,
    square_axes,
)

if TYPE_CHECKING:
    from PIL.Image import Image

_GRID_PIXELS = 512
_LIMIT = 1.25


def to_uint8(images: Tensor) -> Tensor:
    """Return images in [−1, 1] as rounded grey levels 0 … 255; other values are clamped."""
    return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def image_grid(
    images: Tensor,
    *,
    columns: int | None = None,
    scale: int | None = None,
    captions: Sequence[str] = (),
) -> "Image":
    """Arrange uint8 images ``(n, C, H, W)`` in a grid.

    Parameters
    ----------
    images
        The images.
    columns
        The number of columns; left out: the grid is nearly square.
    scale
        Each pixel becomes a square of this side; left out: the largest whole number with which the
        grid is at most 512 pixels wide, and at least 1.
    captions
        A text below each image, with lines; too long ones are cut off.

    Images of four channels make a picture with opacity, whose gaps are opaque.
    """
    from PIL import Image

    require(
        images.dim() == 4 and images.dtype == torch.uint8 and len(images) > 0,
        "images",
        expected="uint8 (n, C, H, W)",
        got=f"{images.dtype} {tuple(images.shape)}",
    )
    n, _, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    scale = scale or max(1, _GRID_PIXELS // (columns * (width + 1)), _readable(captions, width))
    gap = scale
    tall = height * scale + gap + caption_height(captions)
    wide = width * scale + gap
    sheet = torch.full((images.shape[1], rows * tall + gap, columns * wide + gap), 128).byte()
    sheet[3:] = 255
    corners = [(gap + i % columns * wide, gap + i // columns * tall) for i in range(n)]
    for (left, top), tile in zip(corners, enlarged(images, scale), strict=True):
        sheet[:, top : top + height * scale, left : left + width * scale] = tile
    pixels = sheet.permute(1, 2, 0).contiguous().numpy()
    grid = Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)
    for (left, top), caption in zip(corners, captions, strict=False):
        draw_caption(grid, caption, (left, top + height * scale), width=width * scale)
    return grid


def enlarged(images: Tensor, scale: int) -> Tensor:
    """Turn each pixel of images ``(n, C, H, W)`` into a square of side ``scale``."""
    return images.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)


def _readable(captions: Sequence[str], width: int) -> int:
    """The scale at which an image is wide enough for a caption; 1 without captions."""
    return -(-CAPTION_PIXELS // width) if captions else 1


def scatter(points: Tensor, *, reference: Tensor | None = None, limit: float = _LIMIT) -> "Image":
    """Draw the first two coordinates of points ``(n, dim)``.

    Parameters
    ----------
    points
        The generated points.
    reference
        Real points, drawn pale behind the generated ones.
    limit
        Both axes go from ``-limit`` to ``limit``, so scatters of different steps can be compared.
    """
    figure = new_figure(5, 5, dpi=110)
    axes = square_axes(figure, limit=limit)
    for part, colour, name in ((reference, DATA, "data"), (points, SAMPLES, "samples")):
        if part is not None:
            x, y = part[:, 0].tolist(), part[:, min(1, part.shape[1] - 1)].tolist()
            axes.scatter(x, y, s=3, c=colour, linewidths=0, label=name)
    axes.legend(loc="upper right", markerscale=3, frameon=False)
    return rendered(figure)


def save_samples(
    samples: Tensor,
    path: Path,
    *,
    reference: Tensor | None = None,
    is_real: bool = False,
    columns: int | None = None,
    scale: int | None = None,
    captions: Sequence[str] = (),
) -> None:
    """Write samples as one picture, atomically.

    Parameters
    ----------
    samples
        Images ``(n, C, H, W)`` in [−1, 1], or points ``(n, dim)``.
    path
        The file.
    reference
        Real points to draw behind the generated ones.
    is_real
        Whether the samples are real ones; points get the colour of the data.
    columns, scale, captions
        For images, as for :func:`image_grid`.
    """
    if samples.dim() == 4:
        picture = image_grid(to_uint8(samples), columns=columns, scale=scale, captions=captions)
    elif is_real:
        picture = scatter(samples[:0], reference=samples)
    else:
        picture = scatter(samples, reference=reference)
    save_image(picture, path)
