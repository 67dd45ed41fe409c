"""Exact Wasserstein distances against independent solvers, closed forms and laws."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from helpers.clouds import (
    DIMENSIONS,
    POWERS,
    SLACK,
    by_linear_program,
    check_proof,
    clouds,
    coordinates,
    exact_cost,
    exact_shares,
    law,
    lines,
    points,
    shares,
)
from sngan.transport import (
    wasserstein,
)


@POWERS
@DIMENSIONS
@pytest.mark.parametrize("weighted", [False, True])
def test_against_a_linear_program(p, d, weighted):
    x, y = clouds(13, 17, d)
    a, b = (
        (shares(13, 1), shares(17, 2)) if weighted else (np.full(13, 1 / 13), np.full(17, 1 / 17))
    )
    result = wasserstein(x, y, p, weights_x=a, weights_y=b)
    assert result.distance == pytest.approx(by_linear_program(x, y, p, a, b), rel=1e-9)
    assert result.optimal
    assert result.gap < 1e-11
    assert result.p == p
    check_proof(result, x, y, p, a, b)


@POWERS
@DIMENSIONS
def test_against_an_assignment(p, d):
    x, y = clouds(60, 60, d)
    costs = cdist(x, y) ** p
    expected = costs[linear_sum_assignment(costs)].mean() ** (1 / p)
    result = wasserstein(x, y, p)
    assert result.distance == pytest.approx(expected, rel=1e-12)
    assert result.plan.nnz == 60
    assert result.optimal


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 5), (7, 1), (6, 12), (100, 83)])
def test_on_a_line_against_scipy(n, m):
    x, y = clouds(n, m, 1, seed=n)
    a, b = np.random.default_rng(5).dirichlet(np.ones(n)), np.full(m, 1 / m)
    result = wasserstein(x[:, 0], y[:, 0], weights_x=a)
    expected = scipy.stats.wasserstein_distance(x[:, 0], y[:, 0], a, b)
    assert result.distance == pytest.approx(expected, rel=1e-12)
    check_proof(result, x, y, 1, a, b)


@POWERS
def test_the_line_agrees_with_the_simplex(p):
    x, y = clouds(40, 55, 1)
    a = shares(40, 3)
    line = wasserstein(x, y, p, weights_x=a)
    plane = wasserstein(np.pad(x, ((0, 0), (0, 1))), np.pad(y, ((0, 0), (0, 1))), p, weights_x=a)
    assert line.distance == pytest.approx(plane.distance, rel=1e-12)


def test_a_long_line_in_little_memory():
    generator = np.random.default_rng(0)
    x = generator.normal(size=50_000)
    result = wasserstein(x, generator.permutation(x) + 1.5, 2)
    assert result.distance == pytest.approx(1.5, rel=1e-12)
    assert result.lower == pytest.approx(1.5, rel=1e-9)
    assert result.upper == pytest.approx(1.5, rel=1e-9)
    assert result.optimal


def test_weights_of_sum_one_within_a_millionth_are_normalized():
    x, y = clouds(4, 4, 2)
    nearly = np.full(4, 0.25) * (1 + 5e-7)
    for left, right in ((x, y), (x[:, 0], y[:, 0])):
        result = wasserstein(left, right, weights_x=nearly)
        assert result.distance == pytest.approx(wasserstein(left, right).distance, rel=1e-15)
        assert result.upper == pytest.approx(result.distance, rel=1e-13)
        np.testing.assert_allclose(result.plan.sum(1), 0.25, rtol=1e-15)


def test_tensors_arrays_and_precisions_agree():
    x, y = (torch.randn(9, 3, generator=torch.manual_seed(0)) for _ in range(2))
    expected = wasserstein(x.double().numpy(), y.double().numpy()).distance
    assert wasserstein(x.requires_grad_(), y).distance == expected
    assert wasserstein(x.detach().numpy(), y.numpy()).distance == expected
    half = wasserstein(x.detach().bfloat16(), y.bfloat16()).distance
    assert half == pytest.approx(expected, rel=2e-2)


def test_close_points_far_from_zero_lose_no_digit():
    # the form |x|² + |y|² − 2xy would return noise here
    x = np.random.default_rng(0).integers(0, 2**20, size=(20, 3)) + 1e8
    assert wasserstein(x, x + np.array([2**-10, 0, 0]), 2).distance == 2**-10


@pytest.mark.parametrize("seed", range(20))
def test_the_bracket_allows_for_rounding(seed):
    # costs of size 8 all but cancel; every sum is taken again in exact fractions
    generator = np.random.default_rng(seed)
    x, a = 8 * generator.random((31, 2)), generator.random(31)
    b = a * (1 + 1e-6 * generator.random(31))
    a, b, costs = a / a.sum(), b / b.sum(), cdist(x, x)
    result = wasserstein(x, x, weights_x=a, weights_y=b)
    rows, columns = exact_shares(a), exact_shares(b)
    dual = sum(
        weight * Fraction(potential)
        for weight, potential in zip(
            rows + columns, [*result.potential_x, *result.potential_y], strict=True
        )
    )
    primal, rest = exact_cost(result.plan, costs, rows, columns)
    assert rest == 0
    assert result.lower <= dual
    assert primal <= result.upper
    assert result.upper - result.lower < 1e-13


@POWERS
@pytest.mark.parametrize("scale", [1e-120, 1e-12, 1e-6, 1e6, 1e120])
def test_any_unit_of_length(p, scale):
    # POT alone returns a wrong value for the scale 1e-12, and calls it optimal
    x, y = clouds(60, 60, 2)
    a = shares(60, 1)
    unit = wasserstein(x, y, p, weights_x=a)
    scaled = wasserstein(x * scale, y * scale, p, weights_x=a)
    assert scaled.distance == pytest.approx(unit.distance * scale, rel=1e-11)
    assert scaled.lower == pytest.approx(unit.distance * scale, rel=1e-11)
    assert scaled.optimal


@law
@given(points | lines, st.sampled_from([1, 2]))
def test_distance_to_itself_is_zero(x, p):
    result = wasserstein(x, x, p)
    assert abs(result.distance) <= SLACK[p]
    assert result.lower <= result.distance <= result.upper <= SLACK[p]


@law
@given(points, points, st.sampled_from([1, 2]))
def test_symmetry_and_proof(x, y, p):
    forth, back = wasserstein(x, y, p), wasserstein(y, x, p)
    assert abs(forth.distance - back.distance) <= SLACK[p]
    check_proof(forth, x, y, p, np.full(len(x), 1 / len(x)), np.full(len(y), 1 / len(y)))
    assert forth.optimal


@law
@given(lines, lines, st.sampled_from([1, 2]))
def test_symmetry_and_proof_on_a_line(x, y, p):
    forth, back = wasserstein(x, y, p), wasserstein(y, x, p)
    assert abs(forth.distance - back.distance) <= SLACK[p]
    check_proof(forth, x, y, p, np.full(len(x), 1 / len(x)), np.full(len(y), 1 / len(y)))
    assert forth.optimal


@law
@given(points, points, points, st.sampled_from([1, 2]))
def test_triangle_inequality(x, y, z, p):
    direct = wasserstein(x, z, p).distance
    assert direct <= wasserstein(x, y, p).distance + wasserstein(y, z, p).distance + SLACK[p]


@law
@given(points, points, arrays(np.float64, 2, elements=coordinates), st.floats(0.01, 100))
def test_translation_and_scaling(x, y, shift, scale):
    distance = wasserstein(x, y).distance
    assert abs(wasserstein(x + shift, y + shift).distance - distance) <= 1e-12
    assert abs(wasserstein(scale * x, scale * y).distance - scale * distance) <= 1e-11 * scale
    # the mean is the one part of a distribution that a translation changes
    assert abs(wasserstein(x, x + shift).distance - np.linalg.norm(shift)) <= 1e-12


@law
@given(points, points)
def test_w1_is_at_most_w2(x, y):
    assert wasserstein(x, y, 1).distance <= wasserstein(x, y, 2).distance + 1e-12


@POWERS
@pytest.mark.parametrize("d", [1, 2, 8, 64])
def test_shifted_sample(p, d):
    x, _ = clouds(150, 1, d)
    shift = np.random.default_rng(1).normal(size=d)
    result = wasserstein(x, np.random.default_rng(2).permutation(x + shift), p)
    assert result.distance == pytest.approx(np.linalg.norm(shift), rel=1e-12)


def test_gaussians_have_a_closed_form():
    # W_2² = |m₁ − m₂|² + (s₁ − s₂)², at the quantiles of both
    quantiles = scipy.stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    distance = wasserstein(quantiles, 3 * quantiles + 1, 2).distance
    assert distance == pytest.approx(np.sqrt(1 + 4), rel=1e-3)


def test_samples_converge_like_one_over_root_n():
    generator = np.random.default_rng(0)

    def mean_distance(n: int) -> float:
        return np.mean([wasserstein(*generator.normal(size=(2, n))).distance for _ in range(40)])

    sizes = np.array([100, 400, 1600, 6400])
    slope = np.polyfit(np.log(sizes), np.log([mean_distance(n) for n in sizes]), 1)[0]
    assert -0.6 < slope < -0.4


# --- stopped early ---


@POWERS
@pytest.mark.parametrize("weighted", [False, True])
def test_stopped_early_the_bracket_is_wide_and_right(p, weighted):
    x, y = clouds(90, 70, 3)
    a = shares(90, 1) if weighted else np.full(90, 1 / 90)
    b = np.full(70, 1 / 70)
    exact = wasserstein(x, y, p, weights_x=a)
    widths = []
    for iterations in (1, 10, 100, 300):
        early = wasserstein(x, y, p, weights_x=a, max_iterations=iterations)
        assert not early.optimal
        assert early.lower <= exact.distance <= early.upper
        assert early.distance > exact.distance
        assert 0 < early.lower < exact.lower
        check_proof(early, x, y, p, a, b)
        widths.append(early.upper - early.lower)
    assert widths[-1] < 0.7 * widths[0]


def test_pot_stopped_early_is_wrong_where_ours_is_not():
    import ot

    x, y = clouds(200, 200, 2)
    uniform = np.full(200, 1 / 200)
    with pytest.warns(UserWarning, match="numItermax"):
        value = ot.emd2(uniform, uniform, cdist(x, y), numItermax=100)
    assert value < 0.8 * wasserstein(x, y).distance
    early = wasserstein(x, y, max_iterations=100)
    assert early.lower <= wasserstein(x, y).distance <= early.upper
