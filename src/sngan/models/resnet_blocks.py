"""Blocks of the residual networks of Miyato et al. 2018, and the initialization of their layers."""

import math
from typing import NamedTuple, TypeVar

import torch.nn.functional as F
from torch import Tensor, nn

from sngan.models.attention import SelfAttention
from sngan.models.common import batch_norm, normalized
from sngan.models.fused import PooledConv2d, UpsampledConv2d


class CriticStage(NamedTuple):
    """One block of a :class:`ResNetCritic`.

    Attributes
    ----------
    channels
        The channels of its output.
    down
        Whether it halves both sides of its maps.
    attention
        Whether self-attention follows the block.

    Examples
    --------
    >>> from sngan.models import CriticStage
    >>> CriticStage(128, down=True)
    CriticStage(channels=128, down=True, attention=False)
    """

    channels: int
    down: bool
    attention: bool = False


class UpBlock(nn.Module):
    """A block of the generator, which doubles both sides of its maps."""

    def __init__(self, inputs: int, outputs: int, *, num_classes: int, attention: bool) -> None:
        super().__init__()
        self.norm1 = batch_norm(inputs, num_classes)
        self.conv1 = glorot_uniform(UpsampledConv2d(inputs, outputs), gain=math.sqrt(2))
        self.norm2 = batch_norm(outputs, num_classes)
        self.conv2 = glorot_uniform(_conv3x3(outputs, outputs), gain=math.sqrt(2))
        self.skip = glorot_uniform(nn.Conv2d(inputs, outputs, 1))
        self.attention = SelfAttention(outputs) if attention else nn.Identity()

    def forward(self, maps: Tensor, labels: Tensor | None) -> Tensor:
        """Return maps ``(N, outputs, 2·height, 2·width)``."""
        inner = F.relu(normalized(self.norm1, maps, labels))
        inner = self.conv1(inner)
        inner = self.conv2(F.relu(normalized(self.norm2, inner, labels)))
        # a 1×1 convolution and upsampling commute; before it, the maps have a quarter of the pixels
        return self.attention(inner + _upsample(self.skip(maps)))


class CriticBlock(nn.Module):
    """A block of the critic, which may halve both sides of its maps."""

    def __init__(self, inputs: int, stage: CriticStage, *, first: bool) -> None:
        super().__init__()
        outputs = stage.channels
        self.first, self.down = first, stage.down
        self.conv1 = glorot_uniform(_conv3x3(inputs, outputs), gain=math.sqrt(2))
        conv2 = PooledConv2d(outputs, outputs) if stage.down else _conv3x3(outputs, outputs)
        self.conv2 = glorot_uniform(conv2, gain=math.sqrt(2))
        changes = stage.down or inputs != outputs
        self.skip = glorot_uniform(nn.Conv2d(inputs, outputs, 1)) if changes else nn.Identity()
        self.attention = SelfAttention(outputs) if stage.attention else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps ``(N, stage.channels, …)``."""
        inner = self.conv1(maps if self.first else F.relu(maps))
        inner = self.conv2(F.relu(inner))
        # pooling and a 1×1 convolution commute; the paper pools first in its first block
        skipped = self.skip(F.avg_pool2d(maps, 2) if self.down else maps)
        return self.attention(inner + skipped)


def _conv3x3(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _upsample(maps: Tensor) -> Tensor:
    return F.interpolate(maps, scale_factor=2, mode="nearest")


_Layer = TypeVar("_Layer", nn.Linear, nn.Conv2d)


def glorot_uniform(layer: _Layer, *, gain: float = 1.0) -> _Layer:
    """Draw a weight from Glorot's uniform distribution times a gain, and set the bias to 0."""
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
