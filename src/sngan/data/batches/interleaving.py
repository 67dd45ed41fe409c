"""Interleaving of chunks: the samples of each batch of streamed data, read from several chunks.

A streamed data set cannot be shuffled as a whole. As in tf.data's ``interleave``, several readers
have one chunk open each, and a batch takes an equal share of every reader's chunk.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypedDict

from sngan.data.batches.shuffling import seeded_permutation
from sngan.data.cache import cache_key
from sngan.utils.checks import require, require_count, require_index

_MOST_READERS = 8


class ChunkSlice(NamedTuple):
    """Samples ``start`` … ``stop`` − 1 of a chunk, in the order that it has in this epoch."""

    epoch: int
    chunk: int
    start: int
    stop: int


class ReaderPositions(TypedDict):
    """The state of a :class:`ChunkInterleaver`: plain values, as checkpoints hold them.

    ``chunks`` is a key of the chunks, and ``lanes`` holds epoch, chunk and position of each reader.
    The names are those in the checkpoints of earlier versions.
    """

    chunks: str
    epoch: int
    dealt: int
    lanes: list[list[int]]


class ChunkInterleaver:
    """Deals the chunks of each epoch, in a random order, to readers that read one chunk each.

    A batch holds equally many samples from each reader. A reader at the end of its chunk takes the
    next chunk that no reader has had yet, from the next epoch if this one has no more. All of this
    follows from the chunks' lengths, the batch size and the seed, so every process knows the
    positions of all readers. The number of readers is the largest divisor of the batch size that is
    at most 8 and at most the number of chunks.

    Parameters
    ----------
    lengths
        The number of samples in each chunk.
    batch_size
        Samples per batch, over all processes.
    seed
        The seed of the order of chunks.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, *, seed: int) -> None:
        self._lengths, self._seed = lengths, seed
        self._key = cache_key(*lengths)
        most = min(_MOST_READERS, len(lengths))
        count = max(n for n in range(1, most + 1) if batch_size % n == 0)
        self._rows = batch_size // count
        self._epoch = self._dealt = 0
        self._order = self._shuffled_chunks()
        self._readers = [self._next_chunk() for _ in range(count)]

    def next(self) -> list[ChunkSlice]:
        """Return the slices of the next batch, in the order of its rows."""
        return [part for reader in self._readers for part in self._read(reader)]

    def state_dict(self) -> ReaderPositions:
        """Return the positions of all readers."""
        readers = [list(reader) for reader in self._readers]
        return {"chunks": self._key, "epoch": self._epoch, "dealt": self._dealt, "lanes": readers}

    def load_state_dict(self, state: ReaderPositions) -> None:
        """Continue from :meth:`state_dict` of the same data, batch size and seed.

        Raises
        ------
        ValueError
            If the state belongs to other chunks, or to another number of readers.
        """
        same = state["chunks"] == self._key
        require(same, "data", expected="the chunks that the run was trained on", got="others")
        epoch, dealt = state["epoch"], state["dealt"]
        readers = [list(reader) for reader in state["lanes"]]
        require_count(epoch, "epoch", minimum=0)
        require_index(dealt, "dealt", count=len(self._lengths) + 1)
        count = len(self._readers)
        fits = len(readers) == count
        require(fits, "readers", expected=f"{count} readers", got=len(readers))
        for reader_epoch, chunk, start in readers:
            require_count(reader_epoch, "epoch", minimum=0)
            require_index(chunk, "chunk", count=len(self._lengths))
            require_index(start, "position", count=self._lengths[chunk])
        self._epoch, self._dealt, self._readers = epoch, dealt, readers
        self._order = self._shuffled_chunks()

    def _read(self, reader: list[int]) -> Iterator[ChunkSlice]:
        """Move a reader on by its share of a batch."""
        missing = self._rows
        while missing:
            epoch, chunk, start = reader
            stop = min(start + missing, self._lengths[chunk])
            yield ChunkSlice(epoch, chunk, start, stop)
            missing -= stop - start
            at_end = stop == self._lengths[chunk]
            reader[:] = self._next_chunk() if at_end else [epoch, chunk, stop]

    def _next_chunk(self) -> list[int]:
        """Return the epoch, the chunk and the position of a reader that starts the next chunk."""
        if self._dealt == len(self._order):
            self._epoch, self._dealt = self._epoch + 1, 0
            self._order = self._shuffled_chunks()
        self._dealt += 1
        return [self._epoch, self._order[self._dealt - 1], 0]

    def _shuffled_chunks(self) -> list[int]:
        return seeded_permutation(len(self._lengths), self._seed, self._epoch).tolist()


def slices_of_rows(parts: Sequence[ChunkSlice], start: int, stop: int) -> Iterator[ChunkSlice]:
    """Return the slices that hold some rows of a batch.

    Parameters
    ----------
    parts
        The slices of the whole batch.
    start, stop
        The rows ``start`` … ``stop`` − 1.
    """
    first = 0
    for part in parts:
        low = max(start - first, 0) + part.start
        high = min(stop - first + part.start, part.stop)
        if low < high:
            yield part._replace(start=low, stop=high)
        first += part.stop - part.start
