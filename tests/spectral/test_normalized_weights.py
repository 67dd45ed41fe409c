"""Normalized weights: their selection, the time of normalization, and their norm."""

import copy

import pytest
import torch
from torch import nn

from helpers.critics import assert_identical, make_critic, make_inputs, top_singular_value
from sngan import SpectralNorm


@pytest.mark.parametrize("coefficient", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_every_step_leaves_weights_of_norm_c(coefficient, memory_format):
    torch.manual_seed(0)
    critic = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 4, 2), nn.Flatten(), nn.LazyLinear(1)
    )
    critic(torch.zeros(1, 3, 12, 12))
    critic.to(memory_format=memory_format)
    optimizer = torch.optim.Adam(critic.parameters(), lr=2e-4)
    SpectralNorm(critic, optimizer, coefficient=coefficient)
    for _ in range(30):
        optimizer.zero_grad()
        critic(torch.randn(4, 3, 12, 12)).sum().backward()
        optimizer.step()
        for layer in (critic[0], critic[2], critic[4]):
            assert top_singular_value(layer) == pytest.approx(coefficient, rel=0.05)
    assert critic[0].weight.is_contiguous(memory_format=memory_format)


def test_reading_forward_and_eval_change_nothing():
    critic = make_critic()
    optimizer = torch.optim.Adam(critic.parameters())
    sn = SpectralNorm(critic, optimizer)
    before = copy.deepcopy((critic.state_dict(), sn.state_dict()))
    x = make_inputs(1)[0]
    first = critic(x)
    assert torch.equal(critic(x), first)
    assert torch.equal(critic.eval()(x), first)
    (first.sum() + critic(x).sum()).backward()
    sn.sigmas(), sn.singular_values()
    after = (critic.state_dict(), sn.state_dict())
    assert_identical(before, after)


@pytest.mark.parametrize("set_to_none", [True, False])
def test_parameters_without_gradient_are_left(set_to_none):
    critic = make_critic()
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
    sn = SpectralNorm(critic, optimizer)
    label = critic.label.weight.clone()
    optimizer.zero_grad(set_to_none=set_to_none)
    critic.head(torch.ones(1, 4).double()).sum().backward()
    head = critic.head.weight.clone()
    optimizer.step()
    assert torch.equal(critic.label.weight, label)
    assert not torch.equal(critic.head.weight, head)
    assert sn.sigmas()["label"].item() > 0


def test_frozen_layers_are_normalized_once_and_left():
    critic = make_critic()
    critic.body.requires_grad_(False)
    optimizer = torch.optim.SGD([p for p in critic.parameters() if p.requires_grad], lr=0.1)
    SpectralNorm(critic, optimizer, iterations=3)
    frozen = critic.body.weight.clone()
    assert top_singular_value(critic.body) == pytest.approx(1.0, rel=1e-2)
    critic(make_inputs(1)[0]).sum().backward()
    optimizer.step()
    assert torch.equal(critic.body.weight, frozen)


def test_tied_weights_have_one_norm():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.out = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
            self.out.weight = self.embed.weight

        def forward(self, index):
            return self.out(self.embed(index))

    torch.manual_seed(0)
    model = Tied().double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sn = SpectralNorm(model, optimizer, iterations=50)
    model(torch.arange(7)).square().sum().backward()
    optimizer.step()
    assert set(sn.sigmas()) == {"embed", "out"}
    assert sn.sigmas()["embed"] == sn.sigmas()["out"]
    assert top_singular_value(model.out) == pytest.approx(1.0, rel=1e-8)


def test_several_parameter_groups_keep_their_settings():
    critic = make_critic()
    optimizer = torch.optim.SGD(
        [
            {"params": critic.head.parameters(), "lr": 0.0},
            {"params": [p for n, p in critic.named_parameters() if not n.startswith("head")]},
        ],
        lr=0.1,
    )
    SpectralNorm(critic, optimizer, iterations=200)
    critic(make_inputs(1)[0]).sum().backward()
    head, body = critic.head.weight.clone(), critic.body.weight.clone()
    optimizer.step()
    torch.testing.assert_close(critic.head.weight, head, rtol=0, atol=1e-9)
    assert (critic.body.weight - body).abs().max() > 1e-3


def test_zero_layer_stays_zero_and_revives_when_it_is_moved():
    layer = nn.Linear(3, 2, bias=False)
    nn.init.zeros_(layer.weight)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    sn = SpectralNorm(layer, optimizer)
    layer(torch.zeros(1, 3)).sum().backward()
    optimizer.step()
    assert torch.equal(layer.weight, torch.zeros(2, 3))
    for _ in range(2):
        optimizer.zero_grad()
        layer(torch.tensor([[1.0, 2.0, 2.0]])).sum().backward()
        optimizer.step()
    assert top_singular_value(layer) == pytest.approx(1.0, rel=1e-5)
    assert sn.sigmas()[""].item() > 1.0


def test_selection_by_name_type_and_predicate():
    def selected(layers):
        critic = make_critic()
        optimizer = torch.optim.Adam(critic.parameters())
        return set(SpectralNorm(critic, optimizer, layers=layers).sigmas())

    assert selected(["head", "plane.2.0"]) == {"head", "plane.2.0"}
    assert selected(nn.Linear) == {"head", "body"}
    assert selected((nn.Embedding, nn.Conv3d)) == {"label", "space.down"}
    assert selected(lambda name, layer: name.startswith("line") and hasattr(layer, "stride")) == {
        "line.0",
        "line.2",
    }
