"""Sliced Wasserstein distance: for many points, in memory O(n)."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sngan.transport.masses import staircase
from sngan.transport.points import EPSILON, Problem, exponent_of, problem
from sngan.utils.checks import require_count
from sngan.utils.real_arrays import Array, Reals

_BLOCK = 2**22  # the most numbers in memory at once, or one projection if that takes more
_TINIEST = 2.0**-1022


@dataclass(frozen=True)
class SlicedResult:
    """The distances of one-dimensional projections.

    Attributes
    ----------
    distance
        The estimate of ``SW_p = (mean over directions of W_p^p)^(1/p)``, in units of the points.
    standard_error
        The standard error of ``distance`` over the random directions; NaN for one direction.
    lower
        The largest ``W_p`` of a projection, lowered by its rounding, in units of the points. It is
        a proved lower bound of ``W_p`` of the points, because no projection increases a distance.
    projections
        The number of directions.

    Examples
    --------
    >>> from sngan.transport import sliced_wasserstein
    >>> found = sliced_wasserstein([[0.0, 0.0]], [[3.0, 4.0]])
    >>> found.distance < found.lower <= 5, found.projections
    (True, 128)
    """

    distance: float
    standard_error: float
    lower: float
    projections: int


def sliced_wasserstein(
    x: Reals, y: Reals, *, projections: int = 128, seed: int = 0, p: float = 1
) -> SlicedResult:
    """Sliced Wasserstein distance ``SW_p = (mean over directions θ of W_p^p(θ·x, θ·y))^(1/p)``.

    The directions are random and uniform on the sphere. Each projection is solved by sorting, so
    the time is O(projections · n log n) and the memory O(n).

    Sources: Bonneel, Rabin, Peyré, Pfister 2015, Sliced and Radon Wasserstein barycenters of
    measures; the maximum over directions: Deshpande et al. 2019, arXiv:1904.05877.

    Parameters
    ----------
    x, y
        Points ``(n, d)`` and ``(m, d)``, or ``(n,)`` and ``(m,)``, of equal weights: floating-point
        tensors, arrays or lists.
    projections
        The number of directions.
    seed
        The seed of the directions.
    p
        The power, between 1 and 1000.

    Raises
    ------
    ValueError
        If :func:`sngan.transport.wasserstein` would raise for the points or ``p``, or a count is
        not a positive integer.

    Examples
    --------
    >>> import numpy as np
    >>> from sngan.transport import sliced_wasserstein
    >>> x = np.random.default_rng(0).standard_normal((100, 3))
    >>> found = sliced_wasserstein(x, x + [0.0, 3.0, 4.0])
    >>> 0 < found.distance < 5, 4.5 < found.lower <= 5
    (True, True)
    """
    clouds = problem(x, y, p)
    require_count(projections, "projections")
    require_count(seed, "seed", minimum=0)
    directions = np.random.default_rng(seed).standard_normal((projections, clouds.dimension))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    x_scaled, y_scaled, exponent = _scaled(clouds.x, clouds.y)
    distances = _projected_distances(x_scaled, y_scaled, directions, clouds)
    found = mean_power(distances, clouds.p)
    rounding = _rounding(x_scaled, y_scaled)
    return SlicedResult(
        distance=float(np.ldexp(found.distance, exponent)),
        standard_error=float(np.ldexp(found.standard_error, exponent)),
        lower=float(np.ldexp(max(0.0, float(distances.max()) - rounding), exponent)),
        projections=projections,
    )


class PowerMean(NamedTuple):
    """``(mean of distance^p)^(1/p)`` and its standard error, to first order."""

    distance: float
    standard_error: float


def mean_power(distances: Array, p: float) -> PowerMean:
    """Return the power mean of distances; the standard error of a single distance is NaN."""
    # divide by the largest distance, so that no power overflows
    unit = float(distances.max()) or 1.0
    powers = (distances / unit) ** p
    mean = float(powers.mean())
    count = len(powers)
    error = float(powers.std(ddof=1)) / math.sqrt(count) if count > 1 else math.nan
    slope = mean ** (1 / p - 1) / p if mean else 1.0
    return PowerMean(unit * mean ** (1 / p), unit * slope * error)


def _scaled(x: Array, y: Array) -> tuple[Array, Array, int]:
    """Move both to one centre and scale them into ``[−1, 1]``; return also the exponent of 2."""
    first = exponent_of(x, y)
    x, y = np.ldexp(x, -first), np.ldexp(y, -first)
    centre = (x.mean(0) + y.mean(0)) / 2
    x, y = x - centre, y - centre
    second = exponent_of(x, y)
    return np.ldexp(x, -second), np.ldexp(y, -second), first + second


def _projected_distances(x: Array, y: Array, directions: Array, clouds: Problem) -> Array:
    """``W_p`` of the projection on each direction."""
    i, j, amounts = staircase(clouds.masses)
    kept = amounts > 0
    i, j, shares = i[kept], j[kept], clouds.masses.shares(amounts[kept])
    block = max(1, _BLOCK // (len(x) + len(y)))
    found: list[Array] = []
    for start in range(0, len(directions), block):
        some = directions[start : start + block]
        left, right = np.sort(some @ x.T), np.sort(some @ y.T)
        moved = np.abs(left[:, i] - right[:, j])
        units = np.maximum(moved.max(1), _TINIEST)
        found.append(units * ((moved / units[:, None]) ** clouds.p @ shares) ** (1 / clouds.p))
    return np.concatenate(found)


def _rounding(x: Array, y: Array) -> float:
    """Bound the rounding of a projection, of the length of its direction and of a mean."""
    radius = max(np.linalg.norm(x, axis=1).max(), np.linalg.norm(y, axis=1).max())
    terms = 2 * x.shape[1] + len(x) + len(y) + 16
    return float(2 * terms * EPSILON * radius)
