"""Networks that are changed between steps: layers replaced or moved, weights written across u."""

import copy
import gc

import pytest
import torch
from torch import nn

import sngan
from helpers.critics import top_singular_value
from sngan import SpectralNorm

OPTIONS = [{}, {"strict": True}, {"bound": "at_most"}, {"coefficient": {"0": 2.0}}]


def make(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 1))


def train(network, optimizer, steps: int = 5) -> None:
    for step in range(steps):
        optimizer.zero_grad()
        network(torch.linspace(-1, 1, 80).view(16, 5) + step / 10).square().mean().backward()
        optimizer.step()


def norms(network) -> list[float]:
    return [top_singular_value(layer) for layer in network if isinstance(layer, nn.Linear)]


class Wrapped(nn.Module):
    """A layer inside another one, as adapters put it."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)


@pytest.mark.usefixtures("quick_collection")
@pytest.mark.parametrize("index", [0, 2, 4])
@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("steps_with", ["a new group", "a new optimizer"])
def test_a_layer_in_place_of_another_is_an_error(index, is_kept, steps_with):
    network = make()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    sn = SpectralNorm(network, optimizer)
    train(network, optimizer)
    kept = network[index] if is_kept else None
    network[index] = nn.Linear(*reversed(network[index].weight.shape))
    gc.collect()
    if steps_with == "a new group":
        optimizer.add_param_group({"params": list(network[index].parameters())})
    else:
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    found = copy.deepcopy(network.state_dict())
    for use in (lambda: train(network, optimizer, 1), sn.sigmas, sn.singular_values):
        with pytest.raises(RuntimeError, match=rf"layer '{index}' .* another Linear in its place"):
            use()
    torch.testing.assert_close(network.state_dict(), found, rtol=0, atol=0)
    sn.remove()
    SpectralNorm(network, optimizer)
    train(network, optimizer)
    assert norms(network) == pytest.approx([1.0] * 3, rel=0.05)
    del kept


def wrap(network):
    network[2] = Wrapped(network[2])


def insert(network):
    network.insert(0, nn.Tanh())


def exchange_activation(network):
    network[1] = nn.ReLU()


def drop_the_head(network):
    network[4] = nn.Identity()


def delete_the_head(network):
    del network[4]


@pytest.mark.parametrize(
    "change", [wrap, insert, exchange_activation, drop_the_head, delete_the_head]
)
def test_layers_that_move_or_go_do_not_end_the_normalization(change):
    network = make()
    layers = [layer for layer in network if isinstance(layer, nn.Linear)]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    sn = SpectralNorm(network, optimizer)
    change(network)
    train(network, optimizer)
    assert norms(layers) == pytest.approx([1.0] * 3, rel=0.05)
    assert list(sn.sigmas()) == ["0", "2", "4"]
    rows = repr(sn).splitlines()[2:5]
    assert [row.split()[:2] for row in rows] == [[name, "Linear"] for name in sn.sigmas()]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("factor", [10.0, 1000.0])
def test_a_weight_written_across_the_leading_vector_is_a_new_one(options, factor):
    network = make()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    sn = SpectralNorm(network, optimizer, **options)
    train(network, optimizer)
    weight, (bound, *_) = network[0].weight, norms(network)
    left, values, right = torch.linalg.svd(weight.detach(), full_matrices=False)
    more = factor * values[0] - values[1]
    with torch.no_grad():
        weight.add_(more * torch.outer(left[:, 1], right[1]))
    assert sn.sigmas()["0"].item() == pytest.approx(factor * bound, rel=1e-4)
    train(network, optimizer, 1)
    limit = 2.0 if options.get("coefficient") else 1.0
    assert norms(network)[0] == pytest.approx(limit, rel=1e-3)


@pytest.mark.parametrize("row", range(8))
def test_a_dead_unit_that_gets_new_weights_is_normalized_by_the_next_step(row):
    network = make()
    with torch.no_grad():
        network[0].weight[row] = 0
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    sn = SpectralNorm(network, optimizer)
    with torch.no_grad():
        network[0].weight[row] = torch.randn(5) * 3
    true = top_singular_value(network[0])
    assert sn.sigmas()["0"].item() == pytest.approx(true, rel=1e-5)
    train(network, optimizer, 1)
    assert norms(network)[0] == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("options", [*OPTIONS, {"coefficient": "learnable"}])
def test_a_default_device_changes_nothing(options):
    trained = []
    # no number can be read from the meta device, so each use of it raises an error
    for device in ("cpu", "meta"):
        network = make()
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
        inputs = torch.linspace(-1, 1, 80).view(16, 5)
        torch.set_default_device(device)
        try:
            sn = SpectralNorm(network, optimizer, **options)
            network(inputs).square().mean().backward()
            optimizer.step()
            with torch.no_grad():
                network[0].weight.mul_(3)
            sn.load_state_dict(sn.state_dict())
            optimizer.step()
        finally:
            torch.set_default_device(None)
        trained.append(network.state_dict())
    torch.testing.assert_close(*trained, rtol=0, atol=0)


@pytest.mark.parametrize("method", ["estimate", "exact", "gram", "upper_bound"])
@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_a_default_device_does_not_change_a_norm(method, mode):
    layer = nn.Conv2d(2, 3, 3, padding=1, stride=2, padding_mode=mode)
    expected = sngan.operator_norm(layer, (2, 8, 8), method=method)
    torch.set_default_device("meta")
    try:
        found = sngan.operator_norm(layer, (2, 8, 8), method=method)
    finally:
        torch.set_default_device(None)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_an_optimizer_can_be_made_again_from_its_defaults():
    network = make()
    optimizer = torch.optim.Adagrad(network[:3].parameters(), lr=1e-2)
    SpectralNorm(network[:3], optimizer)
    type(optimizer)(network.parameters(), **optimizer.defaults)
    optimizer.add_param_group({"params": list(network[4].parameters())})
    assert set(optimizer.param_groups[1]) == {"params", *optimizer.defaults}
    fresh = torch.optim.Adagrad(network.parameters(), lr=1e-2)
    assert set(optimizer.param_groups[1]) == set(fresh.param_groups[0])


def test_a_copy_is_noticed_after_one_of_two_normalizations_was_removed():
    networks = nn.ModuleList([make(0), make(1)])
    optimizer = torch.optim.SGD(networks.parameters(), lr=0.1)
    first, second = (SpectralNorm(network, optimizer) for network in networks)
    first.remove()
    twins, twin_optimizer = copy.deepcopy((networks, optimizer))
    with pytest.raises(RuntimeError, match="for the copied network"):
        train(twins[1], twin_optimizer)
    second.remove()
    twins, twin_optimizer = copy.deepcopy((networks, optimizer))
    train(twins[1], twin_optimizer)


def test_an_optimizer_goes_on_without_the_weights_that_were_normalized():
    generator, critic = make(0), make(1)
    groups = [{"params": list(network.parameters())} for network in (generator, critic)]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    sn = SpectralNorm(critic, optimizer)
    train(critic, optimizer)
    optimizer.param_groups.pop()
    before = generator[0].weight.detach().clone()
    train(generator, optimizer)
    assert not torch.equal(before, generator[0].weight)
    del sn


@pytest.mark.parametrize("sizes", [(3, 0), (0, 3)])
@pytest.mark.parametrize("options", [{}, {"bound": "at_most"}, {"coefficient": "learnable"}])
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_a_layer_without_entries_stays_one(sizes, options):
    network = nn.ModuleList([nn.Linear(*sizes), nn.Linear(3, 2)])
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    sn = SpectralNorm(network, optimizer, **options)
    for _ in range(3):
        for layer in network:
            layer(torch.ones(4, layer.in_features)).sum().backward()
        optimizer.step()
    assert all(sigma.isfinite() for sigma in sn.sigmas().values())
    limit = torch.as_tensor(sn.coefficients()["1"]).item()
    assert top_singular_value(network[1]) <= 1.1 * limit


def test_weights_of_inference_mode_are_refused():
    with torch.inference_mode():
        network = make()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    with pytest.raises(
        ValueError, match=r"module: expected weights made outside .*, got '0.weight'"
    ):
        SpectralNorm(network, optimizer)
