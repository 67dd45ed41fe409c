"""Distances of every power p, against linear programs, closed forms and each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from helpers.clouds import (
    DIMENSIONS,
    by_linear_program,
    check_proof,
    clouds,
    law,
    points,
    shares,
)
from sngan.transport import (
    dual_linear_program,
    entropic_wasserstein,
    minibatch_wasserstein,
    sliced_wasserstein,
    wasserstein,
)

POWERS = pytest.mark.parametrize("p", [1.5, 3, 4.25])


@POWERS
@DIMENSIONS
def test_against_a_linear_program(p, d):
    x, y = clouds(13, 17, d)
    a, b = shares(13, 1), shares(17, 2)
    result = wasserstein(x, y, p, weights_x=a, weights_y=b)
    assert result.distance == pytest.approx(by_linear_program(x, y, p, a, b), rel=1e-9)
    assert result.optimal
    assert result.p == p
    check_proof(result, x, y, p, a, b)


@pytest.mark.parametrize("p", [1.01, 2.0, 7, 50.5, 300])
@DIMENSIONS
def test_against_an_assignment(p, d):
    x, y = clouds(40, 40, d)
    costs = (cdist(x, y) / 10) ** p
    expected = 10 * costs[linear_sum_assignment(costs / costs.max())].mean() ** (1 / p)
    result = wasserstein(x, y, p)
    assert result.lower <= expected * (1 + 1e-9)
    if result.optimal or p < 10:
        assert result.distance == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("p", [1, 1.7, 2, 5, 100])
def test_a_shift_on_a_line_is_its_length(p):
    x = np.random.default_rng(0).normal(size=200)
    result = wasserstein(x, np.random.default_rng(1).permutation(x) - 1.5, p)
    assert result.distance == pytest.approx(1.5, rel=1e-12)
    assert result.optimal


def test_the_line_has_the_integral_of_the_quantiles():
    # the quantiles of the uniform laws on [0, 1] and [0, 3] are t and 3 t: ∫ (2t)^p dt
    t = (np.arange(20_000) + 0.5) / 20_000
    for p in (1.5, 3):
        expected = 2 / (p + 1) ** (1 / p)
        assert wasserstein(t, 3 * t, p).distance == pytest.approx(expected, rel=1e-6)


@law
@given(points, points, st.floats(1, 6), st.floats(1, 6))
def test_distances_grow_with_the_power(x, y, one, other):
    low, high = sorted([one, other])
    assert wasserstein(x, y, low).lower <= wasserstein(x, y, high).upper


@POWERS
def test_estimates_of_other_powers(p):
    x, y = clouds(60, 60, 3)
    exact = wasserstein(x, y, p)
    sliced = sliced_wasserstein(x, y, projections=20, seed=3, p=p)
    directions = np.random.default_rng(3).standard_normal((20, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    distances = np.array([wasserstein(x @ v, y @ v, p).distance for v in directions])
    assert sliced.distance == pytest.approx((distances**p).mean() ** (1 / p), rel=1e-12)
    assert sliced.lower == pytest.approx(distances.max(), rel=1e-11)
    assert sliced.lower <= exact.distance
    error = distances**p
    slope = (error.mean() ** (1 / p - 1)) / p
    expected = slope * error.std(ddof=1) / np.sqrt(20)
    assert sliced.standard_error == pytest.approx(expected, rel=1e-9)
    batch = minibatch_wasserstein(x, y, batch_size=60, batches=1, p=p)
    assert batch.distance == pytest.approx(exact.distance, rel=1e-12)
    entropic = entropic_wasserstein(x, y, regularization=1e-3, p=p)
    assert exact.distance <= entropic.upper <= 1.01 * exact.distance
    assert 0.99 * exact.distance <= entropic.lower <= exact.distance


@POWERS
def test_the_linear_programs_of_other_powers(p):
    x, y = clouds(12, 9, 2)
    found = dual_linear_program(x, y, p=p)
    exact = wasserstein(x, y, p).distance
    assert found.primal == pytest.approx(exact, rel=1e-6)
    assert found.dual == pytest.approx(exact, rel=1e-6)
    assert np.isnan([found.critic, *found.critic_x, *found.critic_y]).all()
    total = found.potential_x.mean() + found.potential_y.mean()
    assert total == pytest.approx(exact**p, rel=1e-5)
