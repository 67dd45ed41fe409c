"""Coverage: the parameters that SpectralNorm normalizes: attention by head, gates, bilinear."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from helpers.explicit import Explicit, Matrices, sigma_of
from sngan import SpectralNorm


class SelfAttention(nn.MultiheadAttention):
    """Attention of a sequence (N, places, channels) to itself."""

    def forward(self, x: Tensor) -> Tensor:
        keys = x if self.kdim == self.embed_dim else x[..., : self.kdim]
        values = x if self.vdim == self.embed_dim else x[..., : self.vdim]
        return super().forward(x, keys, values, need_weights=False)[0]


class FirstOutput(nn.Module):
    """The outputs of a recurrent layer, without its last state."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0]


class Cell(nn.Module):
    """A recurrent cell, called for each place of a sequence."""

    def __init__(self, cell: nn.RNNCellBase) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for place in x.unbind(1):
            state = self.cell(place, state)
        return state[0] if isinstance(state, tuple) else state


class Squared(nn.Bilinear):
    """A bilinear layer whose two inputs are equal."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x, x[..., : self.in2_features])


class Bags(nn.EmbeddingBag):
    """Bags that depend on the signs of the inputs, weighted by their sizes."""

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        return super().forward((flat > 0).long() + 2, per_sample_weights=flat.abs())


def stacked(parameter: str, names: list[str], rows: int) -> Matrices:
    return {name: (parameter, i * rows, (i + 1) * rows) for i, name in enumerate(names)}


def heads(count: int, rows: int) -> Matrices:
    roles = ("query", "key", "value")
    names = [f"{role}.{head}" for role in roles for head in range(count)]
    return stacked("in_proj_weight", names, rows)


def inside(layer: str, matrices: Matrices) -> Matrices:
    return {f"{layer}.{n}": (f"{layer}.{p}", *rows) for n, (p, *rows) in matrices.items()}


def whole(*layers: str) -> Matrices:
    return {name: (f"{name}.weight".lstrip("."), None, None) for name in layers}


def gated(layer: str, gates: list[str], rows: int, *parameters: str) -> Matrices:
    stacks = [stacked(p, [f"{p}.{gate}" for gate in gates], rows) for p in parameters]
    return inside(layer, {name: m for stack in stacks for name, m in stack.items()})


LSTM = ["input", "forget", "cell", "output"]
GRU = ["reset", "update", "new"]
BOTH_WAYS = [f"weight_{k}_l{d}{r}" for d in (0, 1) for r in ("", "_reverse") for k in ("ih", "hh")]

# the inputs are 3 sequences of 5 places with 6 channels
CASES: dict[str, tuple[Callable[[], nn.Module], Matrices]] = {
    "attention": (
        lambda: SelfAttention(6, 3, batch_first=True),
        heads(3, 2) | whole("out_proj"),
    ),
    "attention of other keys": (
        lambda: SelfAttention(6, 2, kdim=4, vdim=5, batch_first=True),
        {
            name: matrix
            for role in ("query", "key", "value")
            for name, matrix in stacked(
                f"{role[0]}_proj_weight", [f"{role}.{h}" for h in (0, 1)], 3
            ).items()
        }
        | whole("out_proj"),
    ),
    "transformer": (
        lambda: nn.TransformerEncoderLayer(6, 2, 7, dropout=0.0, batch_first=True),
        inside("self_attn", heads(2, 3)) | whole("self_attn.out_proj", "linear1", "linear2"),
    ),
    "lstm": (
        lambda: FirstOutput(nn.LSTM(6, 4, 2, bidirectional=True, batch_first=True)),
        gated("layer", LSTM, 4, *BOTH_WAYS),
    ),
    "lstm with projection": (
        lambda: FirstOutput(nn.LSTM(6, 4, proj_size=3, batch_first=True)),
        gated("layer", LSTM, 4, "weight_ih_l0", "weight_hh_l0")
        | {"layer.weight_hr_l0": ("layer.weight_hr_l0", None, None)},
    ),
    "gru": (
        lambda: FirstOutput(nn.GRU(6, 4, batch_first=True)),
        gated("layer", GRU, 4, "weight_ih_l0", "weight_hh_l0"),
    ),
    "rnn": (
        lambda: FirstOutput(nn.RNN(6, 4, nonlinearity="relu", batch_first=True)),
        {f"layer.weight_{k}_l0": (f"layer.weight_{k}_l0", None, None) for k in ("ih", "hh")},
    ),
    "lstm cell": (
        lambda: Cell(nn.LSTMCell(6, 4)),
        gated("cell", LSTM, 4, "weight_ih", "weight_hh"),
    ),
    "gru cell": (
        lambda: Cell(nn.GRUCell(6, 4)),
        gated("cell", GRU, 4, "weight_ih", "weight_hh"),
    ),
    "rnn cell": (
        lambda: Cell(nn.RNNCell(6, 4)),
        {f"cell.weight_{k}": (f"cell.weight_{k}", None, None) for k in ("ih", "hh")},
    ),
    "bilinear": (lambda: Squared(6, 4, 3), whole("")),
    "bag": (lambda: Bags(4, 3, mode="sum"), whole("")),
}


def make(case: str) -> nn.Module:
    torch.manual_seed(1)
    module = CASES[case][0]().double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
    return module


def batches(count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    return [torch.randn(3, 5, 6, generator=generator, dtype=torch.float64) for _ in range(count)]


def loss_of(network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return network(x).sin().sum()


def exact(c: float) -> Callable[[str, Tensor, Tensor], Tensor]:
    return lambda _, raw, sigma: c * raw / sigma


@pytest.mark.parametrize("case", CASES)
def test_each_matrix_has_its_own_norm_from_the_start(case: str) -> None:
    module = make(case)
    explicit = Explicit(copy.deepcopy(module), CASES[case][1], exact(0.7))
    norms = {name: sigma_of(explicit.part(name, explicit.raw)).item() for name in CASES[case][1]}
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    sn = SpectralNorm(module, optimizer, coefficient=0.7, iterations=300)
    assert {name: s.item() for name, s in sn.sigmas().items()} == pytest.approx(norms, rel=1e-2)
    parameters = dict(module.named_parameters())
    for name in CASES[case][1]:
        assert sigma_of(explicit.part(name, parameters)).item() == pytest.approx(0.7, rel=1e-2)


@pytest.mark.parametrize("case", CASES)
def test_trajectory_equals_an_explicit_parametrization(case: str) -> None:
    module = make(case)
    start, steps = batches(4)[0], batches(4)[1:]
    optimizer = torch.optim.SGD(module.parameters(), lr=0.0)
    sn = SpectralNorm(module, optimizer, coefficient=0.7, iterations=400)
    loss_of(module, start).backward()
    # a step of rate 0, whose power iterations make every σ exact
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.1
    explicit = Explicit(copy.deepcopy(module), CASES[case][1], exact(0.7))
    with torch.no_grad():
        for name, sigma in sn.sigmas().items():
            explicit.part(name, explicit.raw).mul_(sigma / 0.7)
    other = torch.optim.SGD(explicit.raw.values(), lr=0.1)
    before = [parameter.clone() for parameter in module.parameters()]
    for x in steps:
        for network, stepper in ((module, optimizer), (explicit, other)):
            stepper.zero_grad()
            loss_of(network, x).backward()
            stepper.step()
        for name, expected in explicit.normalized().items():
            torch.testing.assert_close(
                module.get_parameter(name), expected, rtol=0, atol=1e-9, msg=lambda m, n=name: n + m
            )
    moved = [(p - b).abs().max() for p, b in zip(module.parameters(), before, strict=True)]
    assert max(moved) > 1e-3


@pytest.mark.parametrize("case", CASES)
def test_mapped_gradient_equals_finite_differences(case: str) -> None:
    module, (x,) = make(case), batches(1)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.0)
    sn = SpectralNorm(module, optimizer, iterations=400)
    for _ in range(2):
        optimizer.zero_grad()
        loss_of(module, x).backward()
        optimizer.step()
    explicit = Explicit(copy.deepcopy(module), CASES[case][1], exact(1.0))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, sigma in sn.sigmas().items():
            explicit.part(name, explicit.raw).mul_(sigma)
        for name, raw in explicit.raw.items():
            direction = torch.randn(raw.shape, generator=generator, dtype=torch.float64)
            at, values = raw.clone(), []
            for h in (1e-6, -1e-6):
                raw.copy_(at + h * direction)
                values.append(loss_of(explicit, x))
            raw.copy_(at)
            numeric = (values[0] - values[1]) / 2e-6
            ours = (module.get_parameter(name).grad * direction).sum()
            assert ours.item() == pytest.approx(numeric.item(), rel=1e-5, abs=1e-7), name
