"""Dataset: all samples in one tensor, with labels, class names and the skipped files."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sngan.data import fingerprint
from sngan.data.own.batches import OwnStream
from sngan.data.types import Content, Fingerprint, Skipped, Stream

_ROWS = 64


@dataclass(frozen=True)
class Dataset:
    """Images uint8 ``(N, C, H, W)`` with C 1 or 3, or points float32 ``(N, dim)``.

    Attributes
    ----------
    name
        The SOURCE.
    samples
        The images or points.
    labels
        int64 ``(N,)``, indices into ``class_names``; ``None`` without labels.
    class_names
        The name of each class.
    skipped
        The files that could not be used.
    cache
        The place of the samples during training: ``device``, ``memory``, ``disk``, or ``auto``,
        which is the device if they fit there.
    stream
        All samples of a data set that is larger than memory, or that reads its samples itself.
        ``samples`` are then some of them: metrics use only these, and the sampler draws from all.
    content
        The files that the samples came from, for :meth:`fingerprint`.

    Examples
    --------
    >>> from sngan.data import open_source
    >>> dataset = open_source("digits")
    >>> len(dataset), dataset.sample_shape, dataset.class_names[:3]
    (1797, (1, 8, 8), ('0', '1', '2'))
    >>> dataset.values(torch.tensor([0])).min()
    tensor(-1.)
    """

    name: str
    samples: Tensor
    labels: Tensor | None = None
    class_names: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    cache: str = "auto"
    stream: Stream | OwnStream | None = None
    content: Content | None = None

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def total(self) -> int:
        """The number of samples that training draws from."""
        return len(self) if self.stream is None else len(self.stream)

    def class_counts(self, classes: int) -> Tensor:
        """Return the number of samples of each class, int64 ``(classes,)``."""
        counts = None if self.stream is None else self.stream.class_counts
        if counts is None:
            assert self.labels is not None
            counts = torch.bincount(self.labels, minlength=classes)
        return torch.nn.functional.pad(counts, (0, classes - len(counts)))

    @property
    def is_images(self) -> bool:
        """Whether the samples are images, and not points."""
        return self.samples.dim() == 4

    def values(self, indices: Tensor) -> Tensor:
        """Return float32 samples at these indices: images in [−1, 1], points unchanged."""
        samples = self.samples[indices]
        return samples / 127.5 - 1 if self.is_images else samples

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return tuple(self.samples.shape[1:])

    def fingerprint(self) -> Fingerprint:
        """Return plain values that identify this data, to be kept in a checkpoint.

        They are computed from the names and sizes of all files, the bytes of some, and the labels;
        for samples without files, from some of the samples. :func:`sngan.data.changes` compares
        two fingerprints.
        """
        if isinstance(self.stream, OwnStream) and not self.stream.is_repeatable:
            # an iterator of the resumed run gives other samples
            return {"samples": self.total}
        found: Fingerprint = {"samples": self.total, "labels": self._labels_digest()}
        content = self._samples_content() if self.content is None else self.content
        return found | fingerprint.of_content(content)

    def _labels_digest(self) -> str:
        counts = None if self.stream is None else self.stream.class_counts
        labels = self.labels if counts is None else counts
        values = b"" if labels is None else labels.cpu().numpy().tobytes()
        return fingerprint.digest([values, *(name.encode() for name in self.class_names)])

    def _samples_content(self) -> Content:
        rows = fingerprint.evenly_spaced(len(self), _ROWS)
        kind = f"{self.samples.dtype} {self.sample_shape}"
        some = self.samples[rows].cpu().contiguous().numpy().tobytes() if rows else b""

        def read(_: int) -> bytes:
            return some

        return Content([kind], [self.samples.nbytes], read)
