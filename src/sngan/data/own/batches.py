"""Batches from data of one's own, and the promise that each kind keeps when a run is resumed."""

import random
from collections.abc import Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sngan.data.batches.shuffling import seeded_permutation
from sngan.data.own.one_time import OneTimeIterator
from sngan.data.own.rows import Rows, is_item, joined, rows_of, stacked
from sngan.distributed import collectives
from sngan.utils.checks import require, require_count, require_index

Pair = tuple[Tensor, Tensor | None]


class RowReader(Protocol):
    """Makes tensors of rows; ``reader.py`` has one."""

    def __call__(self, rows: Rows) -> Pair:
        """Return samples, and labels if there are some."""
        ...


@dataclass(frozen=True)
class OwnStream:
    """All samples of data that a caller gives as an object, which training reads as it goes.

    Attributes
    ----------
    given
        The data set or iterable.
    total
        The number of samples; of an iterable, the number of those that were read at the start.
    reader
        Makes tensors of its rows.
    labels
        The labels of the samples that were read at the start, whose frequencies are drawn.
    is_items
        Whether it is a map-style data set, whose items have numbers.
    is_repeatable
        Whether it can be read again from its start; an iterator cannot.
    head
        The samples of an iterator that were read at the start; training begins with them.
    """

    given: Any
    total: int
    reader: RowReader
    labels: Tensor | None
    is_items: bool
    is_repeatable: bool = True
    head: tuple[Rows, ...] = ()
    class_counts: None = None

    def __len__(self) -> int:
        return self.total

    def on_trial(self) -> AbstractContextManager[None]:
        """Return a context after which an iterator gives again what was read inside."""
        is_once = isinstance(self.given, OneTimeIterator)
        return self.given.given_again() if is_once else nullcontext()

    def batches(
        self, batch_size: int, *, device: torch.device, labelled: bool, seed: int
    ) -> "OwnBatches":
        """Return the batches of a training.

        Parameters
        ----------
        batch_size
            Samples per batch, over all processes.
        device
            The device of the batches.
        labelled
            Whether batches have labels.
        seed
            The seed of the order of a map-style data set.
        """
        kind = ItemBatches if self.is_items else IterableBatches
        return kind(self, batch_size, device=device, labelled=labelled, seed=seed)


class OwnBatches:
    """The rows of each batch that belong to this rank, and labels drawn with their frequencies."""

    def __init__(
        self, stream: OwnStream, batch_size: int, *, device: torch.device, labelled: bool, seed: int
    ) -> None:
        self._stream, self._batch_size, self._device = stream, batch_size, device
        self._labelled, self._seed = labelled, seed
        self._labels = stream.labels.to(device) if labelled and stream.labels is not None else None

    def draw_labels(self, n: int) -> Tensor | None:
        """Draw labels int64 ``(n,)`` of the samples that were read at the start."""
        if self._labels is None:
            return None
        choose = partial(torch.randint, len(self._labels))
        return self._labels[collectives.draw_local_rows(choose, (n,), device=self._device)]

    def next(self) -> Pair:
        """Return samples and labels on the device."""
        samples, labels = self._stream.reader(self._rows())
        samples = samples.to(self._device, non_blocking=True)
        if not self._labelled or labels is None:
            return samples, None
        return samples, labels.to(self._device, non_blocking=True)

    def _rows(self) -> Rows:
        raise NotImplementedError

    def state_dict(self) -> Mapping[str, Any]:
        """Return the position: plain values."""
        raise NotImplementedError

    def load_state_dict(self, state: Any) -> None:
        """Continue from :meth:`state_dict`."""
        raise NotImplementedError


class ItemBatches(OwnBatches):
    """Batches of a map-style data set: ``given[i]`` in a seeded order, each item once an epoch.

    A resumed run goes on bit for bit if an item depends on its number alone, or draws its random
    numbers from torch or from Python's ``random``, whose states a checkpoint holds.
    """

    def __init__(self, stream: OwnStream, batch_size: int, **options: Any) -> None:
        super().__init__(stream, batch_size, **options)
        self._epoch = self._position = 0
        self._order = seeded_permutation(stream.total, self._seed, 0)

    def _rows(self) -> Rows:
        numbers: list[int] = []
        while len(numbers) < self._batch_size:
            missing = self._batch_size - len(numbers)
            part = self._order[self._position : self._position + missing].tolist()
            numbers += part
            self._position += len(part)
            if self._position == len(self._order):
                self._epoch, self._position = self._epoch + 1, 0
                self._order = seeded_permutation(self._stream.total, self._seed, self._epoch)
        own = collectives.local_rows(torch.tensor(numbers)).tolist()
        return stacked([self._stream.given[number] for number in own])

    def state_dict(self) -> Mapping[str, Any]:
        """Return the epoch, and the position in it."""
        return {"epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: Any) -> None:
        """Continue from :meth:`state_dict`; no item is read again."""
        epoch, position = state["epoch"], state["position"]
        require_count(epoch, "epoch", minimum=0)
        require_index(position, "position", count=len(self._order))
        self._epoch, self._position = epoch, position
        self._order = seeded_permutation(self._stream.total, self._seed, epoch)


class IterableBatches(OwnBatches):
    """Batches of an iterable, such as a ``DataLoader``, cut or joined to the size of the run.

    An iterable that ends is read again from its start. A resumed run goes on bit for bit if the
    iterable gives the same samples for the same random numbers of torch and of Python's ``random``:
    it restores those of the start of the pass, and reads the pass again up to the last batch. An
    iterator cannot be read again; a resumed run goes on with what it gives next.
    """

    def __init__(self, stream: OwnStream, batch_size: int, **options: Any) -> None:
        super().__init__(stream, batch_size, **options)
        self._rest = joined(stream.head) if stream.head else None
        self._taken, self._begun = 0, _random_states()
        self._elements: Iterator[Rows] | None = None

    def _rows(self) -> Rows:
        parts = [] if self._rest is None else [self._rest]
        count = sum(len(rows.samples) for rows in parts)
        while count < self._batch_size:
            parts.append(self._next_element())
            count += len(parts[-1].samples)
        rows = joined(parts)
        self._rest = _cut(rows, self._batch_size, count) if count > self._batch_size else None
        own = collectives.local_rows(torch.arange(self._batch_size))
        return _cut(rows, int(own[0]), int(own[-1]) + 1)

    def _next_element(self) -> Rows:
        is_new = self._elements is None
        for _ in range(2):
            if self._elements is None:
                self._begin()
            assert self._elements is not None
            found = next(self._elements, None)
            if found is not None:
                self._taken += 1
                return found
            expected = "batches without end from an iterator, which cannot be read again"
            got = f"{self._taken} batches"
            require(self._stream.is_repeatable, "data", expected=expected, got=got)
            self._elements = None
            if is_new:
                break
        raise ValueError("data: expected an iterable with batches, got an empty one")

    def _begin(self) -> None:
        self._taken, self._begun = 0, _random_states()
        self._elements = iter(elements(self._stream.given))

    def state_dict(self) -> Mapping[str, Any]:
        """Return the number of batches of this pass, the random states at its start, and the rest.

        The rest are samples that were read, and wait for the next batch.
        """
        samples, labels = (None, None) if self._rest is None else self._rest
        return {
            "taken": self._taken,
            "is_reading": self._elements is not None,
            "begun": self._begun,
            "rest": _as_tensor(samples),
            "rest_labels": _as_tensor(labels),
        }

    def load_state_dict(self, state: Any) -> None:
        """Continue from :meth:`state_dict`: the pass is read again up to its position."""
        require_count(state["taken"], "taken", minimum=0)
        if not self._stream.is_repeatable:
            # the iterator that is given now has its own first samples
            return
        samples, labels = (_as_array(state[key]) for key in ("rest", "rest_labels"))
        self._rest = None if samples is None else Rows(samples, labels)
        self._elements = None
        if state["is_reading"]:
            with _restored(state["begun"]):
                self._begin()
                for _ in range(state["taken"]):
                    self._next_element()


def elements(given: Any) -> Iterator[Rows]:
    """Yield the rows of each element: a batch, or a single sample."""
    for element in given:
        yield stacked([element]) if is_item(element) else rows_of(element)


def _as_tensor(array: NDArray[Any] | None) -> Tensor | None:
    return None if array is None else torch.from_numpy(np.ascontiguousarray(array))


def _as_array(tensor: Tensor | None) -> NDArray[Any] | None:
    return None if tensor is None else tensor.cpu().numpy()


def _cut(rows: Rows, start: int, stop: int) -> Rows:
    labels = None if rows.labels is None else rows.labels[start:stop]
    return Rows(rows.samples[start:stop], labels)


def _random_states() -> dict[str, Any]:
    version, internal, gauss = random.getstate()
    return {"torch": torch.get_rng_state(), "python": [version, list(internal), gauss]}


@contextmanager
def _restored(states: Mapping[str, Any]) -> Generator[None]:
    """Have these random states inside, and those of before afterwards."""
    now = _random_states()
    _set_random_states(states)
    try:
        yield
    finally:
        _set_random_states(now)


def _set_random_states(states: Mapping[str, Any]) -> None:
    version, internal, gauss = states["python"]
    torch.set_rng_state(states["torch"].cpu())
    random.setstate((version, tuple(internal), gauss))


@contextmanager
def fixed_random_numbers() -> Generator[None]:
    """Draw the same random numbers inside, each time, and leave those of the run as they are."""
    now, of_numpy = _random_states(), np.random.get_state()
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    try:
        yield
    finally:
        _set_random_states(now)
        np.random.set_state(of_numpy)
