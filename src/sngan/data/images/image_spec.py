"""Image spec: the size, channels and value ranges of all images, chosen from a sample of them."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sngan.data.images import value_range
from sngan.data.images.pixels import channels_of, is_deep, open_image, upright
from sngan.data.images.placement import Fit, Size, shown_size
from sngan.data.images.transparency import rgb
from sngan.data.images.value_range import ValueRange
from sngan.data.types import Encoded, ImageSpec, Item, ReadOptions
from sngan.utils.text import printable

if TYPE_CHECKING:
    from PIL.Image import Image

SMALLEST_SIDE = 8
_log = logging.getLogger("sngan")
_SAMPLE = 64
_COLOURS = ("RGB", "RGBA")
# reading the values of a larger image takes long, and masks are small
_LARGEST_PROBED = 2**20


class _Probe(NamedTuple):
    """Facts about one image of the sample; ``low`` and ``high`` are 0 for values not read."""

    size: tuple[int, int]
    channels: int
    mode: str
    low: float
    high: float
    frames: int


MapItems = Callable[[Callable[[Item], _Probe | None], Iterable[Item]], Iterable[_Probe | None]]


def default_size(width: int, height: int, fit: Fit) -> Size:
    """Return the usual size, a square: its side is a multiple of 4 pixels, or 64 for photos.

    It follows from the shorter side of an image, or from the longer one of an image that is padded.
    """
    side = max(width, height) if fit == "pad" else min(width, height)
    usual = max(side // 4 * 4, SMALLEST_SIDE) if side <= 128 else 64
    return usual, usual


def sample(encoded: Encoded, first_block: list[Item]) -> list[Item]:
    """Return some images at equal distances."""
    if encoded.sample is not None:
        return encoded.sample(_SAMPLE)
    step = max(len(first_block) // _SAMPLE, 1)
    return first_block[::step][:_SAMPLE]


def choose_spec(
    encoded: Encoded,
    items: list[Item],
    map_items: MapItems,
    *,
    size: Size | None,
    channels: int | None,
    options: ReadOptions,
) -> ImageSpec | None:
    """Choose the spec that fits a sample of images; ``None`` if none of them can be read.

    The size follows from the median of their shorter sides. The images are colour if one of them
    is. The value ranges follow from all values of the sample.

    Parameters
    ----------
    encoded
        The source.
    items
        The sample.
    map_items
        Maps a function over items, such as the ``map`` of a thread pool.
    size, channels
        Values to use; ``None`` chooses them.
    options
        The settings that the files are read with.
    """
    seen = [one for one in map_items(_probe, items) if one is not None]
    if not seen:
        return None
    sizes = sorted((one.size for one in seen), key=min)
    chosen = size or default_size(*sizes[len(sizes) // 2], options.fit)
    if size is None:
        warn_of_resizing(sizes, chosen)
    channels = channels or max(one.channels for one in seen)
    name = printable(encoded.name)
    if options.is_legacy:
        return ImageSpec(chosen, channels, fit=options.fit, version=options.version)
    several = [one.frames for one in seen if one.frames > 1]
    if several:
        _log.warning(
            "%s: images have up to %d frames or pages; only the first is read", name, max(several)
        )
    behind = rgb(options.background)
    ranges = _value_ranges(seen, name)
    return ImageSpec(chosen, channels, behind, ranges, options.fit, options.version)


def warn_of_resizing(sizes: Sequence[tuple[int, int]], size: Size) -> None:
    """Warn that images are resized.

    Parameters
    ----------
    sizes
        Width and height of images, from the smallest to the largest.
    size
        The square that was chosen.
    """
    median, smallest = sizes[len(sizes) // 2], sizes[0]
    largest, side = sizes[-1], size[0]
    if side in median and min(smallest) >= side and min(largest) < 2 * side:
        return
    extremes = f" ({smallest[0]}×{smallest[1]} to {largest[0]}×{largest[1]})"
    _log.warning(
        "images of %d×%d pixels%s are resized to %s; data.resolution sets another size",
        *median, "" if smallest == largest else extremes, shown_size(size),
    )  # fmt: skip


def _probe(item: Item) -> _Probe | None:
    try:
        with open_image(item.read()) as image:
            size, channels = upright(image).size, channels_of(image)
            low, high = _range(image)
            if not np.isfinite([low, high]).all():
                return None
            return _Probe(size, channels, image.mode, low, high, _frames(image))
    except Exception:
        # the pass over all images reports why it cannot be read
        return None


def _range(image: "Image") -> tuple[float, float]:
    """The least and the largest value; zeros if they do not matter, or take long to read."""
    # masks are never stored in a lossy format
    is_lossy = image.format == "JPEG"
    if is_deep(image) or (image.mode == "L" and not is_lossy):
        values: NDArray[np.generic] = np.asarray(image)
        return float(values.min()), float(values.max())
    is_small = image.width * image.height <= _LARGEST_PROBED
    if image.mode in _COLOURS and is_small and not is_lossy:
        return 0.0, float(np.asarray(image)[..., :3].max())
    return 0.0, 0.0


def _frames(image: "Image") -> int:
    # the other frames of a camera's MPO are a preview, or the photo for the other eye
    return 1 if image.format == "MPO" else getattr(image, "n_frames", 1)


def _value_ranges(seen: list[_Probe], name: str) -> Mapping[str, ValueRange]:
    found: dict[str, ValueRange] = {}
    for mode in sorted({one.mode for one in seen if one.high or one.low}):
        low = min(one.low for one in seen if one.mode == mode)
        high = max(one.high for one in seen if one.mode == mode)
        if mode not in _COLOURS:
            found[mode] = _range_of_mode(mode, low, high, name)
        elif high <= 1:
            _log.warning("%s: nearly black, its largest value is 1 of 255", name)
    return found


def _range_of_mode(mode: str, low: float, high: float, name: str) -> ValueRange:
    if mode == "L":
        return value_range.of_bytes(high, name)
    usual = value_range.of_floats(low, high) if mode == "F" else value_range.of_integers(low, high)
    # values of another scale, such as heights or temperatures
    chosen = usual or ValueRange(low, max(high, low + 1e-30), is_cut=True)
    if chosen not in (ValueRange(0, 65535), value_range.UNIT) or (
        mode != "F" and chosen == value_range.UNIT
    ):
        kind = "floats" if mode == "F" else "values of more than 8 bits"
        _log.warning("%s: %s up to %g are read as %s", name, kind, high, chosen)
    return chosen
