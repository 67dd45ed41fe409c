"""Masses: weights as exact integers with one sum, so that couplings misplace no mass."""

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sngan.utils.real_arrays import Array

Index: TypeAlias = NDArray[np.intp]
Integers: TypeAlias = NDArray[Any]  # int64, or Python's integers if int64 is too short
_DIGITS = 53


@dataclass(frozen=True, eq=False)
class Masses:
    """Masses ``x`` (n,) and ``y`` (m,): non-negative integers, both of the sum ``total``."""

    x: Integers
    y: Integers
    total: int

    @classmethod
    def of(cls, weights_x: Array, weights_y: Array) -> "Masses":
        """Make masses exactly proportional to two sets of weights."""
        x, y = _integers(weights_x), _integers(weights_y)
        sum_x, sum_y = sum(x), sum(y)
        common = math.gcd(sum_x, sum_y)
        total = sum_x // common * sum_y
        return cls(
            _packed([share * (sum_y // common) for share in x], total),
            _packed([share * (sum_x // common) for share in y], total),
            total,
        )

    def shares(self, masses: Integers) -> Array:
        """Return masses as shares of the total, rounded at most twice."""
        return np.asarray(masses / self.total, dtype=np.float64)


def _integers(weights: Array) -> list[int]:
    """Floats times a common power of two, divided by their greatest common divisor."""
    if (weights == weights[0]).all():
        return [1] * len(weights)
    mantissas, exponents = np.frexp(weights)
    whole = np.ldexp(mantissas, _DIGITS).astype(np.int64)
    lowest = exponents[whole > 0].min()
    shifts = np.where(whole > 0, exponents - lowest, 0)
    found = [digits << shift for digits, shift in zip(whole.tolist(), shifts.tolist(), strict=True)]
    divisor = math.gcd(*found)
    return [number // divisor for number in found]


def _packed(numbers: list[int], total: int) -> Integers:
    return np.array(numbers, dtype=np.int64 if total < 2**62 else object)


def staircase(masses: Masses) -> tuple[Index, Index, Integers]:
    """Couple masses in their given order (north-west corner): cells ``i``, ``j`` and their mass.

    The n + m − 1 cells form a monotone path from (0, 0) to (n − 1, m − 1), each one step down or to
    the right. Some may hold no mass.
    """
    ends = np.concatenate([np.cumsum(masses.x)[:-1], np.cumsum(masses.y)[:-1]])
    order = np.argsort(ends, kind="stable")
    down = order < len(masses.x) - 1
    i = np.concatenate([[0], np.cumsum(down)])
    j = np.concatenate([[0], np.cumsum(~down)])
    bounds = np.concatenate([_packed([0], masses.total), ends[order], [masses.total]])
    return i, j, np.diff(bounds.astype(masses.x.dtype))


def leafwise(i: Index, j: Index, masses: Masses) -> tuple[Integers, Masses | None]:
    """Place the largest masses on the cells of a forest, leaf by leaf; return them and the rest.

    The cells of a basic solution of the transport problem form a forest, on which the weights
    determine the masses. Cells that close a cycle get the mass that is left.

    Parameters
    ----------
    i, j
        The rows and columns of the cells.
    masses
        The masses of the points.
    """
    needs = [*masses.x.tolist(), *masses.y.tolist()]
    count = len(masses.x)
    ends = list(zip(i.tolist(), (j + count).tolist(), strict=True))
    cells_of: list[list[int]] = [[] for _ in needs]
    for cell, nodes in enumerate(ends):
        for node in nodes:
            cells_of[node].append(cell)
    open_cells = [len(cells) for cells in cells_of]
    placed = [-1] * len(ends)

    def place(cell: int) -> None:
        left, right = ends[cell]
        placed[cell] = min(needs[left], needs[right])
        for node in (left, right):
            needs[node] -= placed[cell]
            open_cells[node] -= 1
            if open_cells[node] == 1:
                leaves.append(node)

    leaves = [node for node, cells in enumerate(open_cells) if cells == 1]
    while leaves:
        leaf = leaves.pop()
        if open_cells[leaf] == 1:
            place(next(cell for cell in cells_of[leaf] if placed[cell] < 0))
    for cell, mass in enumerate(placed):
        if mass < 0:
            place(cell)
    left = sum(needs[:count])
    rest = Masses(_packed(needs[:count], left), _packed(needs[count:], left), left)
    return _packed(placed, masses.total), rest if left else None
