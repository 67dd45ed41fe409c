"""Points and weights of a transport problem, checked and in float64, and the costs between them."""

import math
import os
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

from sngan.transport.masses import Index, Masses
from sngan.utils.checks import require, require_number
from sngan.utils.real_arrays import Array, Reals, real_array

EPSILON = float(np.finfo(np.float64).eps)
_MOST = 1000.0  # the largest power; W_1000 of n points is W_∞ up to a factor n^(1/1000)
_CHUNK = 2**20  # the most coordinate differences in memory at once


class Costs(NamedTuple):
    """Costs ``values`` in units of ``2^exponent``, at most 2."""

    values: Array
    exponent: int


@dataclass(frozen=True, eq=False)
class Problem:
    """Two weighted clouds ``x`` (n, d) and ``y`` (m, d), each of mass 1, and the power ``p``."""

    x: Array
    y: Array
    given_x: Array
    given_y: Array
    p: float

    @property
    def dimension(self) -> int:
        """The number of coordinates of a point."""
        return self.x.shape[1]

    @cached_property
    def weights_x(self) -> Array:
        """The weights of ``x``, divided by their sum."""
        return self.given_x / math.fsum(self.given_x)

    @cached_property
    def weights_y(self) -> Array:
        """The weights of ``y``, divided by their sum."""
        return self.given_y / math.fsum(self.given_y)

    @cached_property
    def masses(self) -> Masses:
        """The weights as exact integers."""
        return Masses.of(self.given_x, self.given_y)

    def costs(self, *, longest: float = math.inf) -> Costs:
        """Return the costs ``min(|x_i − y_j|, longest)^p``, (n, m)."""
        return powers(np.minimum(distances(self.x, self.y), longest), self.p)


def problem(
    x: Reals,
    y: Reals,
    p: float = 1,
    weights_x: Reals | None = None,
    weights_y: Reals | None = None,
) -> Problem:
    """Check points, power and weights, and convert them to float64.

    Parameters
    ----------
    x, y
        Points ``(n, d)`` and ``(m, d)``, or ``(n,)`` and ``(m,)`` on a line.
    p
        The power, between 1 and 1000.
    weights_x, weights_y
        Weights that sum to 1 within 1e-6; ``None`` is uniform.

    Raises
    ------
    ValueError
        If one of them has another type, shape or range.
    """
    power = p.item() if isinstance(p, np.generic) else p
    require_number(power, "p", minimum=1.0, maximum=_MOST)
    left, right = as_points(x, "x"), as_points(y, "y")
    require(
        left.shape[1] == right.shape[1],
        "y",
        expected=f"points of dimension {left.shape[1]}, as x",
        got=f"dimension {right.shape[1]}",
    )
    return Problem(
        left,
        right,
        as_weights(weights_x, len(left), "weights_x"),
        as_weights(weights_y, len(right), "weights_y"),
        power,
    )


def as_points(values: Reals, name: str) -> Array:
    """Return finite points (n, d) in float64; ``(n,)`` are points on a line."""
    points = as_float64(values, name)
    require(
        points.ndim in (1, 2) and points.size > 0,
        name,
        expected="at least one point, of shape (n,) or (n, d)",
        got=f"shape {points.shape}",
    )
    return points.reshape(len(points), -1)


def as_weights(values: Reals | None, count: int, name: str) -> Array:
    """Return weights in float64.

    Parameters
    ----------
    values
        Weights of at least 0 that sum to 1 within 1e-6; ``None`` is uniform.
    count
        The number of points.
    name
        The name of the argument, for errors.
    """
    if values is None:
        return np.full(count, 1 / count)
    weights = as_float64(values, name)
    require(
        weights.shape == (count,),
        name,
        expected=f"one weight a point, shape ({count},)",
        got=f"shape {weights.shape}",
    )
    least = weights.min()
    require(bool(least >= 0), name, expected="no negative weight", got=f"{least:g}")
    # fsum rounds once, so the order of the weights does not matter
    total = math.fsum(weights)
    require(abs(total - 1) <= 1e-6, name, expected="a sum of 1 within 1e-6", got=f"{total:g}")
    return weights


def as_float64(values: Reals, name: str) -> Array:
    """Return a float64 array of finite values."""
    array = real_array(values, name, expected="a real floating-point tensor, array or list")
    finite = np.isfinite(array)
    first = "" if finite.all() else f"{array[~finite][0]} among them"
    require(not first, name, expected="finite values", got=first)
    return array


def distances(x: Array, y: Array) -> Array:
    """Return Euclidean distances (n, m) from differences, so that close points lose no digits.

    Points are scaled by a power of two, so that no square overflows. If two points are so close
    that a square may underflow at that scale, their distance is computed again at its own scale.
    """
    exponent = exponent_of(x, y)
    with np.errstate(over="ignore"):  # callers check the distances if they need finite ones
        found = np.asarray(cdist(np.ldexp(x, -exponent), np.ldexp(y, -exponent)), dtype=np.float64)
        close = np.flatnonzero(found < 2.0**-400)
        np.ldexp(found, exponent, out=found)
    i, j = np.divmod(close, len(y))
    found[i, j] = paired_distances(x, y, i, j)
    return found


def paired_distances(x: Array, y: Array, i: Index, j: Index) -> Array:
    """Return Euclidean distances of pairs, each computed at a scale of its own.

    Parameters
    ----------
    x, y
        Points (n, d) and (m, d).
    i, j
        The points of each pair: its rows of ``x`` and of ``y``.
    """
    found = np.empty(len(i))
    step = max(1, _CHUNK // x.shape[1])
    for start in range(0, len(i), step):
        some = slice(start, start + step)
        with np.errstate(over="ignore"):
            differences = np.abs(x[i[some]] - y[j[some]])
            exponents = np.frexp(differences.max(1))[1]
            np.ldexp(differences, -exponents[:, None], out=differences)
            found[some] = np.ldexp(np.sqrt(np.square(differences).sum(1)), exponents)
    return found


def powers(lengths: Array, p: float) -> Costs:
    """Return ``lengths^p`` in units of a power of two, rounded down; the lengths are overwritten.

    Raises
    ------
    ValueError
        If float64 cannot hold the largest.
    """
    unit = cost_unit(float(lengths.max()), p)
    scaled = np.ldexp(lengths, -unit.length, out=lengths)
    if p != 1:
        scaled /= unit.largest
        np.power(scaled, p, out=scaled)
        scaled *= unit.factor
    return Costs(scaled, unit.cost)


class CostUnit(NamedTuple):
    """Units of lengths, ``2^length``, and of costs, ``2^cost``.

    A length ``largest · 2^length`` has the cost ``factor · 2^cost``.
    """

    length: int
    largest: float
    factor: float
    cost: int


def cost_unit(largest: float, p: float) -> CostUnit:
    """Choose a power of two for lengths and one for costs, so that costs are of size 1 at most.

    For p other than 1 and 2 lengths are also divided by the largest, because a power of the largest
    could otherwise be very small. The factor is rounded down by the largest error of a power.

    Raises
    ------
    ValueError
        If float64 cannot hold the largest cost.
    """
    try:
        finite = math.isfinite(largest**p)
    except OverflowError:
        finite = False
    require(
        finite,
        "x, y",
        expected="distances to the power p that float64 can hold",
        got="an overflow: divide both by a constant",
    )
    fraction, length = math.frexp(largest)
    if p in (1, 2) or largest == 0:
        return CostUnit(length, 1.0, 1.0, int(p) * length)
    whole, rest = divmod(length * Fraction(p), 1)
    power, shift = math.frexp(fraction**p)
    down = 1 - (2 * p + 16) * EPSILON
    return CostUnit(length, fraction, power * 2.0 ** float(rest) * down, int(whole) + shift)


def exponent_of(*values: Array | float) -> int:
    """Return the ``e`` for which ``2^(e − 1) ≤ max |values| < 2^e``; 0 where all are 0."""
    return int(np.frexp(max(float(np.abs(part).max()) for part in values))[1])


def require_memory(problem: Problem, copies: int, *, instead: str) -> None:
    """Require that ``copies`` float64 matrices (n, m) fit into the free memory.

    ``instead`` names functions for larger clouds, for the error.

    Raises
    ------
    ValueError
        If they do not fit.
    """
    n, m = len(problem.x), len(problem.y)
    needed, free = copies * 8 * n * m, available_memory()
    require(
        free is None or needed <= free,
        "x, y",
        expected=f"clouds whose cost matrix fits into memory; use {instead} for these",
        got=f"{n} × {m} points, about {needed / 2**30:.1f} GiB of {(free or 0) / 2**30:.1f} free",
    )


def available_memory() -> int | None:
    """Return the bytes available without swapping; ``None`` if the system does not say."""
    info = Path("/proc/meminfo")
    if info.exists():
        fields = dict(line.split(":") for line in info.read_text().splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    if hasattr(os, "sysconf"):  # all but Windows
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None
