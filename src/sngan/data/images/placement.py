"""Placement of images of any shape in a resolution: sizes as settings, crop, pad and stretch."""

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, cast

from sngan.utils.checks import require, require_count

Size = tuple[int, int]
"""Height and width in pixels."""
Fit = Literal["crop", "pad", "stretch"]
_SMALLEST = 4
# a flag of a list in YAML is "[32, 96]"
_SIDES = re.compile(
    r"[\[(]?\s*(\d{1,30})(?:\s*[x×*,]\s*(\d{1,30}))?\s*[\])]?", re.ASCII | re.IGNORECASE
)


def parse_resolution(value: object) -> Size:
    """Return height and width of ``32`` (a square), ``"32x96"`` or ``(32, 96)``.

    Raises
    ------
    ValueError
        If the value is none of these, or a side is below 4 pixels.

    Examples
    --------
    >>> parse_resolution(32), parse_resolution("32x96"), parse_resolution([32, 96])
    ((32, 32), (32, 96), (32, 96))
    """
    sides = _sides(value)
    expected = "an integer, or HEIGHTxWIDTH such as 32x96"
    require(len(sides) in (1, 2), "data.resolution", expected=expected, got=repr(value)[:100])
    for side in sides:
        require_count(side, "data.resolution", minimum=_SMALLEST)
    return sides[0], sides[-1]


def _sides(value: object) -> tuple[Any, ...]:
    if isinstance(value, str):
        found = _SIDES.fullmatch(value.strip())
        return tuple(int(side) for side in found.groups() if side) if found else ()
    return tuple(cast(Sequence[Any], value)) if isinstance(value, list | tuple) else (value,)


def resolution_setting(size: Size) -> int | str:
    """Return a size as settings hold it: one side of a square, or ``"32x96"``.

    Examples
    --------
    >>> from sngan.data import resolution_setting
    >>> resolution_setting((32, 32)), resolution_setting((32, 96))
    (32, '32x96')
    """
    height, width = size
    return height if height == width else f"{height}x{width}"


def shown_size(size: Size) -> str:
    """Return a size for a reader, width first as in file managers: ``96×32``."""
    return f"{size[1]}×{size[0]}"


class Placement(NamedTuple):
    """The centre of an image that is read, and its size in the centre of the result."""

    part: Size
    size: Size


def placement(image: Size, target: Size, fit: Fit) -> Placement:
    """Return which part of an image is read, and the size that it gets in the target.

    ``crop`` reads the largest part that has the shape of the target, ``pad`` the whole image, which
    gets the largest size of its own shape that fits, and ``stretch`` the whole image, which fills
    the target.

    Parameters
    ----------
    image
        The size of the image.
    target
        The size of the result.
    fit
        The way.

    Examples
    --------
    >>> placement((32, 96), (16, 16), "crop"), placement((32, 96), (24, 24), "pad")
    (Placement(part=(32, 32), size=(16, 16)), Placement(part=(32, 96), size=(8, 24)))
    """
    if fit == "crop":
        return Placement(_largest_of_shape(target, inside=image), target)
    return Placement(image, target if fit == "stretch" else _largest_of_shape(image, inside=target))


def _largest_of_shape(shape: Size, *, inside: Size) -> Size:
    """Return the largest size with the ratio of ``shape``, up to rounding, that fits inside."""
    (height, width), (most_height, most_width) = shape, inside
    if most_height * width >= height * most_width:
        return max(_rounded(most_width * height, width), 1), most_width
    return most_height, max(_rounded(most_height * width, height), 1)


def _rounded(dividend: int, divisor: int) -> int:
    return (2 * dividend + divisor) // (2 * divisor)


def lost_share(image: Size, target: Size, fit: Fit) -> float:
    """Return the share of an image's area that the result does not show; only a crop loses any."""
    if fit != "crop":
        return 0.0
    ratio = (image[0] * target[1]) / (image[1] * target[0])
    return 1 - min(ratio, 1 / ratio)
