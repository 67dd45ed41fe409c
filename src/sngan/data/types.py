"""Types that the files of this package share: encoded and decoded images, chunks, options."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sngan.data.images.placement import Fit, Size
from sngan.data.images.value_range import ValueRange

READING = 5
"""The version of the rules by which files are read.

It is raised with each change of pixels or labels. A run keeps the version that it began with. Runs
that were made before this number existed have version 1.

Examples
--------
>>> from sngan import Config
>>> from sngan.data import READING
>>> Config(data="digits").data.reading == READING
True
"""

Progress = Callable[[int, int], None]
Fingerprint = dict[str, int | str]


@dataclass(frozen=True)
class Skipped:
    """A file that could not be used, and the reason.

    Examples
    --------
    >>> import torch
    >>> from sngan.data import Dataset, Skipped
    >>> broken = Skipped("cat.png", "empty file")
    >>> Dataset("cats", torch.zeros(1, 3, 8, 8), skipped=(broken,)).skipped[0].reason
    'empty file'
    """

    name: str
    reason: str


class Item(NamedTuple):
    """One encoded image: its name, a function that reads its bytes, and its label or −1."""

    name: str
    read: Callable[[], bytes]
    label: int = -1


class Content(NamedTuple):
    """The files of a source, for its fingerprint: names, sizes, and some bytes of file ``i``."""

    names: list[str]
    sizes: list[int]
    some_bytes: Callable[[int], bytes] | None


class ReadOptions(NamedTuple):
    """The settings that decide how the files of a source are read.

    ``labels`` is ``auto``, ``none``, ``folders``, a file of labels or the name of a column;
    ``background`` is a colour that Pillow knows; ``version`` is described at ``READING``. ``fit``
    says how images of another shape get that of the resolution.
    """

    split: str = "train"
    labels: str = "auto"
    background: str = "white"
    version: int = READING
    fit: Fit = "crop"

    @property
    def is_legacy(self) -> bool:
        """Whether files are read as version 1 read them, see :mod:`sngan.data.legacy`."""
        return self.version == 1


@dataclass(frozen=True)
class Encoded:
    """A source of encoded images, read in blocks so that not all bytes are in memory at once.

    ``stamp`` changes with the files: it is part of the name under which decoded images are cached.
    ``content`` identifies the data on other machines too. ``sample(n)`` returns n images at equal
    distances if that is cheap; without it the first block serves as the sample.
    """

    name: str
    total: int
    blocks: Callable[[], Iterator[list[Item]]]
    class_names: tuple[str, ...]
    stamp: str
    skipped: tuple[Skipped, ...] = ()
    content: Content | None = None
    sample: Callable[[int], list[Item]] | None = None


class Decoded(NamedTuple):
    """The images that could be read, their labels, the files that were skipped, and remarks."""

    images: NDArray[np.uint8]
    labels: list[int]
    skipped: list[Skipped]
    value_ranges: Mapping[str, ValueRange] = MappingProxyType({})
    remarks: tuple[str, ...] = ()


class ImageSpec(NamedTuple):
    """The size and the channels that every image of a data set is converted to.

    ``channels`` are 1 (grey), 3 (colour) or 4 (colour and opacity). ``background`` is the colour
    (red, green, blue) behind transparent pixels; ``None`` reads images as version 1 did.
    ``value_ranges`` are the values of black and white by Pillow's mode, for the modes whose range
    is not the usual one. ``version`` is described at ``READING``.
    """

    size: Size
    channels: int
    background: tuple[int, int, int] | None = None
    value_ranges: Mapping[str, ValueRange] = MappingProxyType({})
    fit: Fit = "crop"
    version: int = READING

    @property
    def is_legacy(self) -> bool:
        """Whether images are decoded as version 1 decoded them, see :mod:`sngan.data.legacy`."""
        return self.background is None


class Arrays(NamedTuple):
    """Images uint8 ``(N, C, H, W)`` or points float32 ``(N, dim)``, perhaps with labels."""

    samples: Tensor
    labels: Tensor | None = None
    class_names: tuple[str, ...] = ()
    content: Content | None = None


@dataclass(frozen=True)
class Chunk:
    """The images of one tar shard, or of one row group of a Parquet file.

    A chunk is opened as a whole: ``open()`` returns a function from a position, 0 … length − 1,
    to the encoded image there.
    """

    length: int
    open: Callable[[], Callable[[int], Item]]


@dataclass(frozen=True)
class Stream:
    """All samples of a streamed data set: its chunks, the spec of its images, its class counts."""

    chunks: tuple[Chunk, ...]
    spec: ImageSpec
    class_counts: Tensor | None
    workers: int | None = None
    unreadable: int = 0

    def __len__(self) -> int:
        """The number of images, without those that are known to be unreadable."""
        return sum(chunk.length for chunk in self.chunks) - self.unreadable
