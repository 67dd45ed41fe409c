"""Optimal transport of a few points with 60 digits, by a search of all assignments."""

import itertools
from collections.abc import Sequence
from decimal import Decimal, localcontext

import numpy as np

DIGITS = 60


def decimal_wasserstein(x: np.ndarray, y: np.ndarray, p: float) -> Decimal:
    """``W_p`` between two equally large sets of points with equal weights."""
    with localcontext(prec=DIGITS, Emax=10**6, Emin=-(10**6)):
        costs = [[_power(one, other, p) for other in y] for one in x]
        count = len(x)
        best = min(
            sum((costs[i][j] for i, j in enumerate(order)), Decimal(0))
            for order in itertools.permutations(range(count))
        )
        return _root(best / count, p)


def decimal_to_one_point(
    x: np.ndarray, y: np.ndarray, weights: Sequence[float], p: float
) -> Decimal:
    """``W_p`` between weighted points ``x`` and a single point ``y``."""
    with localcontext(prec=DIGITS, Emax=10**6, Emin=-(10**6)):
        exact = [Decimal(float(weight)) for weight in weights]
        moved = (weight * _power(one, y[0], p) for weight, one in zip(exact, x, strict=True))
        return _root(sum(moved, Decimal(0)) / sum(exact), p)


def _power(one: np.ndarray, other: np.ndarray, p: float) -> Decimal:
    squares = (
        (Decimal(float(a)) - Decimal(float(b))) ** 2 for a, b in zip(one, other, strict=True)
    )
    square = sum(squares, Decimal(0))
    return square ** (Decimal(p) / 2) if square else square


def _root(cost: Decimal, p: float) -> Decimal:
    return cost ** (1 / Decimal(p)) if cost else cost
