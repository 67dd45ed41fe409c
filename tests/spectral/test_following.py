"""Normalization never ends in silence: a change is followed, or one clear line refuses it."""

import copy
import gc
import pickle
import weakref

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils import prune as pruning

from helpers.critics import top_singular_value
from helpers.optimizers import failing_step
from sngan import SpectralNorm

X = torch.linspace(-1, 1, 80).view(16, 5)


def make(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1))


def adam(network: nn.Module, lr: float = 1e-2) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), lr=lr)


def train(network, optimizer, steps: int = 20) -> None:
    for step in range(steps):
        optimizer.zero_grad()
        x = X.to(network[0].weight) + step / 10
        network(x).square().mean().backward()
        optimizer.step()


def norms(network) -> list[float]:
    return [top_singular_value(layer) for layer in network if isinstance(layer, nn.Linear)]


def assert_normalized(network, rel: float = 0.02) -> None:
    assert norms(network) == pytest.approx([1.0, 1.0], rel=rel)


@pytest.mark.usefixtures("quick_collection")
@pytest.mark.parametrize("keep", ["all", "nothing"])
def test_a_new_optimizer_for_the_same_network_is_followed(keep):
    network = make()
    optimizer = adam(network)
    sn = SpectralNorm(network, optimizer)
    train(network, optimizer)
    kept = (sn, optimizer) if keep == "all" else ()
    del sn, optimizer
    gc.collect()
    second = torch.optim.SGD(network.parameters(), lr=0.5)
    train(network, second)
    assert_normalized(network)
    if kept:
        raw = [network[0].weight * kept[0].sigmas()["0"], network[2].weight * kept[0].sigmas()["2"]]
        for weight, sigma in zip(raw, kept[0].sigmas().values(), strict=True):
            assert torch.linalg.svdvals(weight)[0].item() == pytest.approx(sigma.item(), rel=0.02)
    assert "spectral_norm" in second.state_dict()["param_groups"][0]


def test_a_new_optimizer_trains_as_the_first_one_would():
    trained = []
    for is_new in (False, True):
        network = make()
        first = torch.optim.SGD(network.parameters(), lr=0.1)
        SpectralNorm(network, first)
        train(network, first)
        train(network, torch.optim.SGD(network.parameters(), lr=0.1) if is_new else first)
        trained.append(network[0].weight.detach())
    assert torch.equal(*trained)


def test_an_optimizer_that_cannot_be_followed_is_refused_at_its_first_step():
    network = make()
    SpectralNorm(network, adam(network))
    before = copy.deepcopy(network.state_dict())
    other = torch.optim.LBFGS(network.parameters())

    def closure():
        loss = network(X).square().mean()
        loss.backward()
        return loss

    with pytest.raises(ValueError, match="LBFGS, which evaluates its closure several times"):
        other.step(closure)
    torch.testing.assert_close(dict(before), dict(network.state_dict()), rtol=0, atol=0)


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda pair: pickle.loads(pickle.dumps(pair)),
}


@pytest.mark.parametrize("kind", COPIES)
def test_a_copied_optimizer_says_what_to_do_and_goes_on_after_it(kind):
    network = make()
    optimizer = adam(network)
    sn = SpectralNorm(network, optimizer)
    train(network, optimizer)
    twin, twin_optimizer = COPIES[kind]((network, optimizer))
    with pytest.raises(RuntimeError, match=r"SpectralNorm\(module, optimizer\) for the copied"):
        train(twin, twin_optimizer, 1)
    twin_sn = SpectralNorm(twin, twin_optimizer)
    twin_sn.load_state_dict(sn.state_dict())
    train(network, optimizer)
    train(twin, twin_optimizer)
    assert torch.equal(network[0].weight, twin[0].weight)


def test_a_copied_network_is_an_ordinary_one():
    network = make()
    optimizer = adam(network)
    SpectralNorm(network, optimizer)
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert torch.equal(twin(X), network(X))
        train(twin, torch.optim.SGD(twin.parameters(), lr=0.1), 1)


def assign(network):
    network.load_state_dict(copy.deepcopy(network.state_dict()), assign=True)


def replace_parameter(network):
    network[2].weight = nn.Parameter(network[2].weight.detach().clone())


def replace_by_parametrization(network):
    parametrize.register_parametrization(network[0], "weight", nn.Identity())
    with torch.no_grad():
        network[0].parametrizations.weight.original = nn.Parameter(torch.ones(8, 5))


def prune(network):
    pruning.l1_unstructured(network[0], "weight", 0.5)


@pytest.mark.parametrize("change", [assign, replace_parameter, replace_by_parametrization, prune])
@pytest.mark.parametrize("optimizer", ["the first", "a new"])
def test_a_parameter_in_place_of_another_is_an_error(change, optimizer):
    network = make()
    first = adam(network)
    sn = SpectralNorm(network, first)
    train(network, first, 3)
    change(network)
    with pytest.raises(RuntimeError, match=r"module: expected the weight of '\d' .* got another"):
        sn.sigmas()
    stepping = first if optimizer == "the first" else adam(network)
    network[2].weight.grad = torch.ones(1, 8)
    with pytest.raises(RuntimeError, match=r"make the optimizer and SpectralNorm again"):
        train(network, stepping, 1)
    # other networks can still train
    train(other := make(1), adam(other), 1)


def test_after_an_assignment_both_are_made_again():
    network = make()
    first = adam(network)
    sn = SpectralNorm(network, first)
    assign(network)
    sn.remove()
    second = adam(network)
    SpectralNorm(network, second)
    train(network, second)
    assert_normalized(network)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_network_that_is_cast_is_followed(dtype):
    network = make().to(torch.float32 if dtype == torch.float64 else torch.float64)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    sn = SpectralNorm(network, optimizer)
    train(network, optimizer)
    before = {name: sigma.item() for name, sigma in sn.sigmas().items()}
    network.to(dtype)
    assert {n: s.item() for n, s in sn.sigmas().items()} == pytest.approx(before, rel=1e-6)
    train(network, optimizer)
    assert_normalized(network)
    assert next(iter(sn.sigmas().values())).dtype == dtype


@pytest.mark.parametrize("cast", [lambda net: net[0].double(), lambda net: net.bfloat16()])
def test_a_cast_that_cannot_be_followed_is_one_clear_line(cast):
    network = make()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    sn = SpectralNorm(network, optimizer)
    cast(network)
    with pytest.raises(ValueError, match=r"module: expected weights that move .*, got torch\."):
        sn.sigmas()
    network[0].weight.grad = torch.zeros_like(network[0].weight)
    with pytest.raises(ValueError, match="module: expected weights that move"):
        optimizer.step()


@pytest.mark.usefixtures("quick_collection")
def test_a_container_that_is_gone_does_not_end_the_normalization():
    layers = [nn.Linear(5, 8), nn.Linear(8, 1)]
    network = nn.Sequential(layers[0], nn.Tanh(), layers[1])
    optimizer = adam(network)
    SpectralNorm(nn.ModuleList(layers), optimizer)
    gc.collect()
    train(network, optimizer)
    assert_normalized(network)


@pytest.mark.usefixtures("quick_collection")
def test_networks_and_optimizers_are_freed():
    network = make()
    optimizer = adam(network)
    sn = SpectralNorm(network, optimizer)
    train(network, optimizer, 1)
    gone = [weakref.ref(network), weakref.ref(network[0]), weakref.ref(optimizer)]
    weight = weakref.ref(network[0].weight)
    del network, optimizer, sn
    gc.collect()
    assert [one() for one in (*gone, weight)] == [None] * 4


@pytest.mark.parametrize("error", [MemoryError(), KeyboardInterrupt()])
@pytest.mark.parametrize("scheduler", ["before", "after", None])
def test_a_step_that_fails_leaves_normalized_weights(error, scheduler):
    with failing_step(torch.optim.Adam, error) as kind:
        network = make()
        optimizer = kind(network.parameters(), lr=0.1)
        if scheduler == "before":
            torch.optim.lr_scheduler.StepLR(optimizer, 1)
        sn = SpectralNorm(network, optimizer, iterations=50)
        if scheduler == "after":
            torch.optim.lr_scheduler.StepLR(optimizer, 1)
        for _ in range(3):
            with pytest.raises(type(error)):
                train(network, optimizer, 1)
            assert_normalized(network, rel=1e-4)
    train(network, optimizer)
    assert_normalized(network)
    raw = network[0].weight * sn.sigmas()["0"]
    sigma = torch.linalg.svdvals(raw)[0].item()
    assert sn.sigmas()["0"].item() == pytest.approx(sigma, rel=1e-4)


def test_an_error_in_a_closure_leaves_everything_as_it_was():
    network = make()
    optimizer = adam(network)
    sn = SpectralNorm(network, optimizer)
    before = copy.deepcopy((network.state_dict(), sn.state_dict()))

    def closure():
        raise MemoryError

    with pytest.raises(MemoryError):
        optimizer.step(closure)
    torch.testing.assert_close(before, (network.state_dict(), sn.state_dict()), rtol=0, atol=0)
    train(network, optimizer)
    assert_normalized(network)
