"""Measuring the Wasserstein distance of two data sets."""

import sys
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from sngan import data
from sngan.transport import sliced_wasserstein, wasserstein
from sngan.utils.checks import require, require_count
from sngan.utils.progress import counting


@dataclass(frozen=True)
class Distance:
    """What is known of the Wasserstein distance of two data sets, in units of their samples.

    ``w1``, its bracket ``lower ≤ W1 ≤ upper`` and ``gap`` are exact for ``n`` and ``m`` samples
    drawn from the two; ``sliced`` and ``sliced_lower ≤ W1`` are of all ``sizes`` that were read,
    10,000 of what is streamed.
    """

    sources: tuple[str, str]
    sizes: tuple[int, int]
    n: int
    m: int
    dimension: int
    w1: float
    lower: float
    upper: float
    gap: float
    sliced: float
    sliced_lower: float

    def table(self) -> str:
        """Plain text, a figure a line."""
        lines = [
            f"{self.sources[0]} ({self.sizes[0]:,}) against {self.sources[1]} ({self.sizes[1]:,}), "
            f"in {self.dimension} dimensions",
            f"W1 = {self.w1:.6g}  exact for {self.n:,} and {self.m:,} of them",
            f"     in [{self.lower:.9g}, {self.upper:.9g}], duality gap {self.gap:.2g}",
            f"sliced W1 = {self.sliced:.6g} of all that were read; their W1 is at least "
            f"{self.sliced_lower:.6g}",
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Data for JSON."""
        return asdict(self)


def distance(source_x: str, source_y: str, *, n: int = 2000, seed: int = 0) -> Distance:
    """Measure the Wasserstein distance of two SOURCEs, exactly on ``n`` samples of each.

    The ground distance is Euclidean; images count as vectors of pixels in [−1, 1].

    Raises
    ------
    ValueError
        A source that is none, samples of different shapes, a bad ``n``.
    """
    require_count(n, "n")
    require_count(seed, "seed", minimum=0)
    left, right = _open(source_x, "source_x"), _open(source_y, "source_y")
    require(
        left.sample_shape == right.sample_shape,
        "source_y",
        expected=f"samples of shape {left.sample_shape}, as in {source_x}",
        got=f"{right.sample_shape} in {source_y}",
    )
    x, y = (_vectors(dataset, most=n, seed=seed) for dataset in (left, right))
    exact = wasserstein(x, y)
    sliced = sliced_wasserstein(
        *(_vectors(dataset, most=len(dataset)) for dataset in (left, right))
    )
    return Distance(
        sources=(source_x, source_y),
        sizes=(len(left), len(right)),
        n=len(x),
        m=len(y),
        dimension=x.shape[1],
        w1=exact.distance,
        lower=exact.lower,
        upper=exact.upper,
        gap=exact.gap,
        sliced=sliced.distance,
        sliced_lower=sliced.lower,
    )


def _open(source: str, name: str) -> data.Dataset:
    # standard output is for the answer
    with counting("decoding", file=sys.stderr) as progress:
        try:
            return data.open_source(source, progress=progress)
        except ValueError as error:
            # the source's own messages name the setting of training
            raise ValueError(f"{name}: {str(error).partition(': ')[2]}") from error


def _vectors(dataset: data.Dataset, *, most: int, seed: int = 0) -> Tensor:
    picked = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))[:most]
    return dataset.values(picked).flatten(1)
