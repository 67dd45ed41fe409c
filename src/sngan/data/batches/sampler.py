"""Sampler: an endless sequence of batches, with every sample once an epoch."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple, TypedDict

import torch
from torch import Tensor

from sngan.data.batches.shuffling import seeded_permutation
from sngan.data.batches.streaming import StreamedBatches
from sngan.data.dataset import Dataset
from sngan.data.own.batches import OwnStream
from sngan.distributed import collectives
from sngan.utils.checks import require_count, require_index


class Batch(NamedTuple):
    """Samples float32 ``(batch, …)`` and labels int64 ``(batch,)`` or ``None``, on the device.

    Examples
    --------
    >>> from sngan.data import Sampler, open_source
    >>> batch = Sampler(open_source("ring8"), 16).next()
    >>> batch.samples.shape, batch.labels.shape
    (torch.Size([16, 2]), torch.Size([16]))
    """

    samples: Tensor
    labels: Tensor | None


class Sampler:
    """Draws batches; its state is an epoch and a position in it.

    Each epoch is a permutation that is determined by ``seed`` and the number of the epoch. A batch
    that reaches the end of an epoch takes the rest from the next one. Streamed data is shuffled by
    :class:`sngan.data.batches.interleaving.ChunkInterleaver`.

    Processes that share a run draw the whole batch, and each returns its own rows of it. If the
    samples are on the device, no step here waits for the device.

    Parameters
    ----------
    dataset
        The samples.
    batch_size
        Samples per batch, over all processes.
    device
        The device of the batches.
    seed
        The seed of the order. Flips and noise come from torch's global generator.
    flip
        Mirror half of the images, left to right.
    dequantize
        Return images as ``x/128 − 1 + U(0, 1/128)`` in [−1, 1), as the released code of Miyato et
        al. 2018 does, instead of ``x/127.5 − 1``. Points are returned unchanged.
    rows
        The rows of the data set that are drawn; ``None`` draws all. A stream has no rows.

    Raises
    ------
    ValueError
        If ``batch_size`` is not a positive integer.

    Examples
    --------
    >>> from sngan.data import Sampler, open_source
    >>> sampler = Sampler(open_source("digits"), 64)
    >>> batch = sampler.next()
    >>> batch.samples.shape, batch.labels.shape
    (torch.Size([64, 1, 8, 8]), torch.Size([64]))
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        *,
        device: torch.device | str = "cpu",
        seed: int = 0,
        flip: bool = False,
        dequantize: bool = True,
        rows: Tensor | None = None,
    ) -> None:
        require_count(batch_size, "batch_size")
        self.device = torch.device(device)
        self.batch_size = batch_size
        self._flip, self._dequantize = flip, dequantize
        if dataset.stream is None:
            self._batches = _BatchesInMemory(
                dataset, batch_size, device=self.device, seed=seed, rows=rows
            )
        elif isinstance(dataset.stream, OwnStream):
            labelled = dataset.labels is not None
            self._batches = dataset.stream.batches(
                batch_size, device=self.device, labelled=labelled, seed=seed
            )
        else:
            self._batches = StreamedBatches(
                dataset.stream,
                batch_size,
                device=self.device,
                labelled=dataset.labels is not None,
                seed=seed,
            )

    def next(self) -> Batch:
        """Return the next batch, or this rank's part of it."""
        return self.prepared(self.take())

    def take(self) -> Batch:
        """Return the next batch, or this rank's part of it, with images still uint8.

        This moves the position on. :meth:`next` is ``take`` followed by :meth:`prepared`.
        """
        return Batch(*self._batches.next())

    def prepared(self, batch: Batch) -> Batch:
        """Flip the images of a batch from :meth:`take`, and convert them to floats.

        This runs only on the device, so a CUDA graph can capture it.
        """
        samples, labels = batch
        return Batch(self._prepared(samples) if samples.dim() == 4 else samples, labels)

    def draw_labels(self, n: int) -> Tensor | None:
        """Draw labels int64 ``(n,)`` with the frequencies of the data; ``None`` without labels."""
        return self._batches.draw_labels(n)

    def state_dict(self) -> Mapping[str, object]:
        """Return the position of the sampler: plain values."""
        return self._batches.state_dict()

    def load_state_dict(self, state: Any) -> None:
        """Continue from :meth:`state_dict` of the same data and seed."""
        self._batches.load_state_dict(state)

    def _prepared(self, pixels: Tensor) -> Tensor:
        if self._flip:
            size = (len(pixels), 1, 1, 1)
            mirrored = collectives.draw_local_rows(torch.rand, size, device=pixels.device) < 0.5
            pixels = torch.where(mirrored, pixels.flip(3), pixels)
        if not self._dequantize:
            return pixels / 127.5 - 1
        images = pixels / 128 - 1
        noise = collectives.draw_local_rows(torch.rand, images.shape, device=images.device)
        return images.add_(noise, alpha=1 / 128)


class _Position(TypedDict):
    """The state of :class:`_BatchesInMemory`, as checkpoints hold it."""

    epoch: int
    position: int


class _BatchesInMemory:
    """The rows of batches from samples in memory, on the device if they fit there."""

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        *,
        device: torch.device,
        seed: int,
        rows: Tensor | None,
    ) -> None:
        self._device, self._batch_size, self._seed = device, batch_size, seed
        home = device if _stays_on_device(dataset, device) else torch.device("cpu")
        self._samples = dataset.samples.to(home)
        self._rows = None if rows is None else rows.to(home)
        self._labels = None if dataset.labels is None else dataset.labels.to(device)
        self._drawn_labels = (
            self._labels if self._labels is None or rows is None else self._labels[rows.to(device)]
        )
        self._epoch = self._position = 0
        self._order = self._permutation()

    def next(self) -> tuple[Tensor, Tensor | None]:
        indices = collectives.local_rows(self._indices())
        samples = self._samples[indices].to(self._device, non_blocking=True)
        if self._labels is None:
            return samples, None
        return samples, self._labels[indices.to(self._device, non_blocking=True)]

    def draw_labels(self, n: int) -> Tensor | None:
        if self._drawn_labels is None:
            return None
        choose = partial(torch.randint, len(self._drawn_labels))
        return self._drawn_labels[collectives.draw_local_rows(choose, (n,), device=self._device)]

    def state_dict(self) -> _Position:
        return {"epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: _Position) -> None:
        epoch, position = state["epoch"], state["position"]
        require_count(epoch, "epoch", minimum=0)
        require_index(position, "position", count=len(self._order))
        self._epoch, self._position = epoch, position
        self._order = self._permutation()

    def _indices(self) -> Tensor:
        parts: list[Tensor] = []
        missing = self._batch_size
        while missing:
            part = self._order[self._position : self._position + missing]
            parts.append(part)
            missing -= len(part)
            self._position += len(part)
            if self._position == len(self._order):
                self._epoch, self._position = self._epoch + 1, 0
                self._order = self._permutation()
        return torch.cat(parts)

    def _permutation(self) -> Tensor:
        count = len(self._samples) if self._rows is None else len(self._rows)
        order = seeded_permutation(count, self._seed, self._epoch).to(self._samples.device)
        return order if self._rows is None else self._rows[order]


def _stays_on_device(dataset: Dataset, device: torch.device) -> bool:
    if dataset.cache == "auto" and device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return dataset.samples.nbytes < free / 2
    return dataset.cache in ("auto", "device")
