"""The sliced Wasserstein distance: many points, in memory O(n)."""

import math
from dataclasses import dataclass

import numpy as np

from sngan._checks import require_count
from sngan.transport._points import EPSILON, Array, Problem, Values, problem
from sngan.transport.certificates import staircase

_BLOCK = 2**22  # numbers held at once, unless one projection alone takes more


@dataclass(frozen=True)
class SlicedResult:
    """The distances of one-dimensional projections.

    Attributes
    ----------
    distance
        ``SW_p = (mean over directions of W_p^p)^(1/p)``, estimated, in units of the points.
    standard_error
        Of ``distance``, over the random directions; NaN for one direction.
    lower
        The largest ``W_p`` of a projection, less its rounding: a certified lower bound of the
        ``W_p`` of the points, because a projection brings no two points further apart.
    projections
        The number of directions.
    """

    distance: float
    standard_error: float
    lower: float
    projections: int


def sliced_wasserstein(
    x: Values, y: Values, *, projections: int = 128, seed: int = 0, p: int = 1
) -> SlicedResult:
    """Sliced Wasserstein distance over random directions, uniform on the sphere.

    Each projection is solved by sorting, so the time is O(projections · n log n) and the memory
    O(n). Source: Bonneel, Rabin, Peyré, Pfister 2015, Sliced and Radon Wasserstein barycenters of
    measures; the maximum over directions: Deshpande et al. 2019, arXiv:1904.05877.

    Parameters
    ----------
    x, y
        Points ``(n, d)`` and ``(m, d)``, or ``(n,)`` and ``(m,)``; floating-point tensors or
        arrays, of equal weights.
    projections
        The number of directions.
    seed
        Of the directions.
    p
        1 or 2.

    Raises
    ------
    ValueError
        What :func:`sngan.transport.wasserstein` raises of its points.
    """
    clouds = problem(x, y, p)
    require_count(projections, "projections")
    require_count(seed, "seed", minimum=0)
    directions = np.random.default_rng(seed).standard_normal((projections, clouds.dimension))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    costs = _projected_costs(clouds, directions)
    mean = float(costs.mean())
    spread = float(costs.std(ddof=1)) / math.sqrt(projections) if projections > 1 else math.nan
    return SlicedResult(
        distance=mean ** (1 / p),
        standard_error=root_error(mean, spread, p),
        lower=max(0.0, float(costs.max()) ** (1 / p) - _rounding(clouds)),
        projections=projections,
    )


def root_error(mean: float, error: float, p: int) -> float:
    """Return the standard error of ``mean^(1/p)``, to first order."""
    return error if p == 1 or mean == 0 else error / (2 * math.sqrt(mean))


def _projected_costs(clouds: Problem, directions: Array) -> Array:
    """``W_p^p`` of each projection."""
    i, j, mass = staircase(clouds.weights_x, clouds.weights_y)
    kept = mass > EPSILON
    i, j, mass = i[kept], j[kept], mass[kept]
    block = max(1, _BLOCK // (len(clouds.x) + len(clouds.y)))
    costs: list[Array] = []
    for start in range(0, len(directions), block):
        some = directions[start : start + block]
        left, right = np.sort(some @ clouds.x.T), np.sort(some @ clouds.y.T)
        costs.append(np.abs(left[:, i] - right[:, j]) ** clouds.p @ mass)
    return np.concatenate(costs)


def _rounding(clouds: Problem) -> float:
    """Bound the rounding of a projection, its direction's length and a mean over n points."""
    radius = max(np.linalg.norm(clouds.x, axis=1).max(), np.linalg.norm(clouds.y, axis=1).max())
    terms = 2 * clouds.dimension + len(clouds.x) + len(clouds.y) + 8
    return float(2 * terms * EPSILON * radius)
