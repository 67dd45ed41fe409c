"""Endless batches: every sample once an epoch, from the memory of the training device."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sngan import _ranks as ranks
from sngan._checks import require_count
from sngan.data.dataset import Dataset


class Batch(NamedTuple):
    """Samples float32 ``(batch, …)`` and labels int64 ``(batch,)`` or ``None``, on the device."""

    samples: Tensor
    labels: Tensor | None


class Sampler:
    """Draws batches; its state is the epoch and the position in it.

    Each epoch is a permutation that follows from ``seed`` and the epoch's number; a batch over the
    end of one takes the rest from the next. Flips and noise come from torch's global generator.
    Images leave as ``x/128 − 1 + U(0, 1/128)`` with ``dequantize`` (Miyato et al. 2018's released
    code), in [−1, 1), or as ``x/127.5 − 1``; points as they are. When the samples live on the
    device, nothing here waits for it. Processes that share a run draw the batch of all, and each
    leaves with its own part of it. :meth:`next` is :meth:`take`, which moves on, and
    :meth:`prepared`, which does the rest and is work of the device alone.

    Raises
    ------
    ValueError
        ``batch_size`` is not a positive integer.
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
    ) -> None:
        require_count(batch_size, "batch_size")
        self.device = torch.device(device)
        self.batch_size = batch_size
        self._seed, self._flip, self._dequantize = seed, flip, dequantize
        home = self.device if _stays_on_device(dataset, self.device) else torch.device("cpu")
        self._samples = dataset.samples.to(home)
        self._labels = None if dataset.labels is None else dataset.labels.to(self.device)
        self._epoch = self._position = 0
        self._order = self._permutation()

    def next(self) -> Batch:
        """Return the next batch, or this rank's part of it."""
        return self.prepared(self.take())

    def take(self) -> Batch:
        """Return the next batch, or this rank's part of it, with images still uint8."""
        indices = ranks.share(self._indices())
        samples = self._samples[indices].to(self.device, non_blocking=True)
        if self._labels is None:
            return Batch(samples, None)
        return Batch(samples, self._labels[indices.to(self.device, non_blocking=True)])

    def prepared(self, batch: Batch) -> Batch:
        """Return a batch of :meth:`take` as training shall see it, images flipped and in floats."""
        samples, labels = batch
        return Batch(self._prepared(samples) if samples.dim() == 4 else samples, labels)

    def draw_labels(self, n: int) -> Tensor | None:
        """Labels int64 ``(n,)`` in the frequencies of the data; ``None`` for data without."""
        if self._labels is None:
            return None
        choose = partial(torch.randint, len(self._labels))
        return self._labels[ranks.draw(choose, (n,), device=self.device)]

    def state_dict(self) -> dict[str, Any]:
        """Where the sampler is: plain integers."""
        return {"epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to where :meth:`state_dict` was taken, of the same data and seed."""
        self._epoch, self._position = state["epoch"], state["position"]
        self._order = self._permutation()

    def _indices(self) -> Tensor:
        parts: list[Tensor] = []
        missing = self.batch_size
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
        # SeedSequence keeps the epochs of nearby seeds apart
        (seed,) = np.random.SeedSequence((self._seed, self._epoch)).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(seed) % 2**63)
        order = torch.randperm(len(self._samples), generator=generator)
        return order.to(self._samples.device)

    def _prepared(self, pixels: Tensor) -> Tensor:
        if self._flip:
            size = (len(pixels), 1, 1, 1)
            mirrored = ranks.draw(torch.rand, size, device=pixels.device) < 0.5
            pixels = torch.where(mirrored, pixels.flip(3), pixels)
        if not self._dequantize:
            return pixels / 127.5 - 1
        images = pixels / 128 - 1
        noise = ranks.draw(torch.rand, images.shape, device=images.device)
        return images.add_(noise, alpha=1 / 128)


def _stays_on_device(dataset: Dataset, device: torch.device) -> bool:
    if dataset.cache == "auto" and device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return dataset.samples.nbytes < free / 2
    return dataset.cache in ("auto", "device")
