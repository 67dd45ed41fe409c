"""1-Lipschitz building blocks."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.networks import (
    quick,
)
from sngan.lipschitz import blocks

BLOCKS = {
    "MaxMin": (blocks.MaxMin(), (4, 3)),
    "GroupSort": (blocks.GroupSort(3), (6,)),
    "AveragedResidual": (blocks.AveragedResidual(nn.Tanh()), (5,)),
    "InvertibleDownsampling": (blocks.InvertibleDownsampling(2), (3, 4, 4)),
    "wide linear": (blocks.orthogonal_linear(7, 3), (7,)),
    "tall linear": (blocks.orthogonal_linear(3, 7, orthogonal_map="cayley"), (3,)),
    "square linear": (blocks.orthogonal_linear(4, 4, orthogonal_map="matrix_exp"), (4,)),
    "1×1 convolution": (blocks.orthogonal_convolution(4, 6), (4, 3, 3)),
    "strided convolution": (blocks.orthogonal_convolution(1, 3, factor=2), (1, 4, 6)),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_are_one_lipschitz(name):
    block, shape = BLOCKS[name]
    # orthogonal layers stay orthogonal after a step of an optimizer
    for parameter in block.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    bounds = quick(block, shape)
    assert bounds.upper == pytest.approx(1.0, abs=1e-5)
    assert 0.9 <= bounds.lower <= bounds.upper
    x, y = torch.randn(2, 50, *shape)
    with torch.no_grad():
        ratio = (block(x) - block(y)).flatten(1).norm(dim=1) / (x - y).flatten(1).norm(dim=1)
    assert ratio.max() <= 1 + 1e-5


def test_sorting_keeps_the_norm_of_gradients():
    x = torch.randn(3, 8, 2, requires_grad=True)
    out = blocks.MaxMin()(x)
    assert torch.equal(out[:, 0::2], torch.minimum(x[:, 0::2], x[:, 1::2]))
    assert torch.equal(out[:, 1::2], torch.maximum(x[:, 0::2], x[:, 1::2]))
    direction = torch.randn_like(out)
    (gradient,) = torch.autograd.grad(out, x, direction)
    assert gradient.norm() == pytest.approx(direction.norm().item())
    with pytest.raises(ValueError, match="x: expected a multiple of 3 channels"):
        blocks.GroupSort(3)(x)


def test_a_strided_orthogonal_convolution_is_a_convolution():
    block = blocks.orthogonal_convolution(2, 8, factor=2)
    x = torch.randn(1, 2, 4, 4)
    weight = block[1].linear.weight.unflatten(1, (2, 2, 2))
    expected = F.conv2d(x, weight, block[1].linear.bias, stride=2)
    torch.testing.assert_close(block(x), expected)
    # with as many outputs as inputs, the map is an isometry
    with torch.no_grad():
        change = block(x) - block(0 * x)
    assert change.norm() == pytest.approx(x.norm().item(), rel=1e-5)
