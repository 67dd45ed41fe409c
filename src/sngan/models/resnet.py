"""Residual networks of Miyato et al. 2018, arXiv:1802.05957, appendix B.4, for any resolution.

Initialization is Glorot-uniform (Glorot, Bengio 2010), with gain √2 on the 3×3 convolutions of the
blocks and 1 elsewhere; biases are 0.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sngan.models.attention import require_attention_side
from sngan.models.common import (
    Critic,
    Generator,
    Size,
    batch_norm,
    halved,
    halvings,
    image_size,
    normalized,
    scaled,
    two_sides,
)
from sngan.models.minibatch_std import MinibatchStd
from sngan.models.resnet_blocks import CriticBlock, CriticStage, UpBlock, glorot_uniform


class ResNetGenerator(Generator):
    """A dense layer to ``channels[0]`` maps, an up-block for each of ``channels[1:]``, an output.

    An up-block is BN-ReLU-upsample-3×3-BN-ReLU-3×3 plus a skip of upsample-1×1. The output is
    BN-ReLU-3×3-tanh. Batch norm is conditional if there are classes. Self-attention follows the
    block that makes maps whose shorter side is ``attention``.

    Source: Miyato et al. 2018, arXiv:1802.05957, appendix B.4.

    Parameters
    ----------
    latent_dim
        The dimension of the noise.
    base_side
        The side of the smallest maps, or their height and width.
    channels
        The channels of the maps, from the smallest to the largest.
    image_channels
        The channels of an image.
    num_classes
        The number of classes; 0 takes no labels.
    attention
        The shorter side of the maps with self-attention; 0 means none.

    Raises
    ------
    ValueError
        If the labels of a call are missing, or given without classes.

    Examples
    --------
    >>> from sngan.models import ResNetGenerator
    >>> generator = ResNetGenerator(latent_dim=4, base_side=4, channels=(8, 8), image_channels=3)
    >>> generator(torch.zeros(2, 4)).shape
    torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        base_side: int | Size,
        channels: Sequence[int],
        image_channels: int,
        num_classes: int = 0,
        attention: int = 0,
    ) -> None:
        super().__init__(latent_dim, num_classes)
        self.base = (channels[0], *two_sides(base_side))
        self.dense = glorot_uniform(nn.Linear(latent_dim, math.prod(self.base)))
        self.stages = nn.ModuleList()
        for index, pair in enumerate(pairwise(channels), start=1):
            attends = min(self.base[1:]) << index == attention
            self.stages.append(UpBlock(*pair, num_classes=num_classes, attention=attends))
        self.norm = batch_norm(channels[-1], num_classes)
        self.output = glorot_uniform(nn.Conv2d(channels[-1], image_channels, 3, padding=1))

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images ``(N, image_channels, height, width)`` in [-1, 1]."""
        self.check_labels(labels)
        maps = self.dense(noise).unflatten(1, self.base)
        for stage in self.stages:
            maps = stage(maps, labels)
        return torch.tanh(self.output(F.relu(normalized(self.norm, maps, labels))))


class ResNetCritic(Critic):
    """A block for each stage, ReLU, a sum over space, and a dense layer without bias.

    A block is ReLU-3×3-ReLU-3×3(-pool) plus a skip of 1×1(-pool); the skip is the identity if
    neither channels nor resolution change. The first block has no first ReLU. With
    ``minibatch_std``, the standard deviation in groups of that size is appended as a map before the
    last block.

    Source: Miyato et al. 2018, arXiv:1802.05957, appendix B.4.

    Parameters
    ----------
    image_channels
        The channels of an image.
    stages
        The blocks, from the largest maps to the smallest.
    num_classes
        The number of classes; 0 takes no labels.
    minibatch_std
        The group size of :class:`MinibatchStd`; 0 means none.

    Examples
    --------
    >>> from sngan.models import CriticStage, ResNetCritic
    >>> stages = [CriticStage(8, down=True), CriticStage(8, down=False)]
    >>> ResNetCritic(image_channels=3, stages=stages)(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2])
    """

    def __init__(
        self,
        *,
        image_channels: int,
        stages: Sequence[CriticStage],
        num_classes: int = 0,
        minibatch_std: int = 0,
    ) -> None:
        super().__init__(features=stages[-1].channels, num_classes=num_classes)
        inputs = [image_channels, *(stage.channels for stage in stages)]
        spread = [MinibatchStd(minibatch_std)] if minibatch_std else []
        inputs[-2] += len(spread)
        blocks = [
            CriticBlock(before, stage, first=index == 0)
            for index, (before, stage) in enumerate(zip(inputs, stages, strict=False))
        ]
        self.stages = nn.Sequential(*blocks[:-1], *spread, blocks[-1])
        self.dense = glorot_uniform(nn.Linear(inputs[-1], 1, bias=False))
        if self.embedding is not None:
            nn.init.xavier_uniform_(self.embedding.weight)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return scores ``(N,)``."""
        features = F.relu(self.stages(images)).sum(dim=(2, 3))
        return self.projected(self.dense(features), features, labels)


def resnet(
    sample_shape: tuple[int, ...],
    *,
    latent_dim: int,
    width: float,
    num_classes: int = 0,
    attention: int = 0,
    pack: int = 1,
    minibatch_std: int = 0,
) -> tuple[ResNetGenerator, ResNetCritic]:
    """Build both networks for images.

    At 32², 48², 64² and 128² they are the networks of the paper. Smaller images get the network of
    32² with fewer stages, and other sizes get the network of the next smaller size. The shorter
    side of a rectangle decides, and all blocks halve or double both sides.

    Parameters
    ----------
    sample_shape, latent_dim, width, num_classes, attention, pack, minibatch_std
        See :func:`sngan.models.build`.

    Raises
    ------
    ValueError
        If the samples are not images of 1, 3 or 4 channels with even sides of at least 8, or if one
        of the networks has no maps of side ``attention``.
    """
    image_channels, size = image_size(sample_shape, model="resnet")
    require_attention_side(attention, _attention_sides(size), model="resnet")
    channels = [scaled(count, width) for count in _generator_channels(size)]
    generator = ResNetGenerator(
        latent_dim=latent_dim,
        base_side=halved(size, len(channels) - 1),
        channels=channels,
        image_channels=image_channels,
        num_classes=num_classes,
        attention=attention,
    )
    critic = ResNetCritic(
        image_channels=image_channels * pack,
        stages=_scaled_critic_stages(size, width=width, attention=attention),
        num_classes=num_classes,
        minibatch_std=minibatch_std,
    )
    return generator, critic


def _scaled_critic_stages(size: Size, *, width: float, attention: int) -> list[CriticStage]:
    plan: list[CriticStage] = []
    side = min(size)
    for channels, down, _ in _critic_stages(size):
        side >>= down
        plan.append(CriticStage(scaled(channels, width), down, down and side == attention))
    return plan


def attention_side(sample_shape: tuple[int, ...]) -> int:
    """Return a quarter of the image's side, where Zhang et al. 2019 put self-attention at 128².

    The side of a rectangle is the shorter one. Smaller images have such maps only at half of their
    side, or none; the result is then 0.

    Examples
    --------
    >>> attention_side((3, 128, 128)), attention_side((1, 16, 16)), attention_side((1, 8, 8))
    (32, 8, 0)
    """
    _, size = image_size(sample_shape, model="resnet")
    side, sides = min(size), _attention_sides(size)
    return side // 4 if side // 4 in sides else max(sides, default=0)


def _attention_sides(size: Size) -> tuple[int, ...]:
    """Return the shorter sides of maps that blocks of both networks make."""
    side = min(size)
    smallest = side >> sum(stage.down for stage in _critic_stages(size))
    base = side >> (len(_generator_channels(size)) - 1)
    sides = [side >> k for k in range(1, side.bit_length())]
    return tuple(s for s in sides if s >= smallest and s > base)


def _generator_channels(size: Size) -> list[int]:
    stages = halvings(size, smallest=4)
    if min(size) < 48:
        return [256] * (stages + 1)
    return [min(64 * 2**stage, 1024) for stage in reversed(range(stages + 1))]


def _critic_stages(size: Size) -> list[CriticStage]:
    side = min(size)
    if side < 48:
        downs = min(halvings(size, smallest=4), 2)
        return [CriticStage(128, True)] * downs + [CriticStage(128, False)] * 2
    downs = min(halvings(size, smallest=2), 5)
    stages = [CriticStage(64 * 2**stage, True) for stage in range(downs)]
    # the paper's last block keeps the resolution of 3×3 or 4×4 maps; maps of 2×2 get no such block
    ending = [] if side >> downs == 2 else [CriticStage(min(64 * 2**downs, 1024), False)]
    return stages + ending
