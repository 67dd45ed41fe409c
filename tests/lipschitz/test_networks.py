"""Bounds of whole networks against dense derivatives, and how their layers add up."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from helpers.examples import examples
from helpers.networks import (
    ACTIVATIONS,
    Fn,
    Residual,
    jacobian_norm,
    quick,
    upper,
)
from sngan import models
from sngan.lipschitz import blocks


def test_a_linear_network_has_equal_bounds():
    network = nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 3), nn.Flatten())
    product = network[1].weight.double() @ network[0].weight.double()
    sigma = torch.linalg.matrix_norm(product, 2).item()
    bounds = quick(network, (5,))
    assert bounds.lower == pytest.approx(sigma, rel=1e-9)
    assert bounds.upper == pytest.approx(sigma, rel=1e-8)
    assert bounds.lower <= bounds.upper
    assert [layer.method for layer in bounds.layers] == ["merged"]
    assert bounds.layers[0].name == "0 + 1"


def test_layers_that_cancel_are_merged_with_room_for_rounding():
    network = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)).double()
    nn.init.constant_(network[0].weight, 1e8)
    network[1].weight.data = torch.tensor([1.0, -1.0, 1.0, -1.0]).double().repeat(4, 1) * 1e8
    network[1].weight.data[0, 0] += 1e-8
    bounds = quick(network, (4,))
    exact = 1e8 * (network[1].weight.data.sum(1).norm() * 2).item()
    assert bounds.upper >= exact


def test_a_convolution_is_merged_with_pooling_and_dense():
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3, stride=2), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12, 2)
    )
    bounds = quick(network, (1, 9, 9))
    assert bounds.upper == pytest.approx(bounds.lower, rel=1e-7)


class Scaled(nn.Module):
    """An addition between linear layers with a buffer as the first argument."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(3, 4), nn.Linear(4, 2)
        self.register_buffer("scale", torch.tensor([1.0, -2.0, 3.0, 0.5]))

    def forward(self, x):
        return self.two(self.scale * self.one(x))


def test_constants_between_linear_layers_are_merged_with_them():
    network = Scaled().double()
    product = network.two.weight @ torch.diag(network.scale) @ network.one.weight
    sigma = torch.linalg.matrix_norm(product.detach(), 2).item()
    assert quick(network, (3,)).upper == pytest.approx(sigma, rel=1e-7)


def test_a_cast_between_layers_is_no_change():
    network = nn.Sequential(nn.Linear(3, 3), Fn(lambda x: x.to(torch.float64)), nn.Linear(3, 3))
    assert quick(network, (3,)).layers[0].method == "merged"


def test_residual_branches_add():
    branch = nn.Linear(3, 3, bias=False)
    nn.init.eye_(branch.weight)
    bounds = quick(Residual(branch), (3,))
    assert bounds.upper == pytest.approx(2.0)
    assert bounds.lower == pytest.approx(2.0)
    assert bounds.layers[0].share == 0.0


def test_shares_are_elasticities_times_logarithms():
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), Residual(nn.Linear(2, 2)))
    for layer, size in ((network[0], 3.0), (network[2].branch, 4.0)):
        layer.weight.data = size * torch.eye(2)
    shares = {layer.name: layer.share for layer in quick(network, (2,)).layers}
    parts = {"0": math.log(3), "2.branch": 0.8 * math.log(4)}
    for name, part in parts.items():
        assert shares[name] == pytest.approx(part / sum(parts.values()))


@st.composite
def networks(draw):
    """A random small network of chains, residual sums and concatenations, and its width."""
    width = draw(st.integers(1, 3))
    torch.manual_seed(draw(st.integers(0, 10**6)))

    def layer():
        kind = draw(st.sampled_from(["linear", "activation", "residual", "cat", "sort", "scale"]))
        if kind == "activation":
            return copy.deepcopy(draw(st.sampled_from(ACTIVATIONS)))
        if kind == "residual":
            return Residual(nn.Sequential(nn.Linear(width, width), nn.Tanh()))
        if kind == "cat":
            halves = Fn(lambda x, f: torch.cat([x, f(x)], 1), nn.Linear(width, width))
            return nn.Sequential(halves, nn.Linear(2 * width, width))
        if kind == "sort":
            return nn.Sequential(nn.Linear(width, 4), blocks.GroupSort(2), nn.Linear(4, width))
        if kind == "scale":
            return Fn(lambda x: 1.5 * x.flip(1) - 0.2)
        return nn.Linear(width, width)

    return nn.Sequential(*(layer() for _ in range(draw(st.integers(1, 5))))), width


@settings(max_examples=examples(60), deadline=None)
@given(networks(), st.sampled_from(["product", "eclipse"]))
def test_lower_is_below_upper_and_both_bound_differences(drawn, slopes):
    network, width = drawn
    network.eval()
    bounds = quick(network, (width,), slopes=slopes, samples=16, rounds=2)
    assert 0.0 <= bounds.lower <= bounds.upper < math.inf
    exact = copy.deepcopy(network).double()
    x, y = torch.randn(2, 64, width).double() * 3
    with torch.no_grad():
        slopes_seen = (exact(x) - exact(y)).norm(dim=1) / (x - y).norm(dim=1)
    assert slopes_seen.max() <= bounds.upper * (1 + 1e-9)
    if bounds.lower > 1e-6:
        assert jacobian_norm(network, bounds.witness) == pytest.approx(bounds.lower, rel=1e-6)


CRITICS = [
    ("mlp", (2,), 0.1),
    ("cnn", (1, 8, 8), 0.1),
    pytest.param("resnet", (1, 8, 8), 0.1, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "shape", "width"), CRITICS)
def test_the_models_have_finite_bounds(name, shape, width):
    generator, critic = models.build(name, shape, latent_dim=4, width=width)
    bounds = quick(critic, shape)
    assert 0.0 < bounds.lower <= bounds.upper < math.inf
    assert jacobian_norm(critic, bounds.witness) == pytest.approx(bounds.lower, rel=1e-6)
    assert upper(generator.eval(), (4,)) < math.inf
    if name != "mlp":
        assert all(
            "BatchNorm2d" in reason
            for reason in quick(generator.train(), (4,), lower=False).reasons
        )
