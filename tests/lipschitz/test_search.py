"""The search for the lower bound: it finds steep points, and leaves the module unchanged."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from helpers.networks import (
    Fn,
    jacobian_norm,
    on_grid,
    quick,
    relu_network,
)
from sngan.lipschitz import lipschitz_bounds


@pytest.mark.parametrize("seed", range(6))
def test_search_finds_the_steepest_region_in_the_plane(seed):
    torch.manual_seed(seed)
    network = relu_network((2, 5, 5, 1), 0.1)
    bounds = lipschitz_bounds(network, (2,))
    grid = on_grid(network)
    assert bounds.lower >= 0.97 * grid
    assert bounds.upper >= grid
    assert jacobian_norm(network, bounds.witness) == pytest.approx(bounds.lower, rel=1e-6)


def test_smooth_networks_climb_to_the_steepest_point():
    network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    bounds = lipschitz_bounds(network, (2,), rounds=40)
    assert on_grid(network) * 0.999 <= bounds.lower <= bounds.upper


def test_kinks_do_not_count_as_slopes():
    # 2x − relu(x) + relu(−x) = x, but autograd returns the derivative 2 at 0
    network = Fn(lambda x: 2 * x - F.relu(x) + F.relu(-x))
    assert jacobian_norm(network, torch.zeros(1).double()) == 2.0
    bounds = quick(network, (1,), data=torch.zeros(1, 1))
    assert bounds.lower == pytest.approx(1.0)


def test_a_module_without_a_derivative_gets_a_note():
    class Undifferentiable(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, gradient):
            raise RuntimeError("there is none")

    bounds = quick(Fn(Undifferentiable.apply), (2,))
    assert bounds.lower == 0.0
    assert "there is none" in bounds.notes[0]
    assert bounds.notes[0] in bounds.table()
    assert quick(Fn(torch.relu), (2,), slopes="product").notes == ()


def test_attention_has_a_lower_bound():
    layer = nn.TransformerEncoderLayer(4, 1, dim_feedforward=8, batch_first=True).eval()
    bounds = quick(layer, (3, 4), samples=12)
    assert 0.0 < bounds.lower < bounds.upper == math.inf
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        assert jacobian_norm(layer, bounds.witness) == pytest.approx(bounds.lower, rel=1e-6)


def test_data_guides_the_search():
    # flat everywhere except near 1000
    network = Fn(lambda x: F.relu(1 - (x - 1000).abs()))
    assert quick(network, (1,)).lower == 0.0
    assert quick(network, (1,), data=torch.tensor([[1000.3]])).lower == pytest.approx(1.0)


@pytest.mark.parametrize("wrap", [spectral_norm, weight_norm, nn.utils.spectral_norm])
def test_parametrized_weights_are_read(wrap):
    network = nn.Sequential(wrap(nn.Linear(4, 4)), nn.ReLU(), nn.Linear(4, 1))
    network(torch.randn(2, 4)).sum().backward()
    bounds = quick(network, (4,))
    assert 0.0 < bounds.lower <= bounds.upper < math.inf
    sigma = torch.linalg.matrix_norm(network.eval()[0].weight.detach().double(), 2).item()
    assert bounds.layers[0].sigma == pytest.approx(sigma, rel=1e-6)


def test_nothing_about_the_module_or_the_generator_changes():
    network = nn.Sequential(
        spectral_norm(nn.Linear(4, 6)), nn.BatchNorm1d(6), nn.Dropout(), nn.ReLU(inplace=True),
        nn.Linear(6, 1),
    )  # fmt: skip
    network[1].eval()
    before = copy.deepcopy(network.state_dict())
    modes = [module.training for module in network.modules()]
    state, data = torch.get_rng_state(), torch.randn(5, 4)
    state, kept = torch.get_rng_state(), data.clone()
    quick(network, (4,), data=data)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(data, kept)
    assert [module.training for module in network.modules()] == modes
    after = network.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert all(p.requires_grad and p.grad is None for p in network.parameters())


def test_a_seed_gives_one_result():
    network = relu_network((2, 5, 1))
    one, two = (quick(network, (2,), seed=3) for _ in range(2))
    assert one.to_dict() == two.to_dict()
