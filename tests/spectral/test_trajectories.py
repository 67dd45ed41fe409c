"""Trajectories of SpectralNorm against torch's parametrization and finite differences."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm as torch_spectral_norm

from helpers.critics import NORMED, make_critic, make_inputs, top_singular_value
from sngan import SpectralNorm


class Reference:
    """Torch's parametrization, with its power iteration run once after each optimizer step."""

    def __init__(self, critic: nn.Module, sn: SpectralNorm) -> None:
        self.critic = copy.deepcopy(critic)
        state = sn.state_dict()["layers"]
        self.lists = {}
        for name in state:
            layer = torch_spectral_norm(self.critic.get_submodule(name))
            parametrization = layer.parametrizations.weight
            with torch.no_grad():
                parametrization.original.mul_(state[name]["scale"])
                norm = parametrization[0]
                matrix = norm._reshape_weight_to_matrix(parametrization.original)
                norm._u.copy_(state[name]["u"])
                norm._v.copy_(nn.functional.normalize(matrix.t().mv(norm._u), dim=0))
            self.lists[name] = parametrization
        self.critic.eval()

    def iterate(self) -> None:
        for parametrization in self.lists.values():
            norm = parametrization[0]
            matrix = norm._reshape_weight_to_matrix(parametrization.original)
            norm._power_method(matrix, norm.n_power_iterations)

    def weight(self, name: str) -> torch.Tensor:
        return self.critic.get_submodule(name).weight


OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, lr=1e-2, betas=(0.0, 0.9)),
    "adam-fused": lambda p: torch.optim.Adam(p, lr=1e-2, fused=True),
    "adam-foreach": lambda p: torch.optim.Adam(p, lr=1e-2, foreach=True, weight_decay=0.1),
    "sgd-momentum": lambda p: torch.optim.SGD(p, lr=1e-1, momentum=0.9),
    "sgd-decay": lambda p: torch.optim.SGD(p, lr=1e-1, weight_decay=0.3),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=1e-2),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.2),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_trajectory_equals_torchs_parametrization(name):
    critic = make_critic()
    optimizer = OPTIMIZERS[name](critic.parameters())
    sn = SpectralNorm(critic, optimizer)
    assert sorted(sn.sigmas()) == sorted(NORMED)
    reference = Reference(critic, sn)
    reference_optimizer = OPTIMIZERS[name](reference.critic.parameters())
    start = critic.head.weight.clone()
    for x in make_inputs(20):
        for module, stepper in ((critic, optimizer), (reference.critic, reference_optimizer)):
            stepper.zero_grad()
            (module(x).tanh().sum() - module(-x).square().mean()).backward()
            stepper.step()
        reference.iterate()
        for layer in NORMED:
            ours, theirs = critic.get_submodule(layer).weight, reference.weight(layer)
            assert (ours - theirs).abs().max() < 1e-12, layer
    assert (critic.head.weight - start).abs().max() > 1e-2


def test_gradient_penalty_trajectory_equals_torchs_parametrization():
    critic = make_critic()
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
    sn = SpectralNorm(critic, optimizer)
    reference = Reference(critic, sn)
    reference_optimizer = torch.optim.Adam(reference.critic.parameters(), lr=1e-2)
    for x in make_inputs(5):
        for module, stepper in ((critic, optimizer), (reference.critic, reference_optimizer)):
            point = x.clone().requires_grad_()
            (slope,) = torch.autograd.grad(module(point).sum(), point, create_graph=True)
            stepper.zero_grad()
            (module(x).mean() + (slope.flatten(1).norm(dim=1) - 1).square().mean()).backward()
            stepper.step()
        reference.iterate()
        for layer in NORMED:
            difference = critic.get_submodule(layer).weight - reference.weight(layer)
            assert difference.abs().max() < 1e-12


def test_mapped_gradient_equals_finite_differences():
    """500 iterations make σ exact, so that L(cW/σ(W)) has finite differences to compare with."""
    torch.manual_seed(3)
    layer = nn.Conv2d(3, 4, 3).double()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.0)
    sn = SpectralNorm(layer, optimizer, coefficient=0.7, iterations=500)
    optimizer.zero_grad()
    layer(torch.ones(1, 3, 3, 3).double()).sum().backward()
    optimizer.step()
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64)

    def loss(raw: torch.Tensor) -> torch.Tensor:
        sigma = torch.linalg.svdvals(raw.flatten(1))[0]
        return nn.functional.conv2d(x, 0.7 * raw / sigma, layer.bias).square().sum()

    raw = (layer.weight * sn.sigmas()[""] / 0.7).detach()
    optimizer.zero_grad()
    layer(x).square().sum().backward()
    optimizer.step()
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        direction = torch.randn(raw.shape, generator=generator, dtype=torch.float64)
        numeric = (loss(raw + 1e-6 * direction) - loss(raw - 1e-6 * direction)) / 2e-6
        assert (layer.weight.grad * direction).sum().item() == pytest.approx(
            numeric.item(), rel=1e-6, abs=1e-8
        )
    assert layer.weight.grad.abs().max() > 1e-2


def test_sigma_converges_to_the_dense_svd():
    critic = make_critic()
    raw_norms = {name: top_singular_value(critic.get_submodule(name)) for name in NORMED}
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.0)
    sn = SpectralNorm(critic, optimizer)
    for x in make_inputs(300, batch=2):
        optimizer.zero_grad()
        critic(x).sum().backward()
        optimizer.step()
    for name, sigma in sn.sigmas().items():
        assert sigma.item() == pytest.approx(raw_norms[name], rel=1e-6), name


def test_channels_last_and_contiguous_weights_train_alike():
    torch.manual_seed(0)
    plain = nn.Conv2d(4, 6, 3).double()
    striped = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64)
    weights = []
    for layer in (plain, striped):
        optimizer = torch.optim.Adam(layer.parameters(), lr=1e-2)
        torch.manual_seed(1)
        SpectralNorm(layer, optimizer)
        for _ in range(5):
            optimizer.zero_grad()
            layer(x).square().sum().backward()
            optimizer.step()
        weights.append(layer.weight.detach())
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=1e-12)


def test_two_backwards_accumulate_like_one():
    results = []
    for parts in ((slice(0, 8),), (slice(0, 3), slice(3, 8))):
        critic = make_critic()
        optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
        torch.manual_seed(2)
        SpectralNorm(critic, optimizer)
        x = make_inputs(1, batch=8)[0]
        for part in parts:
            critic(x[part]).sum().backward()
        optimizer.step()
        results.append(critic.head.weight.detach())
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=1e-13)


def test_clipping_before_the_step_acts_on_the_normalized_weights_gradient():
    critic = make_critic()
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
    SpectralNorm(critic, optimizer)
    critic(make_inputs(1)[0]).sum().backward()
    nn.utils.clip_grad_norm_(critic.parameters(), 0.0)
    weights = [p.clone() for p in critic.parameters()]
    optimizer.zero_grad(set_to_none=False)
    optimizer.step()
    for weight, parameter in zip(weights, critic.parameters(), strict=True):
        torch.testing.assert_close(weight, parameter, rtol=0, atol=0.2)


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiled_critic_sees_the_normalized_weights(backend):
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    twin = copy.deepcopy(critic)
    compiled = torch.compile(critic, backend=backend)
    for module, forward in ((critic, compiled), (twin, twin)):
        optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
        torch.manual_seed(1)
        SpectralNorm(module, optimizer)
        for x in torch.linspace(-1, 1, 80).view(10, 2, 4):
            optimizer.zero_grad()
            forward(x).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(critic[0].weight, twin[0].weight, rtol=1e-5, atol=1e-6)
