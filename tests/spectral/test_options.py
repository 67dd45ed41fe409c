"""Options against formulas: bound="at_most", a coefficient for each layer, learnable ones."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from helpers.explicit import Explicit, sigma_of
from sngan import SpectralNorm

LAYERS = ("0", "2", "4")
MATRICES = {name: (f"{name}.weight", None, None) for name in LAYERS}


def make(seed: int = 0) -> nn.Sequential:
    """Three layers of norms 3, 0.3 and about 1."""
    torch.manual_seed(seed)
    layers = [nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2)]
    network = nn.Sequential(*layers).double()
    with torch.no_grad():
        for name, norm in zip(LAYERS, (3.0, 0.3, 1.0), strict=True):
            weight = network.get_submodule(name).weight
            weight.mul_(norm / sigma_of(weight))
    return network


def batches(count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    return [torch.randn(8, 4, generator=generator, dtype=torch.float64) for _ in range(count)]


def loss_of(network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return (network(x) - x[:, :2]).square().sum()


def adam(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=0.02, weight_decay=0.01)


def sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9)


def step(network: Callable[[Tensor], Tensor], optimizer: torch.optim.Optimizer, x: Tensor) -> None:
    optimizer.zero_grad()
    loss_of(network, x).backward()
    optimizer.step()


def norms(network: nn.Module) -> dict[str, float]:
    return {name: sigma_of(network.get_submodule(name).weight).item() for name in LAYERS}


def at_most(name: str, raw: Tensor, sigma: Tensor) -> Tensor:
    return raw / sigma.clamp_min(1.0)


def of_layer(name: str, raw: Tensor, sigma: Tensor) -> Tensor:
    return {"0": 0.5, "2": 2.0}.get(name, 1.5) * raw / sigma


RULES = {
    "at most": ({"bound": "at_most"}, at_most),
    "of each layer": ({"coefficient": {"0": 0.5, "2": 2, "*": 1.5}}, of_layer),
}


@pytest.mark.parametrize("make_optimizer", [adam, sgd])
@pytest.mark.parametrize("case", RULES)
def test_trajectory_equals_the_formula(case: str, make_optimizer: Callable) -> None:
    options, rule = RULES[case]
    network = make()
    explicit = Explicit(copy.deepcopy(network), MATRICES, rule)
    optimizer, other = make_optimizer(network.parameters()), make_optimizer(explicit.raw.values())
    SpectralNorm(network, optimizer, iterations=200, **options)
    seen = []
    for x in batches(40):
        for name, expected in explicit.normalized().items():
            torch.testing.assert_close(network.get_parameter(name), expected, rtol=0, atol=1e-7)
        step(network, optimizer, x)
        step(explicit, other, x)
        seen.append([norms(network)[name] < 0.999 for name in LAYERS])
    if case == "at most":
        # at least one layer crosses the bound during the run
        assert any(len(set(layer)) == 2 for layer in zip(*seen, strict=True))


def test_at_most_leaves_weights_below_the_bound_bit_for_bit() -> None:
    network = make()
    before = copy.deepcopy(network)
    sn = SpectralNorm(network, sgd(network.parameters()), bound="at_most", coefficient=1.5)
    assert torch.equal(network[2].weight, before[2].weight)
    assert torch.equal(network[4].weight, before[4].weight)
    assert norms(network) == pytest.approx({"0": 1.5, "2": 0.3, "4": 1.0}, rel=1e-6)
    sigmas = {name: sigma.item() for name, sigma in sn.sigmas().items()}
    assert sigmas == pytest.approx({"0": 3.0, "2": 0.3, "4": 1.0}, rel=1e-6)


def test_at_most_trains_below_the_bound_like_no_normalization() -> None:
    network = make()
    plain = copy.deepcopy(network)
    optimizers = [adam(one.parameters()) for one in (network, plain)]
    SpectralNorm(network, optimizers[0], bound="at_most", coefficient=100.0)
    for x in batches(5):
        step(network, optimizers[0], x)
        step(plain, optimizers[1], x)
    for ours, theirs in zip(network.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("kind", ["matrix", "operator", "strict"])
def test_at_most_holds_for_each_kind_of_norm(kind: str) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, 3, padding=1).double()
    twin = copy.deepcopy(layer)
    options: dict = {"bound": "at_most", "iterations": 100}
    if kind != "matrix":
        options |= {"kind": "operator", "input_shape": (2, 6, 6), "strict": kind == "strict"}
    small = SpectralNorm(layer, sgd(layer.parameters()), coefficient=0.4, **options)
    sigma = small.sigmas()[""].item()
    torch.testing.assert_close(layer.weight, twin.weight * (0.4 / sigma))
    large = SpectralNorm(twin, sgd(twin.parameters()), coefficient=1.01 * sigma, **options)
    before = twin.weight.clone()
    assert large.sigmas()[""].item() == pytest.approx(sigma, rel=1e-6)
    assert torch.equal(twin.weight, before)


def learnable(network: nn.Module, make_optimizer: Callable = sgd, **options: Any) -> Any:
    optimizer = make_optimizer(network.parameters())
    return optimizer, SpectralNorm(
        network, optimizer, **{"coefficient": "learnable", "iterations": 200, **options}
    )


def test_learnable_coefficients_start_at_the_norms_and_change_nothing() -> None:
    network = make()
    before = copy.deepcopy(network.state_dict())
    _, sn = learnable(network)
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)
    starts = {name: c.item() for name, c in sn.coefficients().items()}
    assert starts == pytest.approx({"0": 3.0, "2": 0.3, "4": 1.0}, rel=1e-6)


@pytest.mark.parametrize("make_optimizer", [adam, sgd])
def test_learnable_coefficients_follow_an_explicit_parametrization(make_optimizer: Any) -> None:
    network = make()
    optimizer, sn = learnable(network, make_optimizer)
    gammas = {name: nn.Parameter(c.detach().clone()) for name, c in sn.coefficients().items()}
    explicit = Explicit(copy.deepcopy(network), MATRICES, lambda n, raw, s: gammas[n] * raw / s)
    other = make_optimizer([*explicit.raw.values(), *gammas.values()])
    for x in batches(30):
        step(network, optimizer, x)
        step(explicit, other, x)
        for name, expected in explicit.normalized().items():
            torch.testing.assert_close(network.get_parameter(name), expected, rtol=0, atol=1e-8)
    for name, gamma in sn.coefficients().items():
        torch.testing.assert_close(gamma, gammas[name], rtol=0, atol=1e-8)
        assert norms(network)[name] == pytest.approx(abs(gamma.item()), rel=1e-8)
        assert abs(gamma.item() - {"0": 3.0, "2": 0.3, "4": 1.0}[name]) > 1e-2


def test_gradients_of_learnable_coefficients_equal_finite_differences() -> None:
    network, (x,) = make(), batches(1)
    optimizer, sn = learnable(network)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    step(network, optimizer, x)
    gammas = {name: c.detach().clone() for name, c in sn.coefficients().items()}
    explicit = Explicit(copy.deepcopy(network), MATRICES, lambda n, raw, s: gammas[n] * raw / s)
    for name, gamma in sn.coefficients().items():
        values = []
        for h in (1e-6, -1e-6):
            gammas[name] += h
            values.append(loss_of(explicit, x).item())
            gammas[name] -= h
        assert gamma.grad.item() == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-6)


def test_a_learnable_coefficient_passes_through_zero() -> None:
    """At γ = 0 the weight is 0, and its direction must not be lost."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 2, bias=False).double()
    optimizer, sn = learnable(layer)
    direction = (layer.weight / sigma_of(layer.weight)).detach().clone()
    gamma = sn.coefficients()[""]
    x = torch.randn(5, 3, dtype=torch.float64)
    for target in (0.0, -2.0):
        # a radial gradient moves γ only
        optimizer.zero_grad()
        layer.weight.grad = direction.clone()
        optimizer.param_groups[0]["lr"] = 0.0
        inner = (direction * direction).sum()
        optimizer.param_groups[1].update(lr=((gamma - target) / inner).item(), momentum=0.0)
        optimizer.step()
        assert gamma.item() == pytest.approx(target, abs=1e-12)
        torch.testing.assert_close(layer.weight, target * direction, rtol=0, atol=1e-9)
    optimizer.zero_grad()
    layer(x).sum().backward()
    optimizer.step()
    assert layer.weight.isfinite().all()
    assert sn.sigmas()[""].item() > 0


def test_the_module_stays_ordinary_and_the_optimizer_holds_the_coefficients() -> None:
    network = make()
    names = list(network.state_dict())
    optimizer, sn = learnable(network)
    assert list(network.state_dict()) == names
    own = {id(p) for p in network.parameters()}
    extra = [p for g in optimizer.param_groups for p in g["params"] if id(p) not in own]
    assert {id(p) for p in extra} == {id(c) for c in sn.coefficients().values()}
    sn.remove()
    assert len(optimizer.param_groups) == 1


def test_layers_without_gradient_keep_their_coefficient() -> None:
    network = make()
    optimizer, sn = learnable(network, adam)
    step(network, optimizer, batches(1)[0])
    before = {name: c.item() for name, c in sn.coefficients().items()}
    weight = network[4].weight.clone()
    optimizer.zero_grad()
    network[:4](batches(1)[0]).sum().backward()
    optimizer.step()
    after = {name: c.item() for name, c in sn.coefficients().items()}
    assert [before[n] == after[n] for n in LAYERS] == [False, False, True]
    assert torch.equal(network[4].weight, weight)


@pytest.mark.parametrize(
    "options",
    [
        {"coefficient": "learnable"},
        {"bound": "at_most"},
        {"coefficient": {"0": "learnable", "*": 0.7}},
    ],
    ids=["learnable", "at most", "mixed"],
)
def test_the_state_continues_bit_for_bit(options: dict) -> None:
    def build(seed: int) -> tuple:
        network = make(seed)
        optimizer = adam(network.parameters())
        return network, optimizer, SpectralNorm(network, optimizer, **options)

    parts, inputs = build(0), batches(8)
    for x in inputs[:4]:
        step(*parts[:2], x)
    saved = pickle.dumps([part.state_dict() for part in parts])
    others = build(1)
    for part, state in zip(others, pickle.loads(saved), strict=True):
        part.load_state_dict(state)
    for x in inputs[4:]:
        step(*parts[:2], x)
        step(*others[:2], x)
    for ours, theirs in zip(parts[0].parameters(), others[0].parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert parts[2].coefficients() == others[2].coefficients()


def test_learnable_and_fixed_coefficients_side_by_side() -> None:
    network = make()
    optimizer, sn = learnable(network, coefficient={"2": "learnable", "*": 0.5})
    for x in batches(3):
        step(network, optimizer, x)
    assert norms(network)["0"] == pytest.approx(0.5, rel=1e-6)
    assert norms(network)["2"] == pytest.approx(sn.coefficients()["2"].item(), rel=1e-6)
    assert norms(network)["2"] != pytest.approx(0.3, rel=1e-3)


def test_layers_that_a_mapping_leaves_out_have_the_default() -> None:
    network = make()
    SpectralNorm(network, sgd(network.parameters()), coefficient={"2": 0.5})
    assert norms(network) == pytest.approx({"0": 1.0, "2": 0.5, "4": 1.0}, rel=1e-6)


REFUSED: dict[str, tuple[dict, str]] = {
    "unknown layer": ({"coefficient": {"5": 1.0}}, "coefficient: expected one of .*0, 2, 4.*'5'"),
    "unselected layer": (
        {"coefficient": {"0": 1.0}, "layers": ["2"]},
        "coefficient: expected one of .*2.*'0'",
    ),
    "negative": ({"coefficient": {"0": -1.0}}, "coefficient: expected a finite number"),
    "a word": ({"coefficient": "learned"}, "coefficient: expected .*'learnable'"),
    "a word for a layer": ({"coefficient": {"0": "big"}}, "coefficient: expected .*'learnable'"),
    "bound": ({"bound": "atmost"}, "bound: expected one of .*at_most"),
    "both": (
        {"bound": "at_most", "coefficient": "learnable"},
        "bound: expected 'exact' for learnable coefficients",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_a_weight_is_touched(case: str) -> None:
    options, message = REFUSED[case]
    network = make()
    before = copy.deepcopy(network.state_dict())
    optimizer = sgd(network.parameters())
    with pytest.raises(ValueError, match=message):
        SpectralNorm(network, optimizer, **options)
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)
    assert len(optimizer.param_groups) == 1
