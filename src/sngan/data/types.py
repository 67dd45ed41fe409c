"""The types that the files of this package hand to one another."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

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


@dataclass(frozen=True)
class Encoded:
    """A source of encoded images, read in blocks so that not all bytes are in memory at once.

    ``stamp`` changes with the files, so that a cache is found by it; ``content`` tells the data
    on other machines too.
    """

    name: str
    total: int
    blocks: Callable[[], Iterator[list[Item]]]
    class_names: tuple[str, ...]
    stamp: str
    skipped: tuple[Skipped, ...] = ()
    content: Content | None = None


class Decoded(NamedTuple):
    """The images that could be read, their labels, and the others."""

    images: NDArray[np.uint8]
    labels: list[int]
    skipped: list[Skipped]


class Form(NamedTuple):
    """The side and the channels that every image is given."""

    side: int
    channels: int


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

    def __len__(self) -> int:
        return sum(chunk.length for chunk in self.chunks)
