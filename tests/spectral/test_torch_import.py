"""Import of torch's spectral norm: hooks and parametrizations, any dimension, all or nothing."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import orthogonal, weight_norm
from torch.nn.utils.parametrizations import spectral_norm as parametrization
from torch.nn.utils.spectral_norm import spectral_norm as hook

from sngan import SpectralNorm

Wrap = Callable[..., nn.Module]
BOTH = pytest.mark.parametrize("wrap", [hook, parametrization], ids=["hook", "parametrization"])


@dataclass(frozen=True)
class Case:
    """A layer, its input, and the options of torch's spectral_norm."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    name: str = "weight"
    dim: int | None = None


CASES = {
    "linear": Case(lambda: nn.Linear(5, 3), (4, 5)),
    "linear by columns": Case(lambda: nn.Linear(5, 3), (4, 5), dim=1),
    "linear from the end": Case(lambda: nn.Linear(5, 3), (4, 5), dim=-1),
    **{
        f"conv {dim}": Case(lambda: nn.Conv2d(2, 3, (3, 2)), (4, 2, 5, 5), dim=dim)
        for dim in range(4)
    },
    "transposed": Case(lambda: nn.ConvTranspose1d(2, 3, 3), (4, 2, 5)),
    "transposed by rows": Case(lambda: nn.ConvTranspose1d(2, 3, 3), (4, 2, 5), dim=0),
    "bilinear": Case(lambda: nn.Bilinear(4, 4, 3), (2, 4, 4), dim=2),
    "layer norm": Case(lambda: nn.LayerNorm(5), (4, 5)),
    "bias": Case(lambda: nn.Linear(5, 3), (4, 5), name="bias"),
    "slopes": Case(lambda: nn.PReLU(5), (4, 5)),
    "recurrent": Case(lambda: nn.LSTM(5, 3), (4, 6, 5), name="weight_hh_l0"),
    "attention": Case(lambda: nn.MultiheadAttention(4, 2), (3, 6, 4), name="in_proj_weight"),
}


def run(layer: nn.Module, x: Tensor) -> Tensor:
    count = 3 if isinstance(layer, nn.MultiheadAttention) else 1
    output = layer(*x) if isinstance(layer, nn.Bilinear) else layer(*[x] * count)
    return output[0] if isinstance(output, tuple) else output


def wrapped(case: Case, wrap: Wrap) -> nn.Module:
    torch.manual_seed(2)
    layer = case.make().double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    wrap(layer, case.name, dim=case.dim)
    for _ in range(3):
        # a new weight, and vectors that torch updates for it
        with torch.no_grad():
            run(layer.train(), torch.randn(case.shape, dtype=torch.float64))
    return layer.eval()


def matrix_of(weight: Tensor, dim: int) -> Tensor:
    return weight[None] if weight.dim() == 1 else weight.movedim(dim, 0).flatten(1)


# torch's hook takes no negative dimension
FORMS = [(n, w) for n in CASES for w in (hook, parametrization) if w is not hook or "end" not in n]


@pytest.mark.parametrize(("name", "wrap"), FORMS)
def test_the_network_stays_and_its_norm_is_followed(name: str, wrap: Wrap) -> None:
    case = CASES[name]
    layer = wrapped(case, wrap)
    x = torch.randn(case.shape, dtype=torch.float64)
    before = run(layer, x).detach()
    parameters = set(map(id, layer.parameters()))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    sn = SpectralNorm.from_parametrized(layer, optimizer, iterations=300)
    torch.testing.assert_close(run(layer, x), before, rtol=0, atol=1e-12)
    plain = case.make()
    assert type(layer) is type(plain)
    assert set(layer.state_dict()) == set(plain.state_dict())
    assert set(map(id, layer.parameters())) == parameters
    assert not layer._forward_pre_hooks
    for _ in range(2):
        optimizer.zero_grad()
        run(layer, x).sin().sum().backward()
        optimizer.step()
    dim = case.dim if case.dim is not None else int(isinstance(layer, nn.ConvTranspose1d))
    top = torch.linalg.svdvals(matrix_of(layer.get_parameter(case.name), dim))[0]
    assert top.item() == pytest.approx(1.0, rel=1e-6)
    assert list(sn.sigmas()) == ["" if case.name == "weight" else case.name]
    assert not torch.equal(run(layer, x), before)


@BOTH
def test_vectors_of_one_dimension_train_as_in_torch(wrap: Wrap) -> None:
    """Their norm is exact in torch too, so the trajectories are equal."""
    layer = wrapped(CASES["bias"], wrap)
    twin = copy.deepcopy(layer)
    inputs = torch.randn(4, 4, 5, dtype=torch.float64)
    optimizers = [torch.optim.Adam(one.parameters(), lr=0.1) for one in (layer, twin)]
    SpectralNorm.from_parametrized(layer, optimizers[0])
    for x in inputs:
        for one, optimizer in zip((layer, twin), optimizers, strict=True):
            optimizer.zero_grad()
            run(one.train(), x).sin().sum().backward()
            optimizer.step()
    twin(inputs[0])
    torch.testing.assert_close(layer.bias, twin.bias, rtol=0, atol=1e-12)


def mixed() -> nn.Sequential:
    """Layers with both of torch's forms, one without, and one with another parametrization."""
    torch.manual_seed(3)
    layers = [nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 2)]
    hook(layers[0])
    parametrization(layers[1])
    parametrization(hook(layers[2]), "bias")
    weight_norm(layers[3])
    network = nn.Sequential(*layers).double()
    network(torch.randn(3, 4, dtype=torch.float64))
    return network.eval()


def test_mixed_networks_keep_what_is_not_torchs_spectral_norm() -> None:
    network = mixed()
    x = torch.randn(3, 4, dtype=torch.float64)
    before = network(x).detach()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    sn = SpectralNorm.from_parametrized(network, optimizer, iterations=100)
    assert list(sn.sigmas()) == ["0", "1", "2.bias", "2"]
    torch.testing.assert_close(network(x), before, rtol=0, atol=1e-12)
    assert parametrize.is_parametrized(network[3], "weight")
    assert sn.sigmas().keys() == sn.state_dict()["layers"].keys()
    network(x).sum().backward()
    optimizer.step()
    for layer in network[:3]:
        assert torch.linalg.svdvals(layer.weight)[0].item() == pytest.approx(1.0, rel=1e-3)


def test_another_parametrization_of_the_same_layer_stays() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(4, 4).double()
    layer.register_parameter("other", nn.Parameter(torch.randn(4, 4, dtype=torch.float64)))
    orthogonal(parametrization(layer), "other")
    twin = copy.deepcopy(layer)
    expected = layer.other.detach().clone()
    SpectralNorm.from_parametrized(layer, torch.optim.SGD(layer.parameters(), lr=0.1))
    torch.testing.assert_close(layer.other, expected)
    assert isinstance(layer.weight, nn.Parameter)
    assert not parametrize.is_parametrized(layer, "weight")
    # the twin has the same class from torch
    torch.testing.assert_close(twin.other, expected)
    assert parametrize.is_parametrized(twin, "weight")


@BOTH
def test_copies_of_the_network_keep_torchs_normalization(wrap: Wrap) -> None:
    """Two copies of a parametrized layer share the class that torch made for it."""
    layer = wrapped(CASES["linear"], wrap)
    x = torch.randn(4, 5, dtype=torch.float64)
    twin = copy.deepcopy(layer)
    before = twin(x).detach()
    SpectralNorm.from_parametrized(layer, torch.optim.SGD(layer.parameters(), lr=0.1))
    assert torch.equal(twin(x), before)
    assert len(twin.state_dict()) == len(wrapped(CASES["linear"], wrap).state_dict())


def test_zero_weights_stay_zero() -> None:
    layer = nn.Linear(3, 2)
    nn.init.zeros_(layer.weight)
    hook(layer)
    SpectralNorm.from_parametrized(layer, torch.optim.SGD(layer.parameters(), lr=0.1))
    assert torch.equal(layer.weight, torch.zeros(2, 3))


def two_norms(network: nn.Sequential) -> None:
    orthogonal(parametrization(network[4]))


def not_finite(network: nn.Sequential) -> None:
    with torch.no_grad():
        network[2].weight_orig[0, 0] = torch.nan


def half(network: nn.Sequential) -> None:
    parametrization(network[4].bfloat16())


def sgd(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)


ERRORS: dict[str, tuple[Callable[[nn.Sequential], object], Callable, dict, str]] = {
    "lbfgs": (id, lambda n: torch.optim.LBFGS(n.parameters()), {}, "LBFGS"),
    "no optimizer": (id, lambda _: "adam", {}, "optimizer: expected"),
    "a part of the weights": (id, lambda n: sgd(n[:2]), {}, "optimizer: expected"),
    "coefficient": (id, sgd, {"coefficient": -1.0}, "coefficient: expected"),
    "iterations": (id, sgd, {"iterations": 0}, "iterations: expected"),
    "another parametrization beside it": (two_norms, sgd, {}, "only parametrization"),
    "nan": (not_finite, sgd, {}, "finite"),
    "half precision": (half, sgd, {}, "float32 or float64"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_leaves_the_network_untouched(case: str) -> None:
    spoil, make_optimizer, options, message = ERRORS[case]
    network = mixed()
    spoil(network)
    parts = copy.deepcopy(network.state_dict())
    kinds = [(type(layer), vars(type(layer)).get("weight")) for layer in network]
    optimizer = make_optimizer(network)
    with pytest.raises(ValueError, match=message) as error:
        SpectralNorm.from_parametrized(network, optimizer, **options)
    assert "\n" not in str(error.value)
    torch.testing.assert_close(network.state_dict(), parts, rtol=0, atol=0, equal_nan=True)
    for layer, (kind, weight) in zip(network, kinds, strict=True):
        assert type(layer) is kind
        assert vars(type(layer)).get("weight") is weight
    assert len(network[0]._forward_pre_hooks) == 1
    assert not getattr(optimizer, "_optimizer_step_pre_hooks", {})


def test_weights_of_another_spectral_norm_are_refused_and_stay() -> None:
    network = nn.Sequential(nn.Linear(3, 3), parametrization(nn.Linear(3, 3)))
    optimizer = sgd(network)
    SpectralNorm.from_parametrized(network, optimizer)
    network.append(parametrization(nn.Linear(3, 3)))
    parametrization(network[1])
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(ValueError, match="another SpectralNorm"):
        SpectralNorm.from_parametrized(network, sgd(network))
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)


def test_one_weight_in_two_normalized_layers_is_refused() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    network[1].weight = network[0].weight
    for layer in network:
        parametrization(layer)
    with pytest.raises(ValueError, match="one norm for each weight"):
        SpectralNorm.from_parametrized(network, sgd(network))
