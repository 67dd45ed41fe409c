"""Wasserstein distances against independent solvers, closed forms, and attempts to break them."""

import doctest
import itertools
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.integrate import quad
from scipy.optimize import linear_sum_assignment, linprog
from scipy.spatial.distance import cdist
from torch import nn

from sngan.transport import (
    _points,
    critic_bound,
    dual_linear_program,
    entropic_wasserstein,
    explain,
    landscape,
    minibatch_wasserstein,
    moves,
    plans,
    sliced_wasserstein,
    wasserstein,
)

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


def check_proof(result, x, y, p, a, b) -> None:
    """Everything the record promises, from its own fields."""
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


# --- the exact distance ---


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
    rows = [Fraction(share) for share in a / a.sum()]
    columns = [Fraction(share) for share in b / b.sum()]
    dual = sum(
        weight * Fraction(potential)
        for weight, potential in zip(
            rows + columns, [*result.potential_x, *result.potential_y], strict=True
        )
    )
    primal = Fraction(0)
    for i, j, mass in zip(*scipy.sparse.find(result.plan), strict=True):
        primal += Fraction(mass) * Fraction(costs[i, j])
        rows[i] -= Fraction(mass)
        columns[j] -= Fraction(mass)
    misplaced = sum(map(abs, rows + columns))
    assert result.lower <= dual
    assert primal + misplaced * Fraction(costs.max()) <= result.upper
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


def test_solvers_are_imported_where_they_are_used():
    code = "import sys, sngan.transport as t; t.wasserstein; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"ot", "scipy.optimize", "matplotlib"} & set(done.stdout.split())


# --- laws ---

coordinates = st.floats(-8, 8, width=32)
points = st.integers(1, 6).flatmap(lambda n: arrays(np.float64, (n, 2), elements=coordinates))
lines = st.integers(1, 6).flatmap(lambda n: arrays(np.float64, (n, 1), elements=coordinates))
law = settings(max_examples=40, deadline=None, derandomize=True)
# W_2 is a root: a rounding of 1e-15 in its square near zero is one of 3e-8 in it
SLACK = {1: 1e-12, 2: 1e-6}


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


# --- entropic, sliced, minibatch ---


@POWERS
def test_entropic_bracket_closes(p):
    x, y = clouds(60, 50, 2)
    a = shares(60, 4)
    exact = wasserstein(x, y, p, weights_x=a)
    widths = []
    for regularization in (1.0, 0.1, 0.01):
        result = entropic_wasserstein(x, y, regularization=regularization, p=p, weights_x=a)
        assert result.lower <= exact.upper
        assert exact.lower <= result.upper
        check_proof(result, x, y, p, a, np.full(50, 1 / 50))
        widths.append(result.upper - result.lower)
    assert widths[0] > widths[1] > widths[2]
    assert widths[2] < 0.02 * exact.distance


def test_entropic_bracket_holds_after_one_iteration():
    x, y = clouds(60, 50, 2)
    exact = wasserstein(x, y).distance
    result = entropic_wasserstein(x, y, regularization=0.01, max_iterations=1)
    assert 0.2 * exact < result.lower < exact < result.upper < 2 * exact


@POWERS
@pytest.mark.parametrize(("n", "m"), [(80, 80), (80, 50)])
def test_sliced_is_a_mean_of_exact_projections(p, n, m):
    x, y = clouds(n, m, 3)
    result = sliced_wasserstein(x, y, projections=20, seed=3, p=p)
    directions = np.random.default_rng(3).standard_normal((20, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    distances = np.array([wasserstein(x @ v, y @ v, p).distance for v in directions])
    assert result.distance == pytest.approx((distances**p).mean() ** (1 / p), rel=1e-12)
    assert result.lower == pytest.approx(distances.max(), rel=1e-12)
    assert result.distance < result.lower <= wasserstein(x, y, p).distance


@law
@given(points, points, st.integers(0, 50), st.sampled_from([1, 2]))
def test_no_projection_exceeds_the_distance(x, y, seed, p):
    result = sliced_wasserstein(x, y, projections=8, seed=seed, p=p)
    assert result.lower <= wasserstein(x, y, p).upper


def test_sliced_bound_reaches_a_translation_in_the_plane():
    x, _ = clouds(50, 1, 2)
    result = sliced_wasserstein(x, x + np.array([3, 4]), projections=500)
    assert result.lower == pytest.approx(5, rel=1e-3)
    # the mean of |cos| over the circle is 2/π
    assert result.distance == pytest.approx(10 / np.pi, abs=4 * result.standard_error)


def test_sliced_of_many_points_in_blocks(monkeypatch):
    x, y = clouds(100_000, 100_000, 4)
    whole = sliced_wasserstein(x, y, projections=4)
    directions = np.random.default_rng(0).standard_normal((4, 4))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    # a shifted Gaussian on each line
    expected = np.abs(directions @ np.full(4, 0.7)).mean()
    assert whole.distance == pytest.approx(expected, abs=0.02)
    monkeypatch.setattr("sngan.transport.sliced._BLOCK", 1)
    assert sliced_wasserstein(x, y, projections=4).distance == pytest.approx(
        whole.distance, rel=1e-12
    )


@POWERS
def test_minibatches_are_biased_upward_and_less_so_when_larger(p):
    x, y = clouds(300, 300, 4)
    exact = wasserstein(x, y, p).distance
    results = [minibatch_wasserstein(x, y, batch_size=k, batches=40, p=p) for k in (10, 40, 160)]
    distances = [result.distance for result in results]
    assert distances[0] > distances[1] > distances[2] > exact
    assert distances[0] - exact > 5 * results[0].standard_error
    assert distances[2] < 1.3 * exact


@POWERS
def test_one_batch_of_everything_is_exact(p):
    x, y = clouds(30, 30, 2)
    result = minibatch_wasserstein(x, y, batch_size=30, batches=1, p=p)
    assert result.distance == pytest.approx(wasserstein(x, y, p).distance, rel=1e-12)
    assert np.isnan(result.standard_error)


@POWERS
def test_standard_errors_are_those_of_repetition(p):
    x, y = clouds(200, 200, 3)
    for measure in (
        lambda seed: sliced_wasserstein(x, y, projections=50, seed=seed, p=p),
        lambda seed: minibatch_wasserstein(x, y, batch_size=8, batches=20, seed=seed, p=p),
    ):
        repeats = [measure(seed) for seed in range(40)]
        spread = np.std([result.distance for result in repeats], ddof=1)
        said = np.mean([result.standard_error for result in repeats])
        assert 0.65 < said / spread < 1.5
        assert repeats[0] == measure(0)


# --- the dual as linear programs ---


@DIMENSIONS
@pytest.mark.parametrize("scale", [1e-9, 1.0])
def test_plan_potentials_and_critic_have_one_value(d, scale):
    x, y = (scale * points for points in clouds(20, 25, d))
    a = shares(20, 6)
    result = dual_linear_program(x, y, weights_x=a)
    exact = wasserstein(x, y, weights_x=a).distance
    for value in (result.primal, result.dual, result.critic):
        assert value == pytest.approx(exact, rel=1e-7)
    tolerance = 1e-6 * scale
    both = np.concatenate([x, y])
    critic = np.concatenate([result.critic_x, result.critic_y])
    assert (critic[:, None] - critic <= cdist(both, both) + tolerance).all()
    assert (result.potential_x[:, None] + result.potential_y <= cdist(x, y) + tolerance).all()
    np.testing.assert_allclose(result.plan.sum(1), a, atol=1e-7)
    np.testing.assert_allclose(result.plan.sum(0), 1 / 25, atol=1e-7)


def test_equal_clouds_have_dual_value_zero():
    x, _ = clouds(5, 1, 2)
    assert dual_linear_program(x, x).critic == pytest.approx(0, abs=1e-9)
    assert dual_linear_program(x[:1], x[:1]).primal == 0


# --- critics ---


def random_critic(seed: int, dimension: int) -> tuple[nn.Module, float]:
    """A small network and the product of its dense spectral norms."""
    torch.manual_seed(seed)
    widths = [dimension, 16, 16, 1]
    activations = [nn.ReLU(), nn.Tanh(), nn.LeakyReLU(0.1)]
    layers, bound = [], 1.0
    for inputs, outputs in itertools.pairwise(widths):
        linear = nn.Linear(inputs, outputs).double()
        bound *= float(torch.linalg.svdvals(linear.weight.detach())[0])
        layers += [linear, activations[seed % 3]]
    return nn.Sequential(*layers[:-1]), bound


@pytest.mark.parametrize("seed", range(24))
def test_no_lipschitz_critic_exceeds_the_distance(seed):
    d = 1 + seed % 4
    x, y = clouds(30, 40, d, seed)
    a, b = shares(30, seed), shares(40, seed + 1)
    exact = wasserstein(x, y, weights_x=a, weights_y=b)
    left, right = torch.from_numpy(x), torch.from_numpy(y)
    critic, lipschitz = random_critic(seed, d)
    centre = torch.from_numpy(np.random.default_rng(seed).normal(size=d) * 3)
    for candidate, constant in (
        (critic, lipschitz),
        (lambda z: -critic(z), lipschitz),
        (lambda z: (z - centre).norm(dim=1), 1.0),
        (lambda z: -5 * (z - centre).norm(dim=1), 5.0),
    ):
        bound = critic_bound(candidate, left, right, constant, weights_x=a, weights_y=b)
        assert -exact.upper <= bound <= exact.upper


def test_a_critic_steeper_than_it_claims_is_caught():
    # the check above can fail: twice as steep as claimed, on a translation
    x, _ = clouds(30, 1, 2)
    left = torch.from_numpy(x)
    right = left - torch.tensor([1.0, 0.0])
    assert critic_bound(lambda z: 2 * z[:, 0], left, right, 2.0) == pytest.approx(1.0, rel=1e-12)
    assert critic_bound(lambda z: 2 * z[:, 0], left, right, 1.0) > 1.9


def test_the_best_critic_reaches_the_distance():
    x, y = clouds(30, 30, 2)
    exact = wasserstein(x, y)
    potential = torch.from_numpy(exact.potential_y)
    nodes = torch.from_numpy(y)

    def critic(z):
        # the c-transform: a minimum of 1-Lipschitz functions
        return ((z[:, None] - nodes).norm(dim=2) - potential).min(dim=1).values

    left, right = torch.from_numpy(x), torch.from_numpy(y)
    assert critic_bound(critic, left, right, 1.0) == pytest.approx(exact.distance, rel=1e-9)
    assert critic_bound(critic, right, left, 1.0) == pytest.approx(-exact.distance, rel=1e-9)


def test_critic_on_images_in_batches_without_gradients():
    images = torch.randn(2500, 3, 4, 4, generator=torch.manual_seed(0))
    sizes = []

    def critic(batch):
        sizes.append(len(batch))
        assert not torch.is_grad_enabled()
        return batch.flatten(1).sum(1, keepdim=True)

    shift = torch.full((3, 4, 4), 0.5)
    bound = critic_bound(critic, images + shift, images, 48**0.5)
    assert bound == pytest.approx(0.5 * 48**0.5, rel=1e-5)
    assert max(sizes) == 1024
    assert sum(sizes) == 5000


# --- tables, pictures, landscapes ---

SIX_BOXES = {
    "x": np.array([1.0, 2.0, 3.0]),
    "y": np.array([7.0, 8.0, 9.0, 10.0]),
    "weights_x": np.array([3.0, 2.0, 1.0]) / 6,
    "weights_y": np.array([1.0, 2.0, 1.0, 2.0]) / 6,
}


def test_six_boxes():
    table = explain(**SIX_BOXES, total=6).splitlines()
    assert table[0].split() == ["from", "to", "mass", "distance", "cost"]
    rows = [[float(cell) for cell in line.split()] for line in table[1:6]]
    for start, end, mass, distance, cost in rows:
        assert distance == end - start
        assert cost == mass * distance
    assert sum(cost for *_, cost in rows) == 42
    assert sum(row[2] for row in rows) == 6
    assert table[6] == "leaves:  3 at 1, 2 at 2, 1 at 3"
    assert table[7] == "reaches: 1 at 7, 2 at 8, 1 at 9, 2 at 10"
    assert table[8:] == ["cost of the cheapest plan: 42"]


def test_a_given_plan_beside_the_cheapest():
    x, y = np.array([1.0, 2.0]), np.array([1.0, 3.0])
    crossed = np.array([[0.0, 0.5], [0.5, 0.0]])
    table = explain(x, y, plan=crossed, total=2)
    assert "cost of this plan: 3\n" in table
    assert table.endswith("cost of the cheapest plan: 1")


def test_the_table_of_the_docstring():
    assert doctest.testmod(plans).failed == 0
    assert doctest.testmod(plans).attempted >= 2


@pytest.mark.parametrize("ending", ["png", "svg"])
@pytest.mark.parametrize("dimension", [1, 2])
def test_pictures(tmp_path, ending, dimension):
    x, y = clouds(5, 6, dimension)
    file = moves(x, y, tmp_path / "new" / f"plan.{ending}", weights_x=shares(5, 0))
    assert file.read_bytes()[:5] == (b"\x89PNG\r" if ending == "png" else b"<?xml")
    given = moves(x, y, tmp_path / f"given.{ending}", plan=np.full((5, 6), 1 / 30))
    assert given.stat().st_size > 1000
    moves(x[:1], x[:1], tmp_path / f"still.{ending}")


def mixture_divergence(t: float, width: float) -> float:
    """Jensen and Shannon's divergence by numerical integration of its definition."""

    def density(s, start):
        return (start <= s <= start + width) / width

    def integrand(s):
        p, q = density(s, 0), density(s, t)
        return sum(0.5 * r * np.log(2 * r / (p + q)) for r in (p, q) if r > 0)

    edges = sorted({0.0, width, t, t + width})
    return sum(quad(integrand, *pair)[0] for pair in itertools.pairwise(edges))


@pytest.mark.parametrize("t", [-3.0, -0.9, 0.0, 0.4, 1.1, 2.5])
def test_landscape_against_integration(t):
    width = 1.3
    found = landscape(np.array([t]), width=width)
    assert found.jensen_shannon[0] == pytest.approx(mixture_divergence(t, width), abs=1e-9)
    outside = np.clip(abs(t), 0, width) / width
    assert found.total_variation[0] == pytest.approx(outside, abs=1e-12)
    quantiles = width * (np.arange(500) + 0.5) / 500
    assert found.wasserstein[0] == pytest.approx(
        wasserstein(quantiles, quantiles + t).distance, abs=1e-12
    )
    assert found.kullback_leibler[0] == (0 if t == 0 else np.inf)


@pytest.mark.parametrize("width", [0.0, 1.3])
def test_landscape_slopes_against_differences(width):
    shifts, step = np.array([-2.0, -0.8, 0.3, 1.1, 4.0]), 1e-6
    here = landscape(shifts, width=width)
    ahead, behind = (landscape(shifts + move, width=width) for move in (step, -step))
    for name in ("jensen_shannon", "total_variation", "wasserstein"):
        slope = (getattr(ahead, name) - getattr(behind, name)) / (2 * step)
        np.testing.assert_allclose(getattr(here, f"{name}_gradient"), slope, atol=1e-8)
    assert np.isnan(here.kullback_leibler_gradient).all()


def test_parallel_lines():
    found = landscape(torch.linspace(-1, 1, 5))
    np.testing.assert_allclose(found.jensen_shannon, np.log(2) * np.array([1, 1, 0, 1, 1]))
    np.testing.assert_array_equal(found.total_variation, [1, 1, 0, 1, 1])
    np.testing.assert_array_equal(found.kullback_leibler, [np.inf, np.inf, 0, np.inf, np.inf])
    np.testing.assert_array_equal(found.wasserstein, [1, 0.5, 0, 0.5, 1])
    np.testing.assert_array_equal(found.wasserstein_gradient, [-1, -1, 0, 1, 1])
    np.testing.assert_array_equal(found.jensen_shannon_gradient, [0, 0, np.nan, 0, 0])


# --- bad input ---

GOOD = np.zeros((3, 2))
HALF = np.full(3, 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wasserstein(GOOD, GOOD * np.nan), r"^y: expected finite values, got nan"),
        (lambda: wasserstein(GOOD + np.inf, GOOD), r"^x: expected finite values, got inf"),
        (
            lambda: wasserstein(GOOD[:0], GOOD),
            r"^x: expected at least one point.*got shape \(0, 2\)",
        ),
        (lambda: wasserstein(GOOD, GOOD[:, :0]), r"^y: expected at least one point"),
        (lambda: wasserstein(GOOD, np.zeros(())), r"^y: expected at least one"),
        (lambda: wasserstein(np.zeros((2, 3, 4)), GOOD), r"^x: .* got shape \(2, 3, 4\)"),
        (lambda: wasserstein(GOOD, np.zeros((3, 5))), r"^y: .* dimension 2, as x, got dimension 5"),
        (lambda: wasserstein(GOOD.astype(int), GOOD), r"^x: .* floating-point .*, got int64"),
        (lambda: wasserstein(GOOD, GOOD + 0j), r"^y: expected a real .*, got complex128"),
        (lambda: wasserstein(torch.zeros(3, 2).long(), GOOD), r"^x: .* got torch.int64"),
        (lambda: wasserstein(torch.zeros(3, 2) + 0j, GOOD), r"^x: .* got torch.complex64"),
        (lambda: wasserstein([[0.0, 1.0]], GOOD), r"^x: .* got list"),
        (lambda: wasserstein(GOOD, GOOD, 3), r"^p: expected 1 or 2, got 3"),
        (lambda: wasserstein(GOOD, GOOD, max_iterations=0), r"^max_iterations: .* got 0"),
        (
            lambda: wasserstein(GOOD, GOOD, weights_x=HALF),
            r"^weights_x: expected a sum of 1 within 1e-6, got 1.5",
        ),
        (
            lambda: wasserstein(GOOD, GOOD, weights_y=np.array([-1.0, 1.0, 1.0])),
            r"^weights_y: expected no negative weight, got -1",
        ),
        (
            lambda: wasserstein(GOOD, GOOD, weights_y=HALF[:2]),
            r"^weights_y: .* shape \(3,\), got shape \(2,\)",
        ),
        (lambda: wasserstein(GOOD, GOOD, weights_x=HALF * np.nan), r"^weights_x: .* got nan"),
        (
            lambda: wasserstein(GOOD, GOOD + 1e200, 2),
            r"^x, y: .* float64 can hold, got an overflow",
        ),
        (lambda: wasserstein(GOOD[:, 0], GOOD[:, 0] + 1e200, 2), r"^x, y: .* got an overflow"),
        (
            lambda: entropic_wasserstein(GOOD, GOOD, regularization=0.0),
            r"^regularization: expected a finite number above 0, got 0.0",
        ),
        (lambda: sliced_wasserstein(GOOD, GOOD, projections=0), r"^projections: .* got 0"),
        (lambda: sliced_wasserstein(GOOD, GOOD, seed=-1), r"^seed: .* got -1"),
        (
            lambda: minibatch_wasserstein(GOOD, GOOD, batch_size=4),
            r"^batch_size: expected at most 3, .* got 4",
        ),
        (lambda: minibatch_wasserstein(GOOD, GOOD, batches=0), r"^batches: .* got 0"),
        (
            lambda: dual_linear_program(np.zeros((300, 1)), np.zeros((200, 1))),
            r"^x, y: expected 400 points together at most.* got 300 \+ 200",
        ),
        (
            lambda: explain(GOOD, GOOD, plan=np.eye(2)),
            r"^plan: expected shape \(3, 3\), got .*2, 2",
        ),
        (lambda: explain(GOOD, GOOD, plan=np.eye(3)), r"^plan: expected rows that sum to the we"),
        (
            lambda: explain(GOOD, GOOD, plan=np.eye(3)[[0, 0, 1]] / 3),
            r"^plan: expected columns that sum to the weights within 1e-6, got an error of 0.333",
        ),
        (
            lambda: explain(GOOD, GOOD, plan=-np.eye(3)),
            r"^plan: expected no negative share, got -1",
        ),
        (lambda: explain(GOOD, GOOD, total=0.0), r"^total: expected a finite number above 0"),
        (lambda: moves(np.zeros((2, 3)), np.zeros((2, 3)), "never.png"), r"^x: .* 2 dimensions"),
        (lambda: landscape(np.zeros((2, 2))), r"^shifts: expected shape \(k,\)"),
        (lambda: landscape(np.zeros(2), width=-1.0), r"^width: expected .* at least 0, got -1.0"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lipschitz": 0.0}, r"^lipschitz: expected a finite number above 0, got 0.0"),
        ({"lipschitz": float("inf")}, r"^lipschitz: .* got inf"),
        ({"lipschitz": float("nan")}, r"^lipschitz: .* got nan"),
        ({"x": GOOD}, r"^x: expected floating-point samples, a tensor .* got float64"),
        ({"y": torch.zeros(3, 2).int()}, r"^y: expected floating-point .* got torch.int32"),
        ({"y": torch.zeros(0, 2)}, r"^y: expected at least one sample, got none"),
        ({"y": torch.zeros(3, 4)}, r"^y: expected samples of shape \(2,\), as x, got \(4,\)"),
        ({"x": torch.full((3, 2), torch.nan)}, r"^x: expected finite values"),
        ({"critic": lambda z: z}, r"^critic: expected scores of shape \(3,\) or .* got .*3, 2"),
        ({"critic": lambda z: z[:, 0] / 0}, r"^critic: expected finite scores"),
        ({"weights_x": np.ones(3)}, r"^weights_x: expected a sum of 1"),
    ],
)
def test_bad_input_of_a_critic(changes, message):
    good = {
        "critic": lambda z: z[:, 0],
        "x": torch.zeros(3, 2),
        "y": torch.zeros(3, 2),
        "lipschitz": 1.0,
    }
    with pytest.raises(ValueError, match=message):
        critic_bound(**(good | changes))


@pytest.mark.parametrize(
    "solve", [wasserstein, lambda x, y: entropic_wasserstein(x, y, regularization=1.0)]
)
def test_a_matrix_beyond_memory_names_what_to_use(monkeypatch, solve):
    monkeypatch.setattr(_points, "available_memory", lambda: 2**20)
    x, y = clouds(300, 300, 2)
    with pytest.raises(
        ValueError, match=r"^x, y: .*use sliced_wasserstein.*300 × 300 points, about"
    ):
        solve(x, y)
    # points on a line need no matrix
    assert wasserstein(x[:, 0], y[:, 0]).optimal


def test_available_memory_is_a_sane_number():
    available = _points.available_memory()
    assert available is None or 2**20 < available < 2**50
