"""Distance of two data sets: the Wasserstein distance, and that of halves of one data set."""

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from sngan import data
from sngan.config import DataConfig
from sngan.tasks.distance_sources import open_alike
from sngan.transport import TwoSamples, compare_samples, sliced_wasserstein, wasserstein
from sngan.utils.checks import require_count
from sngan.utils.progress import counting
from sngan.utils.text import counted

_LEVEL = 0.05


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
        The exact distance of the drawn samples, its proved bounds ``lower ≤ W1 ≤ upper`` for these
        samples, and the duality gap.
    sliced, sliced_lower
        The sliced distance of all samples that were read, and the lower bound of their W1 that it
        gives.
    compared
        The distances within and between halves of the drawn samples, an interval and a permutation
        test, see :func:`sngan.transport.compare_samples`.
    seed
        The seed of everything random.
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
    compared: TwoSamples
    seed: int

    def table(self) -> str:
        """Return plain text with one figure a line."""
        lines = [
            f"{self.sources[0]} ({self.sizes[0]:,}) against {self.sources[1]} ({self.sizes[1]:,}), "
            f"in {self.dimension} dimensions",
            f"W1 = {self.w1:.6g}  exact for {self.n:,} and {self.m:,} of them",
            f"     bracket of these samples [{self.lower:.9g}, {self.upper:.9g}], duality gap "
            f"{self.gap:.2g}",
            *self._comparison(),
            f"sliced W1 = {self.sliced:.6g} of all that were read; their W1 is at least "
            f"{self.sliced_lower:.6g}",
        ]
        return "\n".join(lines)

    def _comparison(self) -> Iterator[str]:
        found = self.compared
        if found.interval is not None:
            low, high = found.interval
            yield f"     95 % interval for other samples of as many: [{low:.6g}, {high:.6g}]"
        if found.between is not None:
            yield (
                f"halves of {found.half:,} samples, mean of {found.splits} splits (two samples of "
                "one distribution are apart too):"
            )
            yield f"     within {self.sources[0]}: {found.within_x:.6g}"
            yield f"     within {self.sources[1]}: {found.within_y:.6g}"
            yield f"     between both: {found.between:.6g}"
        if found.p_value is None:
            yield "no permutation test: --permutations N makes one"
        else:
            verdict = (
                "the data sets differ" if found.p_value <= _LEVEL else "no difference is shown"
            )
            yield f"permutation test: p = {found.p_value:.2g} ({self._tested()}), {verdict}"

    def _tested(self) -> str:
        """Say how many permutations of how many samples were compared."""
        found = self.compared
        permutations = counted(found.permutations, "permutation")
        if found.tested == (self.n, self.m):
            return permutations
        first, second = found.tested
        return (
            f"{permutations} of {first:,} and {second:,} of them, to save time; "
            "--permutations N takes all"
        )

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
    permutations: int | None = None,
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
        The seed of the choice of samples, of their halves and of permutations.
    settings
        The settings that both are read with, except the source; see :func:`open_alike`.
    permutations
        The number of permutations for the p-value; ``None``: 199, with fewer samples if those of
        all take over 20 s of CPU time.

    Raises
    ------
    ValueError
        If a source cannot be read, the samples differ in shape, or ``n``, ``seed`` or
        ``permutations`` is no count.

    Examples
    --------
    >>> import sngan
    >>> found = sngan.distance("ring8", "grid25", n=300, permutations=19)
    >>> found.lower <= found.w1 <= found.upper, found.compared.p_value
    (True, 0.05)
    """
    require_count(n, "n")
    require_count(seed, "seed", minimum=0)
    if permutations is not None:
        require_count(permutations, "permutations", minimum=0)
    left, right = open_alike(source_x, source_y, settings or DataConfig())
    x, y = (_vectors(dataset, most=n, seed=seed) for dataset in (left, right))
    exact = wasserstein(x, y)
    with counting("comparing halves and permutations", file=sys.stderr) as progress:
        compared = compare_samples(x, y, permutations=permutations, seed=seed, progress=progress)
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
        compared=compared,
        seed=seed,
    )


def _vectors(dataset: data.Dataset, *, most: int, seed: int = 0) -> Tensor:
    picked = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))[:most]
    return dataset.values(picked).flatten(1)
