"""Pixels of one image: open it within limits, turn it upright, make it opaque, crop and resize."""

import io
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from sngan.data import legacy
from sngan.data.images.formats import readable_formats
from sngan.data.images.transparency import opaque_image
from sngan.data.images.value_range import BYTES, UNIT, ValueRange, to_bytes
from sngan.data.types import ImageSpec

if TYPE_CHECKING:
    from PIL.Image import Image

LARGEST_FILE = 256 * 2**20
"""The most bytes of an encoded image."""
_LARGEST_IMAGE = 89_478_485  # pixels; Pillow's own limit
_LARGE_IMAGE = 2**24
_STRIP = 64
_SMALL_FILE = 2**16
_SECONDS = 30.0
_SCANS = 100
_one_large_image = threading.Semaphore()
_ORIENTED = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")


class _Timed(io.BytesIO):
    """Bytes of a file that a decoder may read for at most 30 seconds of its thread's time."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._end = time.thread_time() + _SECONDS

    def read(self, size: int | None = -1, /) -> bytes:
        if time.thread_time() > self._end:
            raise TimeoutError(f"its decoding takes over {_SECONDS:g} s")
        return super().read(size)


@contextmanager
def open_image(data: bytes, side: int = 0) -> "Generator[Image]":
    """Open an image of one of ``FORMATS``, within limits of bytes, pixels and time.

    A JPEG is decoded at a reduced size if ``side`` pixels are far fewer than it has.

    Raises
    ------
    ValueError
        If the image is over a limit. Pillow's decoders may raise any exception on a damaged file.
    """
    from PIL import Image

    if len(data) > LARGEST_FILE:
        raise ValueError(f"it has {len(data)} bytes, over {LARGEST_FILE}")
    if data[:2] == b"\xff\xd8" and data.count(b"\xff\xda") > _SCANS:
        raise ValueError(f"a JPEG of over {_SCANS} scans")
    # a small file needs no clock: the limits above already bound its decoding time
    source = io.BytesIO(data) if len(data) < _SMALL_FILE else _Timed(data)
    with Image.open(source, formats=readable_formats()) as image:
        pixels = image.width * image.height
        if pixels > _LARGEST_IMAGE:
            raise ValueError(f"it has {pixels} pixels, over {_LARGEST_IMAGE}")
        if side:
            image.draft(image.mode, (2 * side, 2 * side))
        if image.width * image.height < _LARGE_IMAGE:
            yield image
        else:
            # large images in all threads at once could take more than the memory
            with _one_large_image:
                yield image


def upright(image: "Image", *, by_exif_alone: bool = False) -> "Image":
    """Turn the image upright as its EXIF or XMP data says."""
    from PIL import ImageOps

    # parsing this data takes as long as decoding a small image, so look for a sign of it first
    has_orientation = image.format in ("TIFF", "MPO") or any(key in image.info for key in _ORIENTED)
    if by_exif_alone:
        has_orientation = "exif" in image.info
    return ImageOps.exif_transpose(image) if has_orientation else image


def channels_of(image: "Image") -> int:
    """Return 1 for a grey image, 3 for one in colour."""
    return 1 if image.mode in ("1", "L", "LA", "La") or is_deep(image) else 3


def is_deep(image: "Image") -> bool:
    """Whether the image has more than 8 bits per channel."""
    return image.mode == "F" or image.mode.startswith("I")


def crop_and_resize(image: "Image", spec: ImageSpec) -> NDArray[np.uint8]:
    """Return ``(channels, side, side)``: the central square, resized bicubically with antialiasing.

    The result differs from Pillow's ``BICUBIC`` by at most two grey levels, in less than half of
    its time.

    Raises
    ------
    ValueError
        If values of the image are outside the value range of its mode.
    """
    is_large = image.width * image.height >= _LARGE_IMAGE and not spec.is_legacy
    plain = _reduced(image, spec) if is_large else _plain(image, spec)
    pixels: Any = np.asarray(plain)
    array = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return array if plain.size == (spec.side, spec.side) else _resized(array, spec.side)


def _reduced(image: "Image", spec: ImageSpec) -> "Image":
    """Return the central square of a large image, reduced by averaging, a strip at a time.

    The result has at least four times the side of the spec, for the resizing that follows. To
    convert the whole image at once would take several times its memory.
    """
    from PIL import Image

    square = min(image.size)
    factor = max(square // (4 * spec.side), 1)
    side = square // factor
    left, top = ((length - side * factor) // 2 for length in image.size)
    whole = Image.new(_mode(spec), (side, side))
    for row in range(0, side, _STRIP):
        end = min(row + _STRIP, side)
        box = (left, top + row * factor, left + side * factor, top + end * factor)
        whole.paste(_plain(image.crop(box), spec).reduce(factor), (0, row))
    return whole


def _plain(image: "Image", spec: ImageSpec) -> "Image":
    """Return the image with 8 bits, without transparency, in the spec's channels."""
    image = _eight_bits(image, spec)
    if spec.background is not None and image.has_transparency_data:
        image = opaque_image(image, spec.background)
    # a conversion to its own mode would copy it
    return image if image.mode == _mode(spec) else image.convert(_mode(spec))


def _mode(spec: ImageSpec) -> str:
    return "L" if spec.channels == 1 else "RGB"


def _eight_bits(image: "Image", spec: ImageSpec) -> "Image":
    from PIL import Image

    if spec.is_legacy:
        return legacy.eight_bits(image)
    value_range = _value_range(image, spec)
    if value_range is None or value_range == BYTES:
        return image
    return Image.fromarray(to_bytes(np.asarray(image), value_range))


def _value_range(image: "Image", spec: ImageSpec) -> ValueRange | None:
    """The value range of the image's mode; ``None`` if the mode already has 8 bits."""
    if not is_deep(image):
        return spec.value_ranges.get(image.mode) if image.mode == "L" else None
    usual = UNIT if image.mode == "F" else ValueRange(0, 65535)
    return spec.value_ranges.get(image.mode, usual)


def _resized(array: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    height, width = array.shape[1:]
    square = min(height, width)
    top, left = (height - square) // 2, (width - square) // 2
    # torch needs writable memory, and Pillow's is read-only
    cut = torch.from_numpy(array[:, top : top + square, left : left + square].copy("K"))
    return interpolate(cut[None], (side, side), mode="bicubic", antialias=True)[0].numpy()
