"""Saving: the states of network and optimizer are enough, and are loaded in any order."""

import copy
import functools
import io
import itertools
import warnings

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from helpers.critics import assert_identical
from sngan import SpectralNorm

IMAGE = {"kind": "operator", "input_shape": (1, 6, 6)}


def flat(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    layers = [nn.Linear(36, 8), nn.Tanh(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 1)]
    return nn.Sequential(nn.Flatten(), *layers)


def convolutions(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 1))


CASES = {
    "matrix": (flat, {}),
    "operator": (convolutions, IMAGE),
    "strict": (convolutions, {**IMAGE, "strict": True}),
}
OPTIMIZERS = {
    "adam": lambda network: torch.optim.Adam(network.parameters(), lr=1e-2),
    "sgd without state": lambda network: torch.optim.SGD(network.parameters(), lr=0.1),
    "groups": lambda network: torch.optim.AdamW(
        [{"params": [p], "lr": 1e-2} for p in reversed(list(network.parameters()))]
    ),
}


def batches(n: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(8, 1, 6, 6, generator=generator) for _ in range(n)]


def train(network, optimizer, data) -> None:
    for x in data:
        optimizer.zero_grad()
        network(x).square().mean().backward()
        optimizer.step()


def to_bytes(*states) -> bytes:
    file = io.BytesIO()
    torch.save(states, file)
    return file.getvalue()


def from_bytes(saved: bytes):
    return torch.load(io.BytesIO(saved), weights_only=True)


@functools.cache
def saved_and_continued(case: str, kind: str):
    """The state that is saved after 6 steps, and the weights after 6 more steps."""
    make, options = CASES[case]
    network = make(0)
    optimizer = OPTIMIZERS[kind](network)
    sn = SpectralNorm(network, optimizer, **options)
    train(network, optimizer, batches(6))
    saved = to_bytes(network.state_dict(), optimizer.state_dict())
    train(network, optimizer, batches(6))
    return saved, network.state_dict(), sn.state_dict()


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("order", list(itertools.permutations(["network", "optimizer", "wrap"])))
def test_training_goes_on_bit_for_bit_whatever_is_loaded_first(case, kind, order):
    saved, expected, expected_state = saved_and_continued(case, kind)
    network_state, optimizer_state = from_bytes(saved)
    make, options = CASES[case]
    network = make(1)
    optimizer = OPTIMIZERS[kind](network)
    for part in order:
        if part == "network":
            network.load_state_dict(network_state)
        elif part == "optimizer":
            optimizer.load_state_dict(optimizer_state)
        else:
            sn = SpectralNorm(network, optimizer, **options)
    train(network, optimizer, batches(6))
    assert_identical(dict(network.state_dict()), dict(expected))
    assert_identical(sn.state_dict(), expected_state)


@pytest.mark.parametrize("order", list(itertools.permutations(["network", "optimizer", "norm"])))
def test_the_norms_own_state_is_loaded_in_any_order_too(order):
    network = flat(0)
    optimizer = OPTIMIZERS["adam"](network)
    norm = SpectralNorm(network, optimizer)
    train(network, optimizer, batches(6))
    parts = {"network": network, "optimizer": optimizer, "norm": norm}
    (saved,) = from_bytes(to_bytes({key: part.state_dict() for key, part in parts.items()}))
    # a checkpoint of a version that did not save the state with the optimizer's
    for group in saved["optimizer"]["param_groups"]:
        del group["spectral_norm"]
    train(network, optimizer, batches(6))

    other = flat(1)
    other_optimizer = OPTIMIZERS["adam"](other)
    other_norm = SpectralNorm(other, other_optimizer)
    others = {"network": other, "optimizer": other_optimizer, "norm": other_norm}
    for key in order:
        others[key].load_state_dict(saved[key])
    train(other, other_optimizer, batches(6))
    assert_identical(dict(network.state_dict()), dict(other.state_dict()))


class Wrapped(nn.Module):
    """The prefix of DataParallel, DDP and Fabric."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.module(x)


WRAPPERS = {
    "module.": Wrapped,
    "_orig_mod.": lambda network: torch.compile(network, backend="eager"),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_prefixes_of_wrappers_do_not_matter(wrapper):
    saved, expected, _ = saved_and_continued("matrix", "adam")
    network_state, optimizer_state = from_bytes(saved)
    network = flat(1)
    wrapped = WRAPPERS[wrapper](network)
    assert next(iter(wrapped.state_dict())).startswith(wrapper)
    optimizer = OPTIMIZERS["adam"](wrapped)
    SpectralNorm(wrapped, optimizer)
    network.load_state_dict(network_state)
    optimizer.load_state_dict(optimizer_state)
    train(network, optimizer, batches(6))
    assert_identical(dict(network.state_dict()), dict(expected))


def test_distributed_checkpoints_carry_the_state():
    network = flat(0)
    optimizer = OPTIMIZERS["adam"](network)
    SpectralNorm(network, optimizer)
    train(network, optimizer, batches(6))
    states = get_model_state_dict(network), get_optimizer_state_dict(network, optimizer)
    states = copy.deepcopy(states)
    train(network, optimizer, batches(6))
    other = flat(1)
    other_optimizer = OPTIMIZERS["adam"](other)
    SpectralNorm(other, other_optimizer)
    set_model_state_dict(other, states[0])
    # it creates the optimizer's state by a step of size 0
    set_optimizer_state_dict(other, other_optimizer, states[1])
    train(other, other_optimizer, batches(6))
    assert_identical(dict(network.state_dict()), dict(other.state_dict()))


def test_a_network_that_is_normalized_is_not_moved():
    network = flat(0)
    sn = SpectralNorm(network, OPTIMIZERS["adam"](network))
    sn.remove()
    before = copy.deepcopy(network.state_dict())
    sn = SpectralNorm(network, OPTIMIZERS["adam"](network))
    assert_identical(dict(before), dict(network.state_dict()))
    assert [sigma.item() for sigma in sn.sigmas().values()] == pytest.approx([1.0] * 3, rel=1e-6)


def test_state_of_a_plain_optimizer_is_as_ever():
    network = flat(0)
    optimizer = OPTIMIZERS["adam"](network)
    sn = SpectralNorm(network, optimizer)
    train(network, optimizer, batches(2))
    saved = copy.deepcopy(optimizer.state_dict())
    sn.remove()
    assert "spectral_norm" not in optimizer.state_dict()["param_groups"][0]
    # an optimizer without SpectralNorm loads it
    plain = flat(0)
    plain_optimizer = OPTIMIZERS["adam"](plain)
    plain_optimizer.load_state_dict(saved)
    train(plain, plain_optimizer, batches(2))


def test_a_frozen_weight_and_one_that_never_had_a_gradient_are_saved():
    network = flat(0)
    network[1].requires_grad_(False)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    sn = SpectralNorm(network, optimizer)
    network[5](torch.ones(2, 6)).sum().backward()
    optimizer.step()
    assert list(sn.state_dict()["layers"]) == ["1", "3", "5"]
    saved = copy.deepcopy((network.state_dict(), optimizer.state_dict()))
    other = flat(1)
    other[1].requires_grad_(False)
    other.load_state_dict(saved[0])
    other_optimizer = torch.optim.Adam(other.parameters(), lr=1e-2)
    other_sn = SpectralNorm(other, other_optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other_optimizer.load_state_dict(saved[1])
    assert_identical(sn.state_dict(), other_sn.state_dict())
    assert_identical(dict(network.state_dict()), dict(other.state_dict()))


@pytest.mark.parametrize("change", ["coefficient", "shape"])
def test_foreign_state_of_an_optimizer_is_refused(change):
    network = flat(0)
    optimizer = OPTIMIZERS["adam"](network)
    SpectralNorm(network, optimizer)
    saved = copy.deepcopy(optimizer.state_dict())
    entry = saved["param_groups"][0]["spectral_norm"]["0"][0]
    entry[{"coefficient": "coefficient", "shape": "u"}[change]] = (
        2.0 if change == "coefficient" else torch.ones(3)
    )
    with pytest.raises(ValueError, match=r"expected .*, got"):
        optimizer.load_state_dict(saved)
