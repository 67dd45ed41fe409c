"""Optimizers that wrap other ones, that move weights themselves, or that share a network."""

import copy

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from helpers.critics import top_singular_value
from helpers.optimizers import Accelerated, Lookahead, Muon, Sam, ScheduleFree
from sngan import SpectralNorm

X = torch.randn(64, 5, generator=torch.Generator().manual_seed(1))
Y = torch.sin(X.sum(1, keepdim=True)) / 2


def make() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1))


def loss_of(network: nn.Module) -> torch.Tensor:
    return (network(X) - Y).square().mean()


def backward(network: nn.Module) -> torch.Tensor:
    network.zero_grad()
    loss = loss_of(network)
    loss.backward()
    return loss


def assert_normalized(network: nn.Module, rel: float = 0.03) -> None:
    norms = [top_singular_value(layer) for layer in network if isinstance(layer, nn.Linear)]
    assert norms == pytest.approx([1.0, 1.0], rel=rel)


def sgd(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)


def plainly_trained() -> nn.Module:
    network = make()
    optimizer = sgd(network)
    SpectralNorm(network, optimizer)
    for _ in range(60):
        backward(network)
        optimizer.step()
    return network


@pytest.mark.parametrize("form", ["first_step and second_step", "step(closure)"])
def test_sharpness_aware_minimization_acts_on_the_normalized_weights(form):
    """By hand: the base optimizer and SpectralNorm step with the gradient at W̄ + e."""
    network = make()
    optimizer = Sam(network.parameters(), torch.optim.SGD, lr=0.1, momentum=0.9)
    SpectralNorm(network, optimizer)
    twin = make()
    twin_optimizer = sgd(twin)
    SpectralNorm(twin, twin_optimizer)
    start = loss_of(network).item()
    for _ in range(60):
        backward(network)
        if form == "step(closure)":
            optimizer.step(lambda: backward(network))
        else:
            optimizer.first_step()
            backward(network)
            optimizer.second_step()
        backward(twin)
        gradients = {n: p.grad.clone() for n, p in twin.named_parameters()}
        size = torch.stack([g.norm() for g in gradients.values()]).norm()
        near = {n: p.detach() + 0.05 * gradients[n] / size for n, p in twin.named_parameters()}
        near = {n: p.requires_grad_() for n, p in near.items()}
        value = (torch.func.functional_call(twin, near, (X,)) - Y).square().mean()
        for parameter, gradient in zip(
            twin.parameters(), torch.autograd.grad(value, list(near.values())), strict=True
        ):
            parameter.grad = gradient
        twin_optimizer.step()
    for ours, theirs in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert loss_of(network).item() < 0.7 * start
    assert_normalized(network)


def test_lookahead_keeps_the_norms_and_learns():
    network = make()
    optimizer = Lookahead(sgd(network))
    SpectralNorm(network, optimizer)
    start = loss_of(network).item()
    for _ in range(61):
        backward(network)
        optimizer.step()
    assert_normalized(network)
    assert loss_of(network).item() < 0.7 * start


def test_schedule_free_optimizers_are_refused_before_anything_is_touched():
    network = make()
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(ValueError, match=r"ScheduleFree, whose train\(\) and eval\(\) move them"):
        SpectralNorm(network, ScheduleFree(network.parameters()))
    torch.testing.assert_close(dict(before), dict(network.state_dict()), rtol=0, atol=0)


class Opaque(torch.optim.Optimizer):
    """Wraps an optimizer under an unknown attribute."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.hidden = optimizer
        self.param_groups = optimizer.param_groups

    def step(self, closure=None):
        return self.hidden.step(closure)


def test_a_wrapper_that_hides_its_optimizer_is_refused_before_anything_is_touched():
    network = make()
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(ValueError, match="Opaque, which wraps another one"):
        SpectralNorm(network, Opaque(sgd(network)))
    torch.testing.assert_close(dict(before), dict(network.state_dict()), rtol=0, atol=0)


@pytest.mark.parametrize("wrapper", [Accelerated, Fabric(accelerator="cpu").setup_optimizers])
def test_wrappers_that_pass_steps_on_train_as_their_optimizer(wrapper):
    network = make()
    optimizer = wrapper(sgd(network))
    SpectralNorm(network, optimizer)
    for _ in range(60):
        backward(network)
        optimizer.step()
    assert torch.equal(network[0].weight, plainly_trained()[0].weight)
    assert "spectral_norm" in optimizer.state_dict()["param_groups"][0]


def test_muon_for_matrices_beside_adamw_for_the_rest():
    network = make()
    matrices = [p for p in network.parameters() if p.dim() > 1]
    rest = [p for p in network.parameters() if p.dim() < 2]
    optimizers = [Muon(matrices), torch.optim.AdamW(rest, lr=1e-2)]
    sn = SpectralNorm(network, optimizers, iterations=20)
    start = loss_of(network).item()
    for _ in range(60):
        backward(network)
        for optimizer in optimizers:
            optimizer.step()
    assert_normalized(network, rel=1e-3)
    assert loss_of(network).item() < 0.7 * start
    states = copy.deepcopy([network.state_dict(), *(o.state_dict() for o in optimizers)])
    assert "spectral_norm" in states[1]["param_groups"][0]
    assert "spectral_norm" not in states[2]["param_groups"][0]
    assert set(sn.sigmas()) == {"0", "2"}


def test_two_optimizers_that_share_the_matrices_train_as_one():
    network = make()
    optimizers = [torch.optim.SGD(part.parameters(), lr=0.1, momentum=0.9) for part in network[::2]]
    SpectralNorm(network, optimizers)
    for _ in range(60):
        backward(network)
        for optimizer in optimizers:
            optimizer.step()
    assert torch.equal(network[0].weight, plainly_trained()[0].weight)


def test_a_weight_that_no_optimizer_of_several_holds_is_named():
    network = make()
    optimizers = [sgd(network[0]), torch.optim.SGD([network[2].bias], lr=0.1)]
    with pytest.raises(ValueError, match=r"got no parameter 2\.weight"):
        SpectralNorm(network, optimizers)
    with pytest.raises(ValueError, match="one optimizer or several, got none"):
        SpectralNorm(network, [])


class Composed(torch.optim.SGD):
    """A step that calls the step of its parent class, which has hooks of its own in torch."""

    def step(self, closure=None):
        return super().step(closure)


def test_a_step_inside_a_step_is_one_change_of_coordinates():
    network = make()
    sgd(network)  # torch adds hooks to SGD.step when the first SGD is made
    optimizer = Composed(network.parameters(), lr=0.1, momentum=0.9)
    SpectralNorm(network, optimizer)
    for _ in range(60):
        backward(network)
        optimizer.step()
    assert torch.equal(network[0].weight, plainly_trained()[0].weight)
