"""The form of all images, where the settings leave it to the data: chosen from a sample."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sngan.data.images import value_range as levels
from sngan.data.images.pixels import channels_of, is_deep, opened, upright
from sngan.data.images.value_range import Levels
from sngan.data.types import Encoded, Form, Item, Reading
from sngan.utils.checks import require
from sngan.utils.text import printable

if TYPE_CHECKING:
    from PIL.Image import Image

LEAST_SIDE = 8
_log = logging.getLogger("sngan")
_SAMPLE = 64
_COLOURS = ("RGB", "RGBA")
# the values of larger ones take long to read; masks are small
_LARGEST_LOOKED_AT = 2**20


class _Seen(NamedTuple):
    """Of one image of the sample; ``low`` and ``high`` where its values were looked at."""

    size: tuple[int, int]
    channels: int
    mode: str
    low: float
    high: float
    frames: int


Run = Callable[[Callable[[Item], _Seen | None], Iterable[Item]], Iterable[_Seen | None]]


def default_side(width: int, height: int) -> int:
    """The side when none is asked for: the shorter one, as a multiple of 4, or 64 for photos."""
    shorter = min(width, height)
    return max(shorter // 4 * 4, LEAST_SIDE) if shorter <= 128 else 64


def sample(encoded: Encoded, first_block: list[Item]) -> list[Item]:
    """Some images at equal distances."""
    if encoded.some is not None:
        return encoded.some(_SAMPLE)
    step = max(len(first_block) // _SAMPLE, 1)
    return first_block[::step][:_SAMPLE]


def choose(
    encoded: Encoded, items: list[Item], run: Run, *, side: int | None, channels: int | None,
    reading: Reading,
) -> Form | None:  # fmt: skip
    """The form that the readable ones of a sample ask for; ``None``: none of them is readable.

    The side is from the median of their shorter sides, the channels are those of the first, and
    the levels from the range of all their values. ``run`` maps a function over items.
    """
    seen = [one for one in run(_look, items) if one is not None]
    if not seen:
        return None
    sizes = sorted((one.size for one in seen), key=min)
    chosen = side or default_side(*sizes[len(sizes) // 2])
    if side is None:
        tell_side(sizes, chosen)
    name = printable(encoded.name)
    if reading.is_first:
        return Form(chosen, channels or seen[0].channels)
    several = [one.frames for one in seen if one.frames > 1]
    if several:
        _log.warning(
            "%s: of images with up to %d frames or pages the first is read", name, max(several)
        )
    behind = rgb(reading.background)
    return Form(chosen, channels or seen[0].channels, behind, _levels(seen, name))


def tell_side(sizes: Sequence[tuple[int, int]], side: int) -> None:
    """Say that images are resized; ``sizes`` from the smallest to the largest."""
    median, least = sizes[len(sizes) // 2], sizes[0]
    largest = sizes[-1]
    if side in median and min(least) >= side and min(largest) < 2 * side:
        return
    extremes = f" ({least[0]}×{least[1]} to {largest[0]}×{largest[1]})"
    _log.warning(
        "images of %d×%d pixels%s are made %d×%d; data.resolution chooses another side",
        *median, "" if least == largest else extremes, side, side,
    )  # fmt: skip


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue of a colour's name or ``#rrggbb``.

    Raises
    ------
    ValueError
        If it is no colour.
    """
    from PIL import ImageColor

    require(isinstance(colour, str), "data.background", expected="text", got=repr(colour))
    try:
        found = ImageColor.getrgb(colour)
    except ValueError as error:
        expected = "a colour's name or #rrggbb"
        raise ValueError(f"data.background: expected {expected}, got {colour!r}") from error
    return found[0], found[1], found[2]


def _look(item: Item) -> _Seen | None:
    try:
        with opened(item.read()) as image:
            size, channels = upright(image).size, channels_of(image)
            low, high = _range(image)
            if not np.isfinite([low, high]).all():
                return None
            return _Seen(size, channels, image.mode, low, high, _frames(image))
    except Exception:
        # the full pass will say why it cannot be read
        return None


def _range(image: "Image") -> tuple[float, float]:
    """The least and the largest value; zeros where these would say nothing, or take long."""
    # a lossy format has no masks
    is_lossy = image.format == "JPEG"
    if is_deep(image) or (image.mode == "L" and not is_lossy):
        values: NDArray[np.generic] = np.asarray(image)
        return float(values.min()), float(values.max())
    is_small = image.width * image.height <= _LARGEST_LOOKED_AT
    if image.mode in _COLOURS and is_small and not is_lossy:
        return 0.0, float(np.asarray(image)[..., :3].max())
    return 0.0, 0.0


def _frames(image: "Image") -> int:
    # a camera's MPO holds a smaller picture or that of the other eye beside the photo
    return 1 if image.format == "MPO" else getattr(image, "n_frames", 1)


def _levels(seen: list[_Seen], name: str) -> Mapping[str, Levels]:
    found: dict[str, Levels] = {}
    for mode in sorted({one.mode for one in seen if one.high or one.low}):
        low = min(one.low for one in seen if one.mode == mode)
        high = max(one.high for one in seen if one.mode == mode)
        if mode not in _COLOURS:
            found[mode] = _levels_of(mode, low, high, name)
        elif high <= 1:
            _log.warning("%s: nearly black, its largest value is 1 of 255", name)
    return found


def _levels_of(mode: str, low: float, high: float, name: str) -> Levels:
    if mode == "L":
        return levels.of_bytes(high, name)
    usual = levels.of_floats(low, high) if mode == "F" else levels.of_integers(low, high)
    # values of any other scale, such as heights or temperatures
    chosen = usual or Levels(low, max(high, low + 1e-30), is_cut=True)
    if chosen not in (Levels(0, 65535), levels.UNIT) or (mode != "F" and chosen == levels.UNIT):
        kind = "floats" if mode == "F" else "values of more than 8 bits"
        _log.warning("%s: %s up to %g are read as %s", name, kind, high, chosen)
    return chosen
