"""Bounds of fused layers against the singular values of their dense matrices."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from helpers.networks import quick, upper
from sngan.models.fused import PooledConv2d, UpsampledConv2d

KINDS = (PooledConv2d, UpsampledConv2d)


def dense_norm(layer: nn.Module, shape: tuple[int, ...]) -> float:
    units = torch.eye(torch.Size(shape).numel(), dtype=torch.float64).view(-1, *shape)
    with torch.no_grad():
        columns = layer.double()(units) - layer(torch.zeros_like(units))
    return float(torch.linalg.matrix_norm(columns.flatten(1), 2))


def kernels() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    random = torch.randn(4, 3, 3, 3, generator=generator)
    # the sums of neighbours cancel, so only the rounding of the fused kernel is left of them
    signs = torch.tensor([1.0, -1.0, 1.0])
    checks = (signs[:, None] * signs).expand(4, 3, 3, 3) * random[:, :, :1, :1]
    return {
        "random": random,
        "positive": random.abs(),
        "cancelling": checks,
        "one place": random * torch.eye(3)[1],
        "tiny": 1e-150 * random.double(),
        "large": 1e150 * random.double(),
        "zero": 0.0 * random,
    }


@pytest.mark.parametrize("kernel", kernels())
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sides", [(4, 4), (6, 4), (5, 3)])
def test_fused_layers_against_dense_matrices(kind, kernel, sides):
    layer, shape = kind(3, 4).double(), (3, *sides)
    layer.weight.data.copy_(kernels()[kernel])
    nn.init.zeros_(layer.bias)
    exact = dense_norm(layer, shape)
    assert exact * (1 - 1e-12) <= upper(layer, shape) <= exact * (1 + 1e-6) + 1e-300


@pytest.mark.parametrize("kind", KINDS)
def test_a_fused_layer_is_bounded_by_the_product_of_its_parts_at_every_size(kind):
    layer = kind(3, 4)
    parts = {
        PooledConv2d: lambda plain: nn.Sequential(plain, nn.AvgPool2d(2)),
        UpsampledConv2d: lambda plain: nn.Sequential(nn.Upsample(scale_factor=2), plain),
    }
    plain = nn.Conv2d(3, 4, 3, padding=1)
    plain.load_state_dict(layer.state_dict())
    for side in (2, 8, 32):
        shape = (3, side, side)
        separate = quick(parts[kind](plain), shape, lower=False, slopes="product")
        together = quick(layer, shape, lower=False, slopes="product")
        assert together.upper <= separate.product * (1 + 1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_another_forward_in_place_of_the_fused_one_is_noticed(kind):
    class Doubled(kind):
        def forward(self, input: Tensor) -> Tensor:
            return 2 * super().forward(input)

    layer = kind(3, 4)
    layer.forward = lambda maps: 2 * kind.forward(layer, maps)
    for module in (Doubled(3, 4), layer):
        assert upper(module, (3, 4, 4)) >= dense_norm(module, (3, 4, 4))


@pytest.mark.parametrize("kind", KINDS)
def test_fused_layers_under_a_parametrization(kind):
    layer = weight_norm(kind(3, 4))
    nn.init.uniform_(layer.parametrizations.weight.original0, 1, 2)
    exact = dense_norm(layer, (3, 4, 4))
    assert upper(layer, (3, 4, 4)) == pytest.approx(exact, rel=1e-6)
