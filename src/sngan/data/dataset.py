"""A data set: all samples in one tensor, and what was left out."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from sngan.data.stream import Stream


@dataclass(frozen=True)
class Skipped:
    """A file that could not be used, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Dataset:
    """Images uint8 ``(N, C, H, W)`` with C 1 or 3, or points float32 ``(N, dim)``.

    ``labels`` are int64 ``(N,)`` indices into ``class_names``; ``cache`` says where the samples
    shall stay: ``device``, ``memory``, ``disk``, or ``auto`` for the device if they fit. With
    ``stream`` these samples are some of a data set that is larger than memory: what is measured
    is measured of them, and the sampler draws from all.
    """

    name: str
    samples: Tensor
    labels: Tensor | None = None
    class_names: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    cache: str = "auto"
    stream: "Stream | None" = None

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def total(self) -> int:
        """How many samples training draws from."""
        return len(self) if self.stream is None else len(self.stream)

    @property
    def is_images(self) -> bool:
        """Whether the samples are images, and not points."""
        return self.samples.dim() == 4

    def values(self, indices: Tensor) -> Tensor:
        """Float32 samples at these indices: images in [−1, 1], points as they are."""
        samples = self.samples[indices]
        return samples / 127.5 - 1 if self.is_images else samples

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return tuple(self.samples.shape[1:])
