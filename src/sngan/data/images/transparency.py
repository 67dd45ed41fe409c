"""Transparency: the background colour, and images in front of it."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sngan.utils.checks import require

if TYPE_CHECKING:
    from PIL.Image import Image

_ROWS = 4096


def rgb(colour: str) -> tuple[int, int, int]:
    """Return red, green and blue, 0 … 255, of a colour's name or ``#rrggbb``.

    Raises
    ------
    ValueError
        If Pillow knows no such colour.
    """
    from PIL import ImageColor

    require(isinstance(colour, str), "data.background", expected="text", got=repr(colour))
    try:
        found = ImageColor.getrgb(colour)
    except ValueError as error:
        expected = "a colour's name or #rrggbb"
        raise ValueError(f"data.background: expected {expected}, got {colour!r}") from error
    return found[0], found[1], found[2]


def opaque_image(image: "Image", background: tuple[int, int, int]) -> "Image":
    """Return the image in front of the background, in RGB."""
    from PIL import Image

    layer = image if image.mode == "RGBA" else image.convert("RGBA")
    behind = Image.new("RGB", image.size, background)
    behind.paste(layer, mask=layer.getchannel("A"))
    return behind


def opaque_array(images: NDArray[np.uint8], background: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return RGBA images ``(N, 4, H, W)`` in front of the background, ``(N, 3, H, W)``."""
    behind = np.array(background, np.uint16)[None, :, None, None]
    opaque = np.empty((len(images), 3, *images.shape[2:]), np.uint8)
    for start in range(0, len(images), _ROWS):
        part = images[start : start + _ROWS].astype(np.uint16)
        alpha = part[:, 3:]
        opaque[start : start + _ROWS] = (part[:, :3] * alpha + behind * (255 - alpha) + 127) // 255
    return opaque
