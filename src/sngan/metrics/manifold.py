"""Precision, recall, density and coverage: how two sets of features overlap."""

from typing import NamedTuple

import torch
from torch import Tensor

from sngan.metrics.features import as_pair, scaled, squared_distances
from sngan.utils.checks import require_count
from sngan.utils.real_arrays import Reals

# so that a neighbour on its own sphere is inside, whatever its rounding
_MARGIN = 1 + 1e-9


class Manifold(NamedTuple):
    """Fidelity (precision, density) and variety (recall, coverage) of generated samples."""

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
    """How far generated samples lie among real ones, and real among generated.

    ``B_k(x)`` is the closed ball around a sample that reaches its k-th nearest other of its set.

    - precision: the share of generated samples in some ``B_k`` of a real one; recall: of real ones
      in some ``B_k`` of a generated one (Kynkäänniemi et al. 2019, arXiv:1904.06991, k = 3);
    - density: how many ``B_k`` of real samples hold a generated one, on average and divided by k,
      which may pass 1; coverage: the share of the ``B_k`` of real samples that hold a generated
      one (Naeem et al. 2020, arXiv:2002.09797, k = 5).

    All but density lie in [0, 1]. Time is O(n²d), memory O(nd): distances are formed in blocks.

    Parameters
    ----------
    generated, real
        Features ``(n, d)`` and ``(m, d)``, more of each than neighbours.
    precision_neighbours, density_neighbours
        The k of either pair.

    Raises
    ------
    ValueError
        If shapes do not fit, there are too few rows, or values are not finite.
    """
    require_count(precision_neighbours, "precision_neighbours")
    require_count(density_neighbours, "density_neighbours")
    needed = max(precision_neighbours, density_neighbours) + 1
    x, y, _ = scaled(*as_pair(generated, real, minimum=needed))
    narrow, wide = _squared_radii(y, precision_neighbours, density_neighbours)
    (reach,) = _squared_radii(x, precision_neighbours)
    precise = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    recalled, covered = (torch.zeros_like(narrow, dtype=torch.bool) for _ in range(2))
    held = torch.zeros_like(precise, dtype=torch.int64)
    for rows, squared in squared_distances(x, y):
        precise[rows] = (squared <= narrow).any(1)
        recalled |= (squared <= reach[rows, None]).any(0)
        inside = squared <= wide
        held[rows] = inside.sum(1)
        covered |= inside.any(0)
    return Manifold(
        precision=_share(precise),
        recall=_share(recalled),
        density=float(held.double().mean()) / density_neighbours,
        coverage=_share(covered),
    )


def _squared_radii(points: Tensor, *neighbours: int) -> Tensor:
    """Squared distances to these nearest others, ``(len(neighbours), n)``."""
    radii = points.new_empty(len(neighbours), len(points))
    for rows, squared in squared_distances(points, points):
        # the nearest of all is the point itself, at 0
        nearest = squared.topk(max(neighbours) + 1, largest=False).values
        radii[:, rows] = nearest[:, list(neighbours)].T
    return radii * _MARGIN


def _share(hits: Tensor) -> float:
    return float(hits.double().mean())
