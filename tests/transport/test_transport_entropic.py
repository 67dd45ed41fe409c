"""The entropic bracket converges at small regularizations, without a warning."""

import numpy as np
import pytest

from helpers.clouds import clouds, shares
from sngan.transport import entropic_wasserstein, wasserstein


def check_one_percent(n, m, d, p, **options):
    x, y = clouds(n, m, d)
    exact = wasserstein(x, y, p, **options).distance
    result = entropic_wasserstein(x, y, regularization=1e-3, p=p, **options)
    assert result.lower <= exact <= result.upper == pytest.approx(result.distance, rel=1e-10)
    assert result.upper <= 1.01 * exact
    assert result.lower >= 0.99 * exact


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize(("n", "m", "d"), [(50, 50, 2), (50, 40, 8), (300, 200, 2)])
def test_within_one_percent_at_a_thousandth(n, m, d, p):
    check_one_percent(n, m, d, p)
    check_one_percent(n, m, d, p, weights_x=shares(n, 1), weights_y=shares(m, 2))


@pytest.mark.slow
@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("d", [2, 8])
def test_within_one_percent_for_two_thousand_points(p, d):
    check_one_percent(2000, 2000, d, p)


@pytest.mark.parametrize("regularization", [1e-300, 1e-12, 1e-6, 1e3, 1e300])
def test_any_regularization_gives_a_bracket(regularization):
    x, y = clouds(40, 30, 2)
    weights = shares(40, 4)
    exact = wasserstein(x, y, weights_x=weights)
    result = entropic_wasserstein(x, y, regularization=regularization, weights_x=weights)
    assert result.lower <= exact.upper
    assert exact.lower <= result.upper
    if regularization <= 1e-6:
        assert result.upper <= 1.05 * exact.distance
    if regularization >= 1e3:
        # every point goes to every other in proportion to the weights
        apart = np.linalg.norm(x[:, None] - y, axis=2)
        assert result.distance == pytest.approx(float(weights @ apart.mean(1)), rel=1e-3)


def test_a_larger_budget_is_not_worse():
    x, y = clouds(60, 50, 2)
    widths = []
    for iterations in (2, 100, 1000):
        result = entropic_wasserstein(x, y, regularization=1e-3, max_iterations=iterations)
        widths.append(result.upper - result.lower)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.01 * widths[0]


def test_points_that_coincide():
    x, _ = clouds(30, 1, 2)
    assert entropic_wasserstein(x, x, regularization=1e-3).upper < 1e-3
    same = np.zeros((5, 2))
    assert entropic_wasserstein(same, same, regularization=1e-3).upper == 0
