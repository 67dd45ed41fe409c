"""Parameters that SpectralNorm does not cover (warning, repr), and weights that it refuses."""

import copy
import re
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sngan import SpectralNorm, models
from sngan.models import MODELS


def sgd(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(module.parameters(), lr=0.1)


class Vision(nn.Module):
    """A transformer of image patches, with parameters outside of any layer."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 4, 4)
        self.positions = nn.Parameter(torch.randn(1, 4, 8))
        self.blocks = nn.Sequential(
            *[nn.TransformerEncoderLayer(8, 2, 12, batch_first=True) for _ in range(2)]
        )
        self.mixing = nn.ParameterList([torch.randn(8, 8), torch.randn(8)])
        self.last = nn.Linear(8, 1)

    def forward(self, images: Tensor) -> Tensor:
        features = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        return self.last((self.blocks(features).mean(1) @ self.mixing[0]) * self.mixing[1])


REST = "positions (1, 4, 8), mixing.0 (8, 8)"


def test_one_warning_lists_what_is_left_out() -> None:
    critic = Vision()
    with pytest.warns(UserWarning, match="does not cover") as caught:
        SpectralNorm(critic, sgd(critic))
    assert len(caught) == 1
    assert REST in str(caught[0].message)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "layers", [nn.Linear, ["last", "blocks.0.self_attn"], lambda name, _: name == "patches"]
)
def test_who_chooses_the_layers_is_not_warned(layers: object) -> None:
    critic = Vision()
    SpectralNorm(critic, sgd(critic), layers=layers)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_the_projects_own_critics_are_covered(name: str, norm: str) -> None:
    shape = (2,) if name == "mlp" else (3, 16, 16)
    attention = 8 if name == "resnet" else 0
    _, critic = models.build(
        name, shape, width=0.1, num_classes=3, critic_norm=norm, attention=attention
    )
    # a warning is an error here
    SpectralNorm(critic, sgd(critic))


def test_repr_names_layers_kinds_norms_and_the_rest() -> None:
    critic = Vision().double()
    with pytest.warns(UserWarning, match="does not cover"):
        sn = SpectralNorm(critic, sgd(critic))
    text = repr(sn)
    assert "kind='matrix'" in text
    for name, sigma in sn.sigmas().items():
        kind = "MultiheadAttention" if re.search("query|key|value", name) else r"Linear|Conv2d"
        if name.endswith("out_proj"):
            kind = "NonDynamicallyQuantizableLinear"
        assert re.search(rf"^ +{name} +({kind}) +1 +{sigma.item():.4g}$", text, re.MULTILINE), name
    assert text.endswith(f"not covered: {REST}")
    layer = nn.Linear(2, 2)
    sn = SpectralNorm(layer, sgd(layer), coefficient=0.25)
    assert re.search(r"\(itself\) +Linear +0\.25 ", repr(sn))
    assert repr(sn).endswith("not covered: nothing")
    del layer
    assert "(itself)" in repr(sn)


@pytest.mark.parametrize("seed", range(4))
def test_a_transformer_is_bounded_as_maps_and_certified(seed: int) -> None:
    """The convolution has a torus norm, other layers a matrix norm; out_proj is not called."""
    torch.manual_seed(seed)
    critic = Vision().double()
    optimizer = sgd(critic)
    with pytest.warns(UserWarning, match="does not cover"):
        sn = SpectralNorm(critic, optimizer, kind="operator", input_shape=(1, 8, 8))
    assert critic.training
    assert torch.backends.mha.get_fastpath_enabled()
    critic(torch.randn(2, 1, 8, 8, dtype=torch.float64)).sum().backward()
    optimizer.step()
    bounds = sn.certify()
    assert bounds.keys() == sn.sigmas().keys()
    assert all(0.99 < bound <= 1 for bound in bounds.values()), bounds
    rows = critic.blocks[1].self_attn.in_proj_weight[12:16]
    assert torch.linalg.svdvals(rows)[0].item() <= bounds["blocks.1.self_attn.key.1"]


def test_the_norm_of_a_bilinear_layer_bounds_its_map() -> None:
    """``‖B(x, y)‖ ≤ σ‖x‖‖y‖``, against the largest value that alternating maximization finds."""
    torch.manual_seed(0)
    layer = nn.Bilinear(5, 4, 3, bias=False).double()
    SpectralNorm(layer, sgd(layer), coefficient=0.8, iterations=100)
    assert torch.linalg.svdvals(layer.weight.flatten(1))[0].item() == pytest.approx(0.8)
    largest = 0.0
    for _ in range(50):
        x, y = torch.randn(5, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
        for _ in range(50):
            of_x = torch.einsum("oij,j->oi", layer.weight, y / y.norm())
            x = torch.linalg.svd(of_x).Vh[0]
            y = torch.linalg.svd(torch.einsum("oij,i->oj", layer.weight, x)).Vh[0]
        largest = max(largest, layer(x, y).norm().item())
    assert 0.3 * 0.8 < largest <= 0.8 + 1e-9
    # the map is at least as large as each of its outputs, whose norm is that of its matrix
    assert torch.linalg.svdvals(layer.weight).amax() <= largest + 1e-9


def test_attention_that_shares_its_weight_has_one_norm_a_head() -> None:
    layers = [nn.MultiheadAttention(4, 2) for _ in range(2)]
    layers[1].in_proj_weight = layers[0].in_proj_weight
    module = nn.ModuleList(layers)
    sn = SpectralNorm(module, sgd(module))
    assert sn.sigmas()["0.key.1"] == sn.sigmas()["1.key.1"]
    assert len({name for name in sn.sigmas() if "out_proj" not in name}) == 12


def test_attention_that_shares_its_weight_with_other_heads_is_refused() -> None:
    layers = [nn.MultiheadAttention(4, heads) for heads in (2, 4)]
    layers[1].in_proj_weight = layers[0].in_proj_weight
    module = nn.ModuleList(layers)
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(ValueError, match="tied layers that read their weight in the same way"):
        SpectralNorm(module, sgd(module))
    torch.testing.assert_close(module.state_dict(), before, rtol=0, atol=0)


def with_value(value: float) -> nn.Module:
    layer = nn.Linear(3, 3)
    with torch.no_grad():
        layer.weight[1, 2] = value
    return layer


def frozen(tensor: Tensor) -> nn.Module:
    layer = nn.Linear(3, 3)
    layer.weight = nn.Parameter(tensor, requires_grad=False)
    return layer


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "sparse embedding": (lambda: nn.Embedding(5, 3, sparse=True), "sparse=True in '1'"),
    "sparse bag": (lambda: nn.EmbeddingBag(5, 3, sparse=True), "sparse=True in '1'"),
    "nan": (lambda: with_value(torch.nan), "finite weights, got NaN or infinity in '1.weight'"),
    "infinity": (lambda: with_value(torch.inf), "finite weights"),
    "nan in one head": (lambda: nan_in_a_head(), "finite weights"),
    "meta": (lambda: nn.Conv2d(2, 3, 3, device="meta"), "'1.weight' on the meta device"),
    "lazy": (lambda: nn.LazyLinear(3), "call the module once first.*uninitialized '1.weight'"),
    "lazy convolution": (lambda: nn.LazyConv2d(3, 3), "uninitialized '1.weight'"),
    "complex": (lambda: nn.Linear(3, 3, dtype=torch.complex64), "complex64 in '1.weight'"),
    "integer": (lambda: frozen(torch.ones(3, 3, dtype=torch.int8)), "int8 in '1.weight'"),
    "bfloat16": (lambda: nn.LSTM(3, 3, dtype=torch.bfloat16), "bfloat16 in '1.weight_ih_l0'"),
    "parametrized gate": (
        lambda: nn.utils.parametrizations.weight_norm(nn.GRU(3, 3), "weight_hh_l0"),
        "parametrized weight '1.weight_hh_l0'",
    ),
}


def nan_in_a_head() -> nn.Module:
    layer = nn.MultiheadAttention(4, 2)
    with torch.no_grad():
        layer.in_proj_weight[-1, 0] = torch.nan
    return layer


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line_before_any_weight_is_touched(case: str) -> None:
    make, message = REFUSED[case]
    first = nn.Linear(3, 3)
    module = nn.Sequential(first, make())
    before = first.weight.detach().clone()
    optimizer = torch.optim.SGD(first.parameters(), lr=0.1)
    for parameter in module[1].parameters():
        optimizer.param_groups[0]["params"].append(parameter)
    with pytest.raises(ValueError, match=message) as error, warnings.catch_warnings():
        SpectralNorm(module, optimizer)
    assert "\n" not in str(error.value)
    assert torch.equal(first.weight, before)
    assert not optimizer._optimizer_step_pre_hooks


def test_an_initialized_lazy_layer_is_an_ordinary_one() -> None:
    module = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d())
    module(torch.randn(2, 4))
    assert list(SpectralNorm(module, sgd(module)).sigmas()) == ["0"]
