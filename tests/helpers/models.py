"""The families of networks at small sizes, and samples for them."""

import pytest
import torch
from torch import Tensor, nn

from sngan import models
from sngan.models import build

FAMILIES = [
    ("mlp", (2,)),
    ("cnn", (1, 8, 8)),
    ("cnn", (3, 16, 16)),
    ("resnet", (1, 8, 8)),
    ("resnet", (3, 16, 16)),
    ("convnext", (1, 8, 8)),
    ("convnext", (3, 16, 16)),
]
families = pytest.mark.parametrize(("name", "shape"), FAMILIES)


def small(name: str, shape: tuple[int, ...]) -> tuple[models.Generator, models.Critic]:
    torch.manual_seed(0)
    return build(name, shape, latent_dim=7, width=0.125)


def convolutions(module: nn.Module, *, side: int) -> list[tuple[int, int]]:
    """Input and output channels of the convolutions with square kernels of this side."""
    kinds = nn.Conv2d | nn.ConvTranspose2d
    layers = [layer for layer in module.modules() if isinstance(layer, kinds)]
    return [(c.in_channels, c.out_channels) for c in layers if c.kernel_size == (side, side)]


def samples(shape: tuple[int, ...], n: int = 3, **options: object) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(n, *shape, **options)
