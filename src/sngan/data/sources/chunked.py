"""Chunked sources: tar shards and Parquet row groups, which are read one at a time."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sngan.data.types import Chunk, Content, Encoded, Item
from sngan.utils.text import counted

_BLOCK = 4096
_MOST_CLASSES = 2**20
_log = logging.getLogger("sngan")


@dataclass(frozen=True)
class ChunkedSource:
    """A source in chunks, none of them empty, with the number of samples of each class."""

    name: str
    chunks: tuple[Chunk, ...]
    stamp: str
    class_counts: NDArray[np.int64] | None
    class_names: tuple[str, ...] = ()
    content: Content | None = None

    def __len__(self) -> int:
        return sum(chunk.length for chunk in self.chunks)

    def encoded(self, *, most: int | None = None) -> Encoded:
        """Return all images, or ``most`` of them at equal distances over all chunks."""
        total = len(self)
        picked = total if most is None else min(most, total)

        def blocks() -> Iterator[list[Item]]:
            first = 0
            for chunk in self.chunks:
                # picked image i is number ⌊i·total/picked⌋ of all images
                low, high = (-(-edge * picked // total) for edge in (first, first + chunk.length))
                positions = [i * total // picked - first for i in range(low, high)]
                first += chunk.length
                item = chunk.open() if positions else None
                for start in range(0, len(positions), _BLOCK):
                    assert item is not None
                    yield [item(position) for position in positions[start : start + _BLOCK]]

        return Encoded(
            self.name, picked, blocks, self.class_names, self.stamp, content=self.content
        )


def count_labels(name: str, parts: Iterable[NDArray[Any]]) -> NDArray[np.int64] | None:
    """Count the samples of each class; ``None`` if a label is missing (−1) or too large."""
    counts = np.zeros(0, np.int64)
    without = 0
    for labels in parts:
        known = labels[labels >= 0]
        without += len(labels) - len(known)
        if len(known) and known.max() >= _MOST_CLASSES:
            _log.warning("%s: labels up to %d are too large for classes", name, known.max())
            return None
        more = np.bincount(known, minlength=len(counts))
        more[: len(counts)] += counts
        counts = more
    if without and len(counts):
        samples = counted(without, "sample has", "samples have")
        _log.warning("%s: %s no label, so no label is used", name, samples)
    return counts if len(counts) and not without else None
