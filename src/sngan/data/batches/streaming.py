"""Batches of data that is larger than memory: read in chunks, decoded ahead of training."""

import logging
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sngan.data.batches.interleaving import Lanes, Part, rows, shuffled
from sngan.data.images.decoding import decode
from sngan.data.types import Chunk, Form, Item, Skipped, Stream
from sngan.distributed import collectives

_log = logging.getLogger("sngan")


class _Loaded(NamedTuple):
    images: Tensor
    labels: Tensor


class _Pass(NamedTuple):
    """An open chunk, and the order of its images in one epoch."""

    item: Callable[[int], Item]
    order: NDArray[np.int64]


class StreamedRows:
    """The rows of batches, those of this rank; threads decode some batches ahead.

    A rank reads the chunks of its own lanes only; where a lane's rows are those of two ranks, both
    read its chunk. An image that cannot be read is logged, and the next readable one of its chunk
    takes its row.
    """

    def __init__(
        self, stream: Stream, batch_size: int, *, device: torch.device, labelled: bool, seed: int
    ) -> None:
        self._stream, self._device = stream, device
        self._seed, self._batch_size = seed, batch_size
        counts = stream.class_counts if labelled else None
        self._class_ends = None if counts is None else counts.cumsum(0).to(device)
        self._total = sum(chunk.length for chunk in stream.chunks)
        self._lanes = Lanes([c.length for c in stream.chunks], batch_size, seed=seed)
        self._state = self._lanes.state_dict()
        workers = stream.workers or os.cpu_count() or 1
        # its threads end with it: what they run holds no reference to it
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="sngan-data")
        self._ahead = workers + 1
        self._pending: deque[tuple[Future[_Loaded], dict[str, Any]]] = deque()
        self._opened: dict[tuple[int, int], Future[_Pass]] = {}
        self._skipped: dict[str, Skipped] = {}

    def next(self) -> tuple[Tensor, Tensor | None]:
        """Images uint8 ``(rows, channels, side, side)`` and their labels, on the device."""
        while len(self._pending) < self._ahead:
            self._pending.append((self._load_next(), self._lanes.state_dict()))
        batch, state = self._pending.popleft()
        images, labels = (part.to(self._device, non_blocking=True) for part in batch.result())
        self._state = state
        return images, None if self._class_ends is None else labels

    def draw_labels(self, n: int) -> Tensor | None:
        """Labels int64 ``(n,)`` in the frequencies of all the data."""
        if self._class_ends is None:
            return None
        choose = partial(torch.randint, self._total)
        numbers = collectives.draw_local_rows(choose, (n,), device=self._device)
        return torch.bucketize(numbers, self._class_ends, right=True)

    def state_dict(self) -> dict[str, Any]:
        """Where the last batch ended, whatever was decoded since: plain values."""
        return self._state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to where :meth:`state_dict` was taken; nothing before it is read."""
        self._pending.clear()
        self._lanes.load_state_dict(state)
        self._state = self._lanes.state_dict()

    def _load_next(self) -> Future[_Loaded]:
        own = collectives.local_rows(torch.arange(self._batch_size))
        parts = list(rows(self._lanes.next(), int(own[0]), int(own[-1]) + 1))
        # a thread that waits for a chunk waits for one that began before it
        self._opened = {
            (part.epoch, part.chunk): self._opened.get((part.epoch, part.chunk)) or self._open(part)
            for part in parts
        }
        wanted = [(self._opened[part.epoch, part.chunk], part.start, part.stop) for part in parts]
        pinned = self._device.type == "cuda"
        return self._pool.submit(_load, wanted, self._stream.form, self._skipped, pinned=pinned)

    def _open(self, part: Part) -> Future[_Pass]:
        chunk = self._stream.chunks[part.chunk]
        return self._pool.submit(_open, chunk, self._seed, part.epoch, part.chunk + 1)


def _open(chunk: Chunk, *key: int) -> _Pass:
    return _Pass(chunk.open(), shuffled(chunk.length, *key).numpy())


def _load(
    wanted: list[tuple[Future[_Pass], int, int]],
    form: Form,
    skipped: dict[str, Skipped],
    *,
    pinned: bool,
) -> _Loaded:
    places = [(opened.result(), at) for opened, start, stop in wanted for at in range(start, stop)]
    images = np.empty((len(places), form.channels, form.side, form.side), np.uint8)
    labels = [
        _fill(image, one, at, form, skipped)
        for image, (one, at) in zip(images, places, strict=True)
    ]
    loaded = _Loaded(torch.from_numpy(images), torch.tensor(labels))
    # memory that is copied to a GPU without waiting for it
    return _Loaded(*(part.pin_memory() for part in loaded)) if pinned else loaded


def _fill(
    image: NDArray[np.uint8], one: _Pass, at: int, form: Form, skipped: dict[str, Skipped]
) -> int:
    """Decode the readable image that is at this place of the order or next; return its label."""
    item = None
    for place in range(at, at + len(one.order)):
        item = one.item(int(one.order[place % len(one.order)]))
        result = decode(item, form=form, strict=False)
        if not isinstance(result, Skipped):
            image[:] = result
            return item.label
        if skipped.setdefault(item.name, result) is result:
            _log.info("skipped %s: %s (%d so far)", item.name, result.reason, len(skipped))
    assert item is not None
    raise ValueError(f"data: expected images, got none that can be read beside {item.name}")
