"""Resizing of decoded pixels: bicubic with antialiasing, also with opacity, and padding."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from sngan.data.images.placement import Size

_ALPHA = 3


def resized(array: NDArray[np.uint8], part: Size, size: Size) -> NDArray[np.uint8]:
    """Cut out the centre of an image, and resize it bicubically with antialiasing.

    Parameters
    ----------
    array
        The image ``(channels, height, width)``. A fourth channel is the opacity. Then each colour
        is weighted by it, because the colour of a transparent pixel must not be seen.
    part
        The size of the part that is cut out.
    size
        The size of the result.
    """
    height, width = part
    top, left = (array.shape[1] - height) // 2, (array.shape[2] - width) // 2
    # torch needs writable memory, and Pillow's is read-only
    cut = torch.from_numpy(array[:, top : top + height, left : left + width].copy("K"))
    return (_with_opacity(cut, size) if len(cut) > _ALPHA else _bicubic(cut, size)).numpy()


def _bicubic(images: Tensor, size: Size) -> Tensor:
    return interpolate(images[None], size, mode="bicubic", antialias=True)[0]


def _with_opacity(image: Tensor, size: Size) -> Tensor:
    """Resize colours times opacity, and divide by the resized opacity."""
    whole = image.double()
    opacity = _bicubic(whole[_ALPHA:], size).clamp(0, 255)
    weighted = _bicubic(whole[:_ALPHA] * whole[_ALPHA:], size)
    # a place without any opacity has the plain colour, which nobody sees
    colours = torch.where(opacity > 0, weighted / opacity, _bicubic(whole[:_ALPHA], size))
    return torch.cat([colours, opacity]).round().clamp(0, 255).to(torch.uint8)


def padded(
    array: NDArray[np.uint8], size: Size, background: tuple[int, int, int] | None
) -> NDArray[np.uint8]:
    """Put an image ``(channels, height, width)`` into the centre of a larger one.

    Parameters
    ----------
    array
        The image. Around an image with opacity the result is transparent.
    size
        The size of the result.
    background
        The colour around the image; ``None`` is white.
    """
    channels, height, width = array.shape
    colour = _in_channels(background or (255, 255, 255), channels)
    whole = np.broadcast_to(colour[:, None, None], (channels, *size)).copy()
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    whole[:, top : top + height, left : left + width] = array
    return whole


def _in_channels(colour: tuple[int, int, int], channels: int) -> NDArray[np.uint8]:
    if channels == 1:
        red, green, blue = colour
        # the weights of Pillow's conversion to grey
        return np.array([(19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16], np.uint8)
    return np.array([*colour, 0][:channels], np.uint8)
