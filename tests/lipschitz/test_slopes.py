"""The bound by slopes against corners, closed forms and multipliers built to break its proof."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.examples import examples
from sngan.lipschitz.slopes import bound as slopes_module
from sngan.lipschitz.slopes.bound import prove_stages
from sngan.lipschitz.slopes.contractions import elementwise, sorting
from sngan.lipschitz.slopes.multipliers import closed_forms
from sngan.lipschitz.slopes.proof import compress_inputs, is_definite, proved_bound
from sngan.lipschitz.slopes.stages import Rounded, balance, dual, stage_of, stages_of

RELU = (0.0, 1.0)


def bound_of_stages(stages, *, optimized):
    """The proved constant, or None."""
    proof = prove_stages(stages, optimized=optimized)
    return None if proof is None else proof.constant


def eye(count):
    return torch.eye(count).double()


def exact_stages(first, middle, last):
    return stages_of(Rounded.exact(first), middle, Rounded.exact(last))


def chain(weights, activation):
    """``W_l φ(… φ(W_1 x))`` with ``activation(count)`` for φ."""
    first, *others = weights
    stages = [
        stage_of(
            activation(after.shape[1]),
            kept=Rounded.exact(torch.zeros(after.shape).double()),
            read=Rounded.eye(after.shape[1]),
            added=Rounded.exact(after),
        )
        for after in others
    ]
    return exact_stages(first, stages, eye(weights[-1].shape[0]))


def slopes_chain(weights, slopes):
    return chain(weights, lambda count: elementwise(*slopes, count))


def residual(first, blocks, last, slopes=RELU):
    stages = [
        stage_of(
            elementwise(*slopes, len(w)),
            kept=Rounded.eye(len(g)),
            read=Rounded.exact(w),
            added=Rounded.exact(g),
        )
        for w, g in blocks
    ]
    return exact_stages(first, stages, last)


def random_weights(*sizes):
    return [torch.randn(b, a).double() / a**0.5 for a, b in itertools.pairwise(sizes)]


def norm(matrix):
    return torch.linalg.matrix_norm(matrix, 2).item()


def over_corners(stages, slopes):
    """The largest norm over all patterns of slopes at the ends of the range."""
    worst = 0.0
    counts = [stage.enter.shape[1] for stage in stages.middle]
    for signs in itertools.product((-1.0, 1.0), repeat=sum(counts)):
        state = stages.first
        for stage, gates in zip(
            stages.middle, torch.tensor(signs).double().split(counts), strict=True
        ):
            state = stage.keep @ state + stage.enter @ (gates[:, None] * (stage.leave @ state))
        worst = max(worst, norm(stages.last @ state))
    return worst


def from_the_papers(weights, majorant):
    """The recursion of ECLipsE-Fast for ReLU, from the inputs to the outputs, with any majorant."""
    x = eye(weights[0].shape[1])
    for weight in weights[:-1]:
        # λ = 2/D for D ≽ W X⁻¹ Wᵀ, X ← Λ − Λ W X⁻¹ Wᵀ Λ/4
        inner = weight @ torch.linalg.inv(x) @ weight.t()
        sizes = 2 / majorant(inner)
        x = torch.diag(sizes) - sizes[:, None] * inner * sizes / 4
    return norm(weights[-1] @ torch.linalg.inv(x) @ weights[-1].t()) ** 0.5


def eclipse_fast(inner):
    return torch.full_like(inner[0], norm(inner))


def row_sums(inner):
    return inner.abs().sum(dim=1)


@pytest.mark.parametrize("majorant", [eclipse_fast, row_sums])
@pytest.mark.parametrize("sizes", [(3, 5, 4, 2), (8, 32, 32, 1), (4, 20, 20, 20, 20, 1)])
def test_closed_forms_are_no_looser_than_published_ones(sizes, majorant):
    for seed in range(5):
        torch.manual_seed(seed)
        weights = random_weights(*sizes)
        found = bound_of_stages(slopes_chain(weights, RELU), optimized=False)
        assert found <= from_the_papers(weights, majorant) * (1 + 1e-6)


@pytest.mark.parametrize(
    "slopes",
    [
        RELU,
        (-0.13, 1.13),
        (-2.0, 0.5),
        pytest.param((0.1, 1.0), marks=pytest.mark.slow),
        pytest.param((0.5, 3.0), marks=pytest.mark.slow),
        pytest.param((-1, 1), marks=pytest.mark.slow),
    ],
)
def test_bounds_are_above_all_corners_and_below_the_product(slopes):
    weights = random_weights(2, 3, 3, 1)
    stages = slopes_chain(weights, slopes)
    steepest = max(map(abs, slopes))
    product = math.prod(map(norm, weights)) * steepest**2
    worst = over_corners(stages, slopes)
    closed = bound_of_stages(stages, optimized=False)
    best = bound_of_stages(stages, optimized=True)
    assert worst <= best <= closed <= product * (1 + 2e-3)
    assert best <= 1.25 * worst


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))]
)
def test_residual_bounds_are_above_all_corners(seed):
    torch.manual_seed(seed)
    first, last = torch.randn(3, 2).double(), torch.randn(1, 3).double()
    blocks = [(torch.randn(4, 3).double(), torch.randn(3, 4).double()) for _ in range(2)]
    stages = residual(first, blocks, last)
    product = norm(first) * norm(last) * math.prod(1 + norm(w) * norm(g) for w, g in blocks)
    worst = over_corners(stages, RELU)
    best = bound_of_stages(stages, optimized=True)
    assert worst <= best <= bound_of_stages(stages, optimized=False)
    assert best <= min(1.3 * worst, 0.9 * product)


def test_weights_of_one_sign_have_the_norm_of_their_product():
    for depth in (1, 2, 5, 12):
        weights = [w.abs() for w in random_weights(4, *[20] * depth, 1)]
        exact = norm(torch.linalg.multi_dot(weights[::-1]))
        found = bound_of_stages(slopes_chain(weights, RELU), optimized=False)
        assert exact <= found <= exact * (1 + 1e-6)


def test_the_bound_equals_the_product_where_that_is_exact():
    # for identical rank-one layers, the worst pattern opens every gate and attains the product
    ones = torch.full((3, 3), 1 / 3).double()
    assert 1.0 <= bound_of_stages(slopes_chain([ones] * 4, RELU), optimized=False) <= 1.0 + 1e-6


def test_linear_networks_have_their_norm():
    first, last = torch.randn(5, 9).double(), torch.randn(2, 5).double()
    found = bound_of_stages(exact_stages(first, [], last), optimized=True)
    assert norm(last @ first) <= found <= norm(last @ first) * (1 + 1e-7)


@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_orthogonal_chains_of_sorting_have_constant_one(size):
    weights = [torch.linalg.qr(torch.randn(8, 8).double()).Q for _ in range(4)]
    stages = chain(weights, lambda n: sorting(torch.arange(n).view(-1, size), n))
    # the best multipliers are on the edge of those that prove a bound, so the check needs room
    assert 1.0 <= bound_of_stages(stages, optimized=False) <= 1.02
    assert 1.0 <= bound_of_stages(stages, optimized=True) <= 1.005


@pytest.mark.parametrize(
    "powers",
    [
        pytest.param((0, 0), marks=pytest.mark.slow),
        (140, 100),
        pytest.param((-300, 200), marks=pytest.mark.slow),
        pytest.param((-400, -400), marks=pytest.mark.slow),
    ],
)
def test_scale_does_not_matter(powers):
    weights = random_weights(3, 6, 6, 1)
    plain = bound_of_stages(slopes_chain(weights, RELU), optimized=True)
    scales = [2.0 ** powers[0], 2.0 ** powers[1], 1.0]
    scaled = [w * s for w, s in zip(weights, scales, strict=True)]
    found = bound_of_stages(slopes_chain(scaled, RELU), optimized=True)
    assert found == pytest.approx(plain * math.prod(scales), rel=1e-9)


def test_the_dual_is_the_transposed():
    blocks = [(torch.randn(4, 3).double(), torch.randn(3, 4).double())]
    stages = residual(torch.randn(3, 2).double(), blocks, torch.randn(2, 3).double())
    assert over_corners(dual(stages), RELU) == pytest.approx(over_corners(stages, RELU), rel=1e-12)
    both = [bound_of_stages(network, optimized=True) for network in (stages, dual(stages))]
    assert both[0] == pytest.approx(both[1], rel=1e-2)


def test_multipliers_that_prove_nothing_are_refused():
    stages = slopes_chain(random_weights(3, 6, 6, 1), RELU)
    value, multipliers = closed_forms(stages)[0]
    assert proved_bound(stages, multipliers) == pytest.approx(value**0.5, rel=1e-6)
    # Λ of the last stage is too small, so its block matrix is indefinite
    assert proved_bound(stages, [multipliers[0], 0.05 * multipliers[1]]) is None
    assert proved_bound(stages, [multipliers[0], -multipliers[1]]) is None
    assert proved_bound(stages, [multipliers[0] * math.nan, multipliers[1]]) is None


def test_a_search_that_breaks_the_proof_leaves_the_closed_form(monkeypatch):
    stages = slopes_chain(random_weights(3, 6, 6, 1), RELU)
    closed = bound_of_stages(stages, optimized=False)
    assert bound_of_stages(stages, optimized=True) < 0.99 * closed
    monkeypatch.setattr(
        slopes_module, "search_multipliers", lambda _, start: [0.01 * m for m in start]
    )
    assert bound_of_stages(stages, optimized=True) == closed
    monkeypatch.setattr(slopes_module, "closed_forms", lambda _: [])
    assert bound_of_stages(stages, optimized=True) is None


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.floats(-6, 6), min_size=8, max_size=8), st.integers(0, 4))
def test_a_proof_with_any_multipliers_is_above_the_corners(logarithms, seed):
    torch.manual_seed(seed)
    stages = slopes_chain(random_weights(2, 4, 4, 1), RELU)
    multipliers = [*torch.tensor(logarithms).double().exp().split(4)]
    found = proved_bound(stages, multipliers)
    assert found is None or found >= over_corners(stages, RELU) * (1 - 1e-12)


@pytest.mark.parametrize("least", [-1e-3, -1e-9, -1e-13, 0.0, 1e-16])
def test_a_matrix_that_may_be_definite_only_by_rounding_is_refused(least):
    q = torch.linalg.qr(torch.randn(20, 20).double()).Q
    values = torch.linspace(0.1, 1.0, 20).double()
    values[0] = least
    assert not is_definite(q @ torch.diag(values) @ q.t(), torch.ones(20).double())
    values[0] = 1e-9
    assert is_definite(q @ torch.diag(values) @ q.t(), torch.ones(20).double())


def test_definite_matrices_of_bad_scale_are_recognized():
    scale = torch.logspace(-100, 100, 12, dtype=torch.float64)
    matrix = eye(12) + 0.05
    assert is_definite(scale[:, None] * matrix * scale, scale**2)
    assert not is_definite(-matrix, torch.ones(12).double())
    assert not is_definite(matrix * math.nan, torch.ones(12).double())


@pytest.mark.parametrize("shape", [(3, 50), (20, 21), (5, 3)])
def test_compressed_inputs_are_above_and_close(shape):
    first = torch.randn(shape).double()
    first[0] *= 1e-6
    found = compress_inputs(first, first.abs())
    assert found.shape == (shape[0], min(shape))
    gap = torch.linalg.eigvalsh(found @ found.t() - first @ first.t())
    assert gap[0] >= -1e-13
    assert gap[-1] <= 1e-6 * norm(first) ** 2


def test_balancing_takes_out_a_power_of_two():
    stages = slopes_chain([1e30 * w for w in random_weights(3, 6, 1)], RELU)
    balanced = balance(stages)
    even, exponent = balanced.stages, balanced.exponent
    scale = 2.0**exponent
    assert 0.25 <= norm(even.first) <= 2.0
    assert over_corners(even, RELU) * scale == pytest.approx(over_corners(stages, RELU), rel=1e-12)
