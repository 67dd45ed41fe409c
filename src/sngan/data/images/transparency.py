"""Transparency: the background colour, and images in front of it."""

from typing import TYPE_CHECKING, Any

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


def scale_transparent_colour(image: "Image", data: bytes) -> None:
    """Scale the transparent colour of a PNG to 8 bits, as Pillow scales the pixels.

    Pillow leaves the colour as it is in the file. Of 16 bits in colour it keeps the upper 8, so
    there a pixel is transparent if these are equal. Grey images of 16 bits keep all of them.

    Parameters
    ----------
    image
        The image, not turned or converted.
    data
        Its file, whose byte 24 is the number of bits, in the first chunk.
    """
    colour: Any = image.info.get("transparency")
    if image.format != "PNG" or colour is None:
        return
    bits = data[24]
    if image.mode == "L" and bits < 8:
        image.info["transparency"] = colour * 255 // (2**bits - 1)
    elif image.mode == "RGB" and bits == 16:
        image.info["transparency"] = tuple(value >> 8 for value in colour)


def with_opacity(grey: "Image", opaque: NDArray[np.bool_]) -> "Image":
    """Return a grey image that is transparent where ``opaque`` is false."""
    from PIL import Image

    alpha = Image.fromarray(np.where(opaque, 255, 0).astype(np.uint8))
    return Image.merge("LA", (grey, alpha))


def opaque_array(images: NDArray[np.uint8], background: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return RGBA images ``(N, 4, H, W)`` in front of the background, ``(N, 3, H, W)``."""
    behind = np.array(background, np.uint16)[None, :, None, None]
    opaque = np.empty((len(images), 3, *images.shape[2:]), np.uint8)
    for start in range(0, len(images), _ROWS):
        part = images[start : start + _ROWS].astype(np.uint16)
        alpha = part[:, 3:]
        opaque[start : start + _ROWS] = (part[:, :3] * alpha + behind * (255 - alpha) + 127) // 255
    return opaque
