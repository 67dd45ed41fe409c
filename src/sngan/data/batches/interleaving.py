"""Which samples make a batch, where the data is read in chunks."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sngan.data.cache import key
from sngan.utils.checks import require, require_count, require_index

_MOST = 8


def shuffled(count: int, *key: int) -> Tensor:
    """The numbers 0 … count − 1 in an order that follows from the key."""
    # SeedSequence keeps near keys apart
    (seed,) = np.random.SeedSequence(key).generate_state(1, np.uint64)
    generator = torch.Generator().manual_seed(int(seed) % 2**63)
    return torch.randperm(count, generator=generator)


class Part(NamedTuple):
    """Samples ``start`` … ``stop`` − 1 of a chunk, in the order it has in this epoch."""

    epoch: int
    chunk: int
    start: int
    stop: int


class Lanes:
    """Deals the chunks of each epoch, in a random order, to lanes that read one chunk each.

    A batch is as many samples of each lane; a lane at the end of its chunk takes the next that no
    lane has had, from the next epoch where this one has no more. All of it follows from the
    chunks' lengths, the batch size and the seed, so that every process knows where all lanes are.
    Their number is the largest up to 8, and to that of the chunks, which divides the batch size.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, *, seed: int) -> None:
        self._lengths, self._seed = lengths, seed
        self._chunks = key(*lengths)
        most = min(_MOST, len(lengths))
        count = max(n for n in range(1, most + 1) if batch_size % n == 0)
        self._rows = batch_size // count
        self._epoch = self._dealt = 0
        self._order = self._shuffled_chunks()
        self._lanes = [self._take() for _ in range(count)]

    def next(self) -> list[Part]:
        """The parts of the next batch, in the order of its rows."""
        return [part for lane in self._lanes for part in self._advance(lane)]

    def state_dict(self) -> dict[str, Any]:
        """Where all lanes are, and which chunks they are of: plain values."""
        lanes = [list(lane) for lane in self._lanes]
        return {"chunks": self._chunks, "epoch": self._epoch, "dealt": self._dealt, "lanes": lanes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to where :meth:`state_dict` was taken, of the same data, batch size and seed."""
        same = state["chunks"] == self._chunks
        require(same, "data", expected="the chunks that the run was trained on", got="others")
        epoch, dealt, lanes = (
            state["epoch"],
            state["dealt"],
            [list(lane) for lane in state["lanes"]],
        )
        require_count(epoch, "epoch", minimum=0)
        require_index(dealt, "dealt", count=len(self._lengths) + 1)
        require(
            len(lanes) == len(self._lanes),
            "lanes",
            expected=f"{len(self._lanes)} lanes",
            got=len(lanes),
        )
        for lane_epoch, chunk, start in lanes:
            require_count(lane_epoch, "epoch", minimum=0)
            require_index(chunk, "chunk", count=len(self._lengths))
            require_index(start, "position", count=self._lengths[chunk])
        self._epoch, self._dealt, self._lanes = epoch, dealt, lanes
        self._order = self._shuffled_chunks()

    def _advance(self, lane: list[int]) -> Iterator[Part]:
        missing = self._rows
        while missing:
            epoch, chunk, start = lane
            stop = min(start + missing, self._lengths[chunk])
            yield Part(epoch, chunk, start, stop)
            missing -= stop - start
            lane[:] = [epoch, chunk, stop] if stop < self._lengths[chunk] else self._take()

    def _take(self) -> list[int]:
        """Epoch, chunk and position of a lane in the next chunk."""
        if self._dealt == len(self._order):
            self._epoch, self._dealt = self._epoch + 1, 0
            self._order = self._shuffled_chunks()
        self._dealt += 1
        return [self._epoch, self._order[self._dealt - 1], 0]

    def _shuffled_chunks(self) -> list[int]:
        return shuffled(len(self._lengths), self._seed, self._epoch).tolist()


def rows(parts: Sequence[Part], start: int, stop: int) -> Iterator[Part]:
    """The parts of rows ``start`` … ``stop`` − 1 of a batch."""
    first = 0
    for part in parts:
        low = max(start - first, 0) + part.start
        high = min(stop - first + part.start, part.stop)
        if low < high:
            yield part._replace(start=low, stop=high)
        first += part.stop - part.start
