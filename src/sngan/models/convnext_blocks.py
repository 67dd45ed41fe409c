"""Blocks of the residual networks of R3GAN, and the initialization of their layers."""

import math
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sngan.models.common import Size

SLOPE = 0.2
"""The slope of every leaky ReLU."""

_GROUP = 16
_EXPANSION = 2


class Block(nn.Module):
    """Maps ``x`` to ``x + conv1×1(φ(conv3×3(φ(conv1×1(x)))))``; φ is the leaky ReLU."""

    def __init__(self, channels: int, gain: float) -> None:
        super().__init__()
        inner = _EXPANSION * channels
        groups = inner // _GROUP
        self.conv1 = he_normal(nn.Conv2d(channels, inner, 1), gain=gain)
        self.conv2 = he_normal(nn.Conv2d(inner, inner, 3, padding=1, groups=groups), gain=gain)
        self.conv3 = nn.Conv2d(inner, channels, 1, bias=False)
        nn.init.zeros_(self.conv3.weight)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the same shape."""
        inner = F.leaky_relu(self.conv1(maps), SLOPE)
        return maps + self.conv3(F.leaky_relu(self.conv2(inner), SLOPE))


class Basis(nn.Module):
    """Maps ``(N, channels, *size)``: a learned map for each channel, times a linear factor."""

    def __init__(self, inputs: int, channels: int, size: Size) -> None:
        super().__init__()
        self.maps = nn.Parameter(torch.randn(channels, *size))
        self.factors = he_normal(nn.Linear(inputs, channels, bias=False))

    def forward(self, noise: Tensor) -> Tensor:
        """Return the maps of noise ``(N, inputs)``."""
        return self.maps * self.factors(noise)[:, :, None, None]


class _Resampling(nn.Module):
    """Bilinear resampling by 2: the kernel of ``[1, 3, 3, 1]``, with zeros around the maps."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        row = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", torch.outer(row, row)[None, None], persistent=False)

    def _kernels(self, maps: Tensor) -> Tensor:
        return self.kernel.to(maps.dtype).expand(maps.shape[1], 1, 4, 4)


class Upsampling(_Resampling):
    """Doubles both sides, after a 1×1 convolution if the channels change."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = _changed_channels(inputs, outputs)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps ``(N, outputs, 2·height, 2·width)``."""
        maps = self.conv(maps)
        kernels = 4 * self._kernels(maps)
        return F.conv_transpose2d(maps, kernels, stride=2, padding=1, groups=maps.shape[1])


class Downsampling(_Resampling):
    """Halves both sides, before a 1×1 convolution if the channels change."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = _changed_channels(inputs, outputs)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps ``(N, outputs, height/2, width/2)``."""
        kernels = self._kernels(maps)
        return self.conv(F.conv2d(maps, kernels, stride=2, padding=1, groups=maps.shape[1]))


def _changed_channels(inputs: int, outputs: int) -> nn.Module:
    return (
        nn.Identity() if inputs == outputs else he_normal(nn.Conv2d(inputs, outputs, 1, bias=False))
    )


_Layer = TypeVar("_Layer", nn.Linear, nn.Conv2d)


def he_normal(layer: _Layer, *, gain: float = 1.0) -> _Layer:
    """Draw a weight from ``N(0, gain²/fan_in)``, and set the bias to 0."""
    fan_in = layer.weight[0].numel()
    nn.init.normal_(layer.weight, std=gain / math.sqrt(fan_in))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
