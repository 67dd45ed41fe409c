"""Survey of a SOURCE: the sizes, formats and transparency of its images before they are read."""

import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from sngan.data.dataset import Dataset
from sngan.data.images.pixels import channels_of, open_image, upright
from sngan.data.images.placement import Fit, lost_share
from sngan.data.sources.chunked import ChunkedSource
from sngan.data.types import Arrays, Encoded, Item

_MOST = 5000

Size = tuple[int, int]
Opened = Encoded | ChunkedSource | Arrays | Dataset


@dataclass
class Survey:
    """Facts about images as their files or arrays hold them.

    Attributes
    ----------
    examined
        The number of images that were looked at, at most 5,000 at equal distances.
    sizes
        How many of them have each size, (width, height) as they are shown upright.
    formats
        How many have each format and mode of Pillow, such as ``PNG RGBA``; empty for arrays.
    channels
        How many are grey (1) and in colour (3); empty for arrays.
    transparent
        How many have transparent pixels, or a format that allows them.
    several_frames
        How many have further frames or pages, which are not read.
    """

    examined: int = 0
    sizes: Counter[Size] = field(default_factory=Counter[Size])
    formats: Counter[str] = field(default_factory=Counter[str])
    channels: Counter[int] = field(default_factory=Counter[int])
    transparent: int = 0
    several_frames: int = 0

    @property
    def smallest(self) -> Size:
        """The size with the fewest pixels."""
        return min(self.sizes, key=_area)

    @property
    def largest(self) -> Size:
        """The size with the most pixels."""
        return max(self.sizes, key=_area)

    @property
    def commonest(self) -> Size:
        """The size that most images have."""
        return self.sizes.most_common(1)[0][0]

    def lost(self, size: tuple[int, int], fit: Fit) -> tuple[float, float]:
        """Return the mean and the largest share of an image's area that a crop cuts away.

        Parameters
        ----------
        size
            The height and width that the images get.
        fit
            The way in which they are fitted; only ``crop`` loses anything.
        """
        shares = {one: lost_share((one[1], one[0]), size, fit) for one in self.sizes}
        total = sum(count * shares[one] for one, count in self.sizes.items())
        return total / max(self.sizes.total(), 1), max(shares.values(), default=0.0)


class _Facts(NamedTuple):
    size: Size
    kind: str
    channels: int
    is_transparent: bool
    has_frames: bool


def survey(opened: Opened) -> Survey:
    """Look at the images of an opened source; there are none in a source of points.

    Only the header of each image file is decoded. Files that cannot be read are not counted.
    """
    found = Survey()
    samples = opened.samples if isinstance(opened, Arrays | Dataset) else None
    if samples is not None:
        if samples.dim() == 4:
            found.examined = len(samples)
            found.sizes[samples.shape[3], samples.shape[2]] = len(samples)
        return found
    assert isinstance(opened, Encoded | ChunkedSource)
    # Pillow warns of odd files
    with warnings.catch_warnings(action="ignore"), ThreadPoolExecutor() as pool:
        for seen in pool.map(_facts, _some_items(opened)):
            if seen is not None:
                found.examined += 1
                found.sizes[seen.size] += 1
                found.formats[seen.kind] += 1
                found.channels[seen.channels] += 1
                found.transparent += seen.is_transparent
                found.several_frames += seen.has_frames
    return found


def _some_items(opened: Encoded | ChunkedSource) -> Iterator[Item]:
    encoded = opened.encoded(most=_MOST) if isinstance(opened, ChunkedSource) else opened
    if encoded.sample is not None:
        return iter(encoded.sample(_MOST))
    step = -(-encoded.total // _MOST)
    items = (item for block in encoded.blocks() for item in block)
    return islice(items, 0, None, step)


def _facts(item: Item) -> _Facts | None:
    try:
        with open_image(item.read()) as image:
            kind = f"{image.format} {image.mode}"
            several = image.format != "MPO" and getattr(image, "n_frames", 1) > 1
            channels, is_transparent = channels_of(image), image.has_transparency_data
            return _Facts(upright(image).size, kind, channels, is_transparent, several)
    except Exception:
        # a decoder may raise any exception; the data set has the reason in its skipped files
        return None


def _area(size: Size) -> int:
    return size[0] * size[1]
