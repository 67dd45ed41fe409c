"""The types that the files of this package hand to one another."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sngan.data.images.value_range import Levels

READING = 2
"""Counts changes of how files are read that give other pixels or labels. A run goes on with the
reading that it began with; 1 is that of runs from before there was a number."""

Progress = Callable[[int, int], None]
Fingerprint = dict[str, int | str]


@dataclass(frozen=True)
class Skipped:
    """A file that could not be used, and why."""

    name: str
    reason: str


class Item(NamedTuple):
    """One encoded image: its name, how to read its bytes, its label or −1."""

    name: str
    read: Callable[[], bytes]
    label: int = -1


class Content(NamedTuple):
    """The files of a source, to tell it from another: names, sizes, some bytes of the i-th."""

    names: list[str]
    sizes: list[int]
    some_bytes: Callable[[int], bytes] | None


class Reading(NamedTuple):
    """How the files of a source are read.

    ``labels`` is ``auto``, ``none``, ``folders``, a file of labels or a column; ``background`` is
    a colour that Pillow knows.
    """

    split: str = "train"
    labels: str = "auto"
    background: str = "white"
    version: int = READING

    @property
    def is_first(self) -> bool:
        """Whether files are read as by the first versions."""
        return self.version == 1


@dataclass(frozen=True)
class Encoded:
    """A source of encoded images, read in blocks so that not all bytes are in memory at once.

    ``stamp`` changes with the files, so that a cache is found by it; ``content`` tells the data
    on other machines too. ``some(n)`` are n images at equal distances, where they are cheap to
    have; else those of the first block stand for all.
    """

    name: str
    total: int
    blocks: Callable[[], Iterator[list[Item]]]
    class_names: tuple[str, ...]
    stamp: str
    skipped: tuple[Skipped, ...] = ()
    content: Content | None = None
    some: Callable[[int], list[Item]] | None = None


class Decoded(NamedTuple):
    """The images that could be read, their labels, and the others."""

    images: NDArray[np.uint8]
    labels: list[int]
    skipped: list[Skipped]
    levels: Mapping[str, Levels] = MappingProxyType({})


class Form(NamedTuple):
    """The form that every image is given.

    ``background`` is seen where an image is transparent; ``None``: as the first versions read.
    ``levels`` are the values of black and white by Pillow's mode, where they are not the usual.
    """

    side: int
    channels: int
    background: tuple[int, int, int] | None = None
    levels: Mapping[str, Levels] = MappingProxyType({})

    @property
    def is_first(self) -> bool:
        """Whether images are made as by the first versions."""
        return self.background is None


class Arrays(NamedTuple):
    """Images uint8 ``(N, C, H, W)`` or points float32 ``(N, dim)``, with labels if there are."""

    samples: Tensor
    labels: Tensor | None = None
    class_names: tuple[str, ...] = ()
    content: Content | None = None


@dataclass(frozen=True)
class Chunk:
    """``length`` encoded images that are read as one; ``open()`` gives them by their position."""

    length: int
    open: Callable[[], Callable[[int], Item]]


@dataclass(frozen=True)
class Stream:
    """All samples of a data set: their chunks, the form of their images, counts of classes."""

    chunks: tuple[Chunk, ...]
    form: Form
    class_counts: Tensor | None
    workers: int | None = None
    unreadable: int = 0

    def __len__(self) -> int:
        """The number of images without those that are known to be unreadable."""
        return sum(chunk.length for chunk in self.chunks) - self.unreadable
