"""Proofs by slopes against every pattern of activity, and against the paper."""

import itertools
import math

import pytest
import torch

from helpers.networks import (
    over_patterns,
    quick,
    relu_network,
)
from sngan.lipschitz.slopes import slope_bound


@pytest.mark.parametrize("slope", [0.0, 0.1, -0.3, 2.0])
@pytest.mark.parametrize("sizes", [(2, 6, 1), (2, 5, 5, 1), (3, 4, 3, 3, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_proofs_hold_against_every_pattern_of_activity(sizes, slope, seed):
    torch.manual_seed(seed)
    network = relu_network(sizes, slope)
    # the proof by slopes covers the patterns that no input reaches, too
    worst = over_patterns(network, slope)
    found = {kind: quick(network, sizes[:1], slopes=kind) for kind in ("product", "eclipse", "sdp")}
    for bounds in found.values():
        assert bounds.upper >= worst * (1 - 1e-12)
        assert bounds.lower <= worst * (1 + 1e-9)
    assert found["sdp"].upper <= found["eclipse"].upper <= found["product"].upper
    assert found["sdp"].upper < found["product"].upper


def test_the_closed_form_is_the_papers_for_relu():
    weights = [torch.randn(5, 3).double(), torch.randn(4, 5).double(), torch.randn(2, 4).double()]
    x = torch.eye(3).double()
    for weight in weights[:-1]:
        # Xu, Sivaranjani 2024: λ = 2/‖W X⁻¹ Wᵀ‖, X ← λI − λ²/4 · W X⁻¹ Wᵀ
        inner = weight @ torch.linalg.inv(x) @ weight.t()
        size = 2 / torch.linalg.matrix_norm(inner, 2)
        x = size * torch.eye(len(weight)).double() - size**2 / 4 * inner
    last = weights[-1]
    constant = torch.linalg.matrix_norm(last @ torch.linalg.inv(x) @ last.t(), 2).sqrt().item()
    found = slope_bound(weights, [(0.0, 1.0)] * 2, optimized=False)
    assert found == pytest.approx(constant, rel=1e-6)
    assert found >= constant * (1 - 1e-12)


@pytest.mark.parametrize("slopes", [(0.1, 1.0), (-0.13, 1.13), (0.5, 3.0), (-2.0, 0.5)])
def test_slope_bound_against_corners_and_the_product(slopes):
    weights = [torch.randn(3, 2).double(), torch.randn(3, 3).double(), torch.randn(1, 3).double()]
    worst = 0.0
    for gates in itertools.product(slopes, repeat=6):
        first, second = torch.tensor(gates).double().split(3)
        jacobian = weights[2] @ (second[:, None] * weights[1]) @ (first[:, None] * weights[0])
        worst = max(worst, torch.linalg.matrix_norm(jacobian, 2).item())
    steepest = max(map(abs, slopes))
    product = math.prod(torch.linalg.matrix_norm(w, 2).item() for w in weights) * steepest**2
    closed = slope_bound(weights, [slopes] * 2, optimized=False)
    best = slope_bound(weights, [slopes] * 2, optimized=True)
    assert worst <= best <= closed <= product * (1 + 1e-6)


def test_slope_bound_is_exact_where_the_product_is():
    # identical rank-one layers: every gate open is the worst, and it attains the product
    ones = torch.full((3, 3), 1 / 3).double()
    found = slope_bound([ones] * 4, [(0.0, 1.0)] * 3, optimized=True)
    assert 1.0 <= found <= 1.0 + 1e-4


@pytest.mark.parametrize("slopes", [(-1.0, 1.0), (1.0, 1.0)])
def test_slope_bound_declines_what_its_proof_does_not_cover(slopes):
    weights = [torch.eye(2).double()] * 2
    assert slope_bound(weights, [slopes], optimized=False) is None


def test_badly_scaled_layers_keep_the_proof():
    network = relu_network((3, 6, 6, 1))
    with torch.no_grad():
        network[0].weight.mul_(1e-7)
        network[2].weight.mul_(1e9)
        network[2].weight[0] *= 1e-6
    bounds = quick(network, (3,), slopes="sdp")
    assert over_patterns(network, 0.0) <= bounds.upper <= bounds.product
