"""Precision, recall, density and coverage: how the supports of two sets of features overlap."""

from typing import NamedTuple

import torch
from torch import Tensor

from sngan.metrics.features import as_pair, scaled, squared_distances
from sngan.utils.checks import require_count
from sngan.utils.real_arrays import Reals

# the neighbour that defines a ball must lie inside it, in spite of rounding
_MARGIN = 1 + 1e-9


class Manifold(NamedTuple):
    """Fidelity (precision, density) and variety (recall, coverage) of generated samples.

    Attributes
    ----------
    precision, density
        How many generated samples lie among real ones.
    recall, coverage
        How many real samples have generated ones near them.

    Examples
    --------
    >>> from sngan.metrics import manifold
    >>> real = torch.arange(8.0)[:, None]
    >>> manifold(real, real).recall, manifold(real + 100, real).precision
    (1.0, 0.0)
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifold(
    generated: Reals,
    real: Reals,
    *,
    precision_neighbours: int = 3,
    density_neighbours: int = 5,
) -> Manifold:
    """Measure the share of generated samples that lie among real samples, and the reverse.

    ``B_k(x)`` is the closed ball around a sample that reaches its k-th nearest neighbour in its own
    set.

    - precision: the share of generated samples that lie in ``B_k(y)`` of some real ``y``;
    - recall: the share of real samples that lie in ``B_k(x)`` of some generated ``x``
      (both with k = 3: Kynkäänniemi et al. 2019, arXiv:1904.06991);
    - density: the mean number of balls ``B_k(y)`` of real samples that a generated sample lies in,
      divided by k;
    - coverage: the share of real samples whose ``B_k(y)`` contains a generated sample
      (both with k = 5: Naeem et al. 2020, arXiv:2002.09797).

    Density can exceed 1; the others lie in [0, 1]. Time is O((n + m)²d) and memory O((n + m)d),
    because distances are computed in blocks.

    Parameters
    ----------
    generated, real
        Features ``(n, d)`` and ``(m, d)``, each with more rows than neighbours.
    precision_neighbours
        The k of precision and recall.
    density_neighbours
        The k of density and coverage.

    Raises
    ------
    ValueError
        If shapes do not fit, there are too few rows, or values are not finite.

    Examples
    --------
    A generator that repeats one real sample is precise and misses nearly all of the data:

    >>> import torch
    >>> from sngan.metrics import manifold
    >>> real = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    >>> found = manifold(real[:1].repeat(100, 1), real)
    >>> found.precision, found.recall < 0.1, found.coverage < 0.2
    (1.0, True, True)
    """
    require_count(precision_neighbours, "precision_neighbours")
    require_count(density_neighbours, "density_neighbours")
    needed = max(precision_neighbours, density_neighbours) + 1
    x, y, _ = scaled(*as_pair(generated, real, minimum=needed))
    precision_radii, density_radii = _squared_radii(y, precision_neighbours, density_neighbours)
    (recall_radii,) = _squared_radii(x, precision_neighbours)
    is_precise = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    is_recalled, is_covered = (
        torch.zeros_like(precision_radii, dtype=torch.bool) for _ in range(2)
    )
    num_balls = torch.zeros_like(is_precise, dtype=torch.int64)
    for rows, squared in squared_distances(x, y):
        is_precise[rows] = (squared <= precision_radii).any(1)
        is_recalled |= (squared <= recall_radii[rows, None]).any(0)
        inside = squared <= density_radii
        num_balls[rows] = inside.sum(1)
        is_covered |= inside.any(0)
    return Manifold(
        precision=_share(is_precise),
        recall=_share(is_recalled),
        density=float(num_balls.double().mean()) / density_neighbours,
        coverage=_share(is_covered),
    )


def _squared_radii(points: Tensor, *neighbours: int) -> Tensor:
    """The squared distances to the k-th nearest neighbours, ``(len(neighbours), n)``."""
    radii = points.new_empty(len(neighbours), len(points))
    for rows, squared in squared_distances(points, points):
        # the nearest is the point itself, at distance 0
        nearest = squared.topk(max(neighbours) + 1, largest=False).values
        radii[:, rows] = nearest[:, list(neighbours)].T
    return radii * _MARGIN


def _share(hits: Tensor) -> float:
    return float(hits.double().mean())
