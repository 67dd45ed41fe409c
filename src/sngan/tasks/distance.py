"""Distance of two data sets: the Wasserstein distance with proved bounds."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from sngan import data
from sngan.config import DataConfig
from sngan.tasks.distance_sources import open_alike
from sngan.transport import sliced_wasserstein, wasserstein
from sngan.utils.checks import require_count


@dataclass(frozen=True)
class Distance:
    """The Wasserstein distance of two data sets, in units of their samples.

    Attributes
    ----------
    sources, sizes
        The two data sets, and how many samples were read of each (10,000 if it is streamed).
    n, m, dimension
        How many samples were drawn of each for ``w1``, and their dimension.
    w1, lower, upper, gap
        The exact distance of the drawn samples, its proved bounds ``lower ≤ W1 ≤ upper``, and the
        duality gap.
    sliced, sliced_lower
        The sliced distance of all samples that were read, and the lower bound of their W1 that it
        gives.
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
        """Return plain text with one figure a line."""
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
        """Return the fields as plain values for JSON."""
        return asdict(self)


def distance(
    source_x: str,
    source_y: str,
    *,
    n: int = 2000,
    seed: int = 0,
    settings: DataConfig | None = None,
) -> Distance:
    """Measure the Wasserstein distance of two SOURCEs, exactly on ``n`` samples of each.

    The ground distance is Euclidean; images count as vectors of pixels in [−1, 1].

    Parameters
    ----------
    source_x, source_y
        The data sets, in any form of ``sngan train --data``.
    n
        The number of samples that are drawn of each for the exact distance.
    seed
        The seed of the choice of samples.
    settings
        The settings that both are read with, except the source; see :func:`open_alike`.

    Raises
    ------
    ValueError
        If a source cannot be read, the samples differ in shape, or ``n`` or ``seed`` is no count.
    """
    require_count(n, "n")
    require_count(seed, "seed", minimum=0)
    left, right = open_alike(source_x, source_y, settings or DataConfig())
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


def _vectors(dataset: data.Dataset, *, most: int, seed: int = 0) -> Tensor:
    picked = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))[:most]
    return dataset.values(picked).flatten(1)
