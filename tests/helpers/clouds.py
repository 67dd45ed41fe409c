"""Point clouds with weights, and a check of every promise of a Wasserstein result."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linprog
from scipy.spatial.distance import cdist

from helpers.examples import examples

POWERS = pytest.mark.parametrize("p", [1, 2])
DIMENSIONS = pytest.mark.parametrize("d", [1, 2, 5])


def clouds(n: int, m: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, d)), generator.normal(size=(m, d)) + 0.7


def shares(n: int, seed: int) -> np.ndarray:
    """Uneven weights, some of them zero."""
    weights = np.random.default_rng(seed).random(n) ** 4
    weights[:: max(2, n // 3)] = 0.0
    return weights / weights.sum()


def by_linear_program(x, y, p, a, b) -> float:
    n, m = len(x), len(y)
    rows = np.kron(np.eye(n), np.ones(m))
    columns = np.kron(np.ones(n), np.eye(m))
    costs = cdist(x, y) ** p
    found = linprog(
        costs.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([a, b]), method="highs"
    )
    return found.fun ** (1 / p)


def exact_shares(weights) -> list[Fraction]:
    """Weights divided by their sum, as exact fractions."""
    fractions = [Fraction(float(weight)) for weight in weights]
    return [weight / sum(fractions) for weight in fractions]


def exact_cost(plan, costs, rows, columns) -> tuple[Fraction, Fraction]:
    """The exact cost of a plan with the same cells and exact weights, and the mass left over.

    Each round fills the last free cell of a point.
    """
    cells = {(int(i), int(j)) for i, j in zip(*plan.nonzero(), strict=True)}
    needs = {("row", i): need for i, need in enumerate(rows)}
    needs |= {("column", j): need for j, need in enumerate(columns)}
    total = Fraction(0)
    while cells:
        for i, j in sorted(cells):
            in_row = sum(other[0] == i for other in cells)
            in_column = sum(other[1] == j for other in cells)
            if 1 not in (in_row, in_column):
                continue
            mass = needs["row", i] if in_row == 1 else needs["column", j]
            assert mass >= 0
            needs["row", i] -= mass
            needs["column", j] -= mass
            total += mass * Fraction(float(costs[i, j]))
            cells.remove((i, j))
            break
        else:
            raise AssertionError("the cells close a circle")
    return total, sum(map(abs, needs.values()))


def check_proof(result, x, y, p, a, b) -> None:
    """Check every promise of a result against its own fields."""
    x, y = x.reshape(len(x), -1), y.reshape(len(y), -1)
    costs = cdist(x, y) ** p
    plan = result.plan.toarray()
    assert plan.min() >= 0
    np.testing.assert_allclose(plan.sum(1), a, rtol=0, atol=1e-14)
    np.testing.assert_allclose(plan.sum(0), b, rtol=0, atol=1e-14)
    assert (result.potential_x[:, None] + result.potential_y <= costs).all()
    assert result.lower <= result.distance <= result.upper
    np.testing.assert_allclose((plan * costs).sum(), result.distance**p, rtol=1e-12, atol=1e-14)
    dual = a @ result.potential_x + b @ result.potential_y
    np.testing.assert_allclose(max(dual, 0), result.lower**p, rtol=1e-9, atol=1e-12 * costs.max())
    assert result.gap >= 0
    np.testing.assert_allclose(
        result.gap, result.upper**p - result.lower**p, rtol=1e-9, atol=1e-12 * costs.max()
    )


coordinates = st.floats(-8, 8, width=32)
points = st.integers(1, 6).flatmap(lambda n: arrays(np.float64, (n, 2), elements=coordinates))
lines = st.integers(1, 6).flatmap(lambda n: arrays(np.float64, (n, 1), elements=coordinates))
law = settings(max_examples=examples(40), deadline=None, derandomize=True)
# near zero, an error of 1e-15 in the square of W_2 is an error of 3e-8 in W_2
SLACK = {1: 1e-12, 2: 1e-6}
