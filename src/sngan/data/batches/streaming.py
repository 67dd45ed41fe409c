"""Streaming of batches from data that is larger than memory: threads decode ahead of training."""

import logging
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sngan.data.batches.interleaving import (
    ChunkInterleaver,
    ChunkSlice,
    ReaderPositions,
    slices_of_rows,
)
from sngan.data.batches.shuffling import seeded_permutation
from sngan.data.images.decoding import decode
from sngan.data.types import Chunk, ImageSpec, Item, Skipped, Stream
from sngan.distributed import collectives

_log = logging.getLogger("sngan")


class _Loaded(NamedTuple):
    images: Tensor
    labels: Tensor


class _OpenChunk(NamedTuple):
    """An open chunk, and the order of its images in one epoch."""

    item: Callable[[int], Item]
    order: NDArray[np.int64]


class StreamedBatches:
    """The rows of each batch that belong to this rank; threads decode some batches ahead.

    A rank opens only the chunks that its rows come from. If two ranks share the rows of a reader,
    both open its chunk. An image that cannot be read is logged, and the next readable image of its
    chunk takes its row.

    Parameters
    ----------
    stream
        All samples.
    batch_size
        Samples per batch, over all processes.
    device
        The device of the batches.
    labelled
        Whether batches have labels.
    seed
        The seed of the order.
    """

    def __init__(
        self, stream: Stream, batch_size: int, *, device: torch.device, labelled: bool, seed: int
    ) -> None:
        self._stream, self._device = stream, device
        self._seed, self._batch_size = seed, batch_size
        counts = stream.class_counts if labelled else None
        self._class_ends = None if counts is None else counts.cumsum(0).to(device)
        self._total = sum(chunk.length for chunk in stream.chunks)
        self._interleaver = ChunkInterleaver(
            [chunk.length for chunk in stream.chunks], batch_size, seed=seed
        )
        self._state = self._interleaver.state_dict()
        workers = stream.workers or os.cpu_count() or 1
        # the tasks hold no reference to this object, so the pool ends with it
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="sngan-data")
        self._ahead = workers + 1
        self._pending: deque[tuple[Future[_Loaded], ReaderPositions]] = deque()
        self._open_chunks: dict[tuple[int, int], Future[_OpenChunk]] = {}
        self._skipped: dict[str, Skipped] = {}

    def next(self) -> tuple[Tensor, Tensor | None]:
        """Return images uint8 ``(rows, C, H, W)`` and their labels, on the device."""
        while len(self._pending) < self._ahead:
            self._pending.append((self._load_next(), self._interleaver.state_dict()))
        batch, state = self._pending.popleft()
        images, labels = (part.to(self._device, non_blocking=True) for part in batch.result())
        self._state = state
        return images, None if self._class_ends is None else labels

    def draw_labels(self, n: int) -> Tensor | None:
        """Draw labels int64 ``(n,)`` with the frequencies of all the data."""
        if self._class_ends is None:
            return None
        choose = partial(torch.randint, self._total)
        numbers = collectives.draw_local_rows(choose, (n,), device=self._device)
        return torch.bucketize(numbers, self._class_ends, right=True)

    def state_dict(self) -> ReaderPositions:
        """Return the position after the last batch that was returned: plain values.

        Batches that were decoded ahead do not count.
        """
        return self._state

    def load_state_dict(self, state: ReaderPositions) -> None:
        """Continue from :meth:`state_dict`; nothing before that position is read again."""
        self._pending.clear()
        self._interleaver.load_state_dict(state)
        self._state = self._interleaver.state_dict()

    def _load_next(self) -> Future[_Loaded]:
        own = collectives.local_rows(torch.arange(self._batch_size))
        parts = list(slices_of_rows(self._interleaver.next(), int(own[0]), int(own[-1]) + 1))
        # no deadlock: a task waits only for chunks whose opening was submitted before it
        self._open_chunks = {
            (part.epoch, part.chunk): self._open_chunks.get((part.epoch, part.chunk))
            or self._open(part)
            for part in parts
        }
        wanted = [
            (self._open_chunks[part.epoch, part.chunk], part.start, part.stop) for part in parts
        ]
        pinned = self._device.type == "cuda"
        return self._pool.submit(_load, wanted, self._stream.spec, self._skipped, pinned=pinned)

    def _open(self, part: ChunkSlice) -> Future[_OpenChunk]:
        chunk = self._stream.chunks[part.chunk]
        return self._pool.submit(_open, chunk, self._seed, part.epoch, part.chunk + 1)


def _open(chunk: Chunk, *key: int) -> _OpenChunk:
    return _OpenChunk(chunk.open(), seeded_permutation(chunk.length, *key).numpy())


def _load(
    wanted: list[tuple[Future[_OpenChunk], int, int]],
    spec: ImageSpec,
    skipped: dict[str, Skipped],
    *,
    pinned: bool,
) -> _Loaded:
    places = [(opened.result(), at) for opened, start, stop in wanted for at in range(start, stop)]
    images = np.empty((len(places), spec.channels, *spec.size), np.uint8)
    labels = [
        _fill(image, one, at, spec, skipped)
        for image, (one, at) in zip(images, places, strict=True)
    ]
    loaded = _Loaded(torch.from_numpy(images), torch.tensor(labels))
    # pinned memory is copied to a GPU without waiting
    return _Loaded(*(part.pin_memory() for part in loaded)) if pinned else loaded


def _fill(
    image: NDArray[np.uint8], one: _OpenChunk, at: int, spec: ImageSpec, skipped: dict[str, Skipped]
) -> int:
    """Decode the image at this place of the order, or the next readable one; return its label."""
    item = None
    for place in range(at, at + len(one.order)):
        item = one.item(int(one.order[place % len(one.order)]))
        result = decode(item, spec=spec)
        if not isinstance(result, Skipped):
            image[:] = result
            return item.label
        if skipped.setdefault(item.name, result) is result:
            _log.info("skipped %s: %s (%d so far)", item.name, result.reason, len(skipped))
    assert item is not None
    raise ValueError(f"data: expected images, got none that can be read beside {item.name}")
