"""Learnable norms with several optimizers, saved states, scalers, casts, and other kinds."""

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from helpers.explicit import sigma_of
from sngan import SpectralNorm


def make(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1)).double()


def batch(seed: int = 0) -> Tensor:
    return torch.randn(8, 4, generator=torch.Generator().manual_seed(seed)).double()


def step(network: nn.Module, *optimizers: torch.optim.Optimizer, seed: int = 0) -> None:
    for optimizer in optimizers:
        optimizer.zero_grad()
    network(batch(seed)).square().sum().backward()
    for optimizer in optimizers:
        optimizer.step()


def learnable(network: nn.Module, optimizer: object, **options: object) -> SpectralNorm:
    return SpectralNorm(network, optimizer, coefficient="learnable", **options)


def test_each_of_several_optimizers_moves_the_norms_of_its_weights() -> None:
    network = make()
    first = torch.optim.SGD(network[0].parameters(), lr=0.1)
    last = torch.optim.Adam(network[2].parameters(), lr=0.1)
    sn = learnable(network, [first, last], iterations=50)
    assert first.param_groups[1]["params"] == [sn.coefficients()["0"]]
    assert last.param_groups[1]["params"] == [sn.coefficients()["2"]]
    starts = {name: gamma.item() for name, gamma in sn.coefficients().items()}
    for seed in range(5):
        step(network, first, last, seed=seed)
    for name, gamma in sn.coefficients().items():
        assert gamma.item() != starts[name]
        weight = network.get_submodule(name).weight
        assert sigma_of(weight).item() == pytest.approx(abs(gamma.item()), rel=1e-6)


def test_a_new_optimizer_of_the_same_weights_is_an_error_before_they_move() -> None:
    network = make()
    first = torch.optim.SGD(network.parameters(), lr=0.1)
    SpectralNorm(network, first, coefficient={"2": "learnable"})
    other = torch.optim.RMSprop(network.parameters(), lr=0.1)
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(RuntimeError, match="gave its learnable coefficients to"):
        step(network, other)
    torch.testing.assert_close(network.state_dict(), before)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch 2.9 and newer")
def test_muon_takes_no_norms() -> None:
    network = make()
    matrices = [p for p in network.parameters() if p.dim() == 2]
    vectors = [p for p in network.parameters() if p.dim() == 1]
    muon, adam = torch.optim.Muon(matrices, lr=0.01), torch.optim.AdamW(vectors)
    with pytest.raises(ValueError, match="coefficient: expected numbers for weights that Muon"):
        learnable(network, [muon, adam])
    assert len(muon.param_groups) == len(adam.param_groups) == 1


def test_the_optimizers_state_is_enough() -> None:
    """The states of network and optimizer are enough, loaded in either order."""

    def build(seed: int) -> tuple:
        network = make(seed)
        optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
        return network, optimizer, learnable(network, optimizer)

    network, optimizer, sn = build(0)
    for seed in range(4):
        step(network, optimizer, seed=seed)
    saved = pickle.dumps([network.state_dict(), optimizer.state_dict()])
    for seed in range(4, 8):
        step(network, optimizer, seed=seed)
    for order in ((0, 1), (1, 0)):
        parts, states = build(1), pickle.loads(saved)
        for index in order:
            parts[index].load_state_dict(states[index])
        for seed in range(4, 8):
            step(*parts[:2], seed=seed)
        for ours, theirs in zip(network.parameters(), parts[0].parameters(), strict=True):
            assert torch.equal(ours, theirs)
        assert sn.coefficients() == parts[2].coefficients()


def test_another_kind_of_coefficient_does_not_load() -> None:
    network = make()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    state = learnable(network, optimizer).state_dict()
    other = make()
    sn = SpectralNorm(other, torch.optim.SGD(other.parameters(), lr=0.1))
    with pytest.raises(ValueError, match=r"state: expected coefficient 1\.0, got learnable"):
        sn.load_state_dict(state)


def test_a_network_loaded_without_its_state_keeps_its_norms() -> None:
    network, other = make(0), make(1)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(5)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0)
    sn = learnable(network, optimizer)
    network.load_state_dict(other.state_dict())
    step(network, optimizer)
    torch.testing.assert_close(network.state_dict(), other.state_dict())
    for name, gamma in sn.coefficients().items():
        assert gamma.item() == pytest.approx(sigma_of(other.get_submodule(name).weight).item())


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_that_a_scaler_skips_changes_nothing(fused: bool) -> None:
    network = make().float()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2, fused=fused)
    sn = learnable(network, optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)

    def scaled(x: Tensor) -> None:
        optimizer.zero_grad()
        scaler.scale(network(x).square().sum()).backward()
        scaler.step(optimizer)
        scaler.update()

    scaled(torch.ones(2, 4))
    before = copy.deepcopy([network.state_dict(), sn.state_dict()["layers"]])
    scaled(torch.full((2, 4), torch.inf))
    after = [network.state_dict(), sn.state_dict()["layers"]]
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    scaled(torch.ones(2, 4))
    assert not torch.equal(network[0].weight, before[0]["0.weight"])
    assert sn.coefficients()["0"] != before[1]["0"]["gamma"]


@pytest.mark.parametrize("strict", [False, True])
def test_norms_of_maps_are_learned_too(strict: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, 3, padding=1).double()
    before = layer.weight.detach().clone()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.01)
    options = {"kind": "operator", "input_shape": (2, 6, 6), "strict": strict, "iterations": 50}
    sn = learnable(layer, optimizer, **options)
    assert torch.equal(layer.weight, before)
    x = torch.randn(3, 2, 6, 6, dtype=torch.float64)
    for _ in range(3):
        optimizer.zero_grad()
        layer(x).square().mean().backward()
        optimizer.step()
    twin = copy.deepcopy(layer)
    again = learnable(twin, torch.optim.SGD(twin.parameters(), lr=0.01), **options)
    gamma = sn.coefficients()[""].item()
    assert again.coefficients()[""].item() == pytest.approx(gamma, rel=1e-6)
    assert sn.certify()[""] <= gamma


def test_norms_go_with_a_network_to_another_dtype() -> None:
    network = make()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    sn = learnable(network, optimizer, iterations=20)
    network.float()
    optimizer.zero_grad()
    network(batch().float()).sum().backward()
    optimizer.step()
    assert {gamma.dtype for gamma in sn.coefficients().values()} == {torch.float32}
    for name, gamma in sn.coefficients().items():
        sigma = sigma_of(network.get_submodule(name).weight)
        assert sigma.item() == pytest.approx(gamma.item(), rel=1e-2)


def test_zero_weights_stay_zero() -> None:
    layer = nn.Linear(3, 2, bias=False)
    nn.init.zeros_(layer.weight)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    sn = learnable(layer, optimizer)
    assert sn.coefficients()[""].item() == 1
    layer(torch.zeros(1, 3)).sum().backward()
    optimizer.step()
    assert torch.equal(layer.weight, torch.zeros(2, 3))
