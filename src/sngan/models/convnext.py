"""Residual networks without normalization of R3GAN, Huang et al. 2024, arXiv:2501.05441.

A block is ``x + conv1×1(φ(conv3×3(φ(conv1×1(x)))))`` with φ the leaky ReLU of slope 0.2. Inside it
has twice the channels, and its 3×3 convolution has groups of 16 channels. There are no other
nonlinear functions and no normalization. Only the first two convolutions of a block have a bias.

Initialization is that of He et al. 2015, arXiv:1502.01852, and Zhang et al. 2019 (Fixup),
arXiv:1901.09321: the last convolution of each block is 0, so that each block starts as the
identity, and the other two have the variance ``gain²·L^(-1/2)/fan_in``, for L blocks in the network
and ``gain² = 2/(1 + 0.2²)``. All other layers have the variance ``1/fan_in``.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import override

from sngan.models.attention import require_attention_side
from sngan.models.common import Critic, Generator, Size, halved, halvings, image_size, two_sides
from sngan.models.convnext_blocks import SLOPE, Basis, Block, Downsampling, Upsampling, he_normal
from sngan.models.minibatch_std import MinibatchStd

_BLOCKS = 2
_LARGEST = 768


class ConvNextStage(NamedTuple):
    """One stage of :class:`ConvNextGenerator` or :class:`ConvNextCritic`.

    Attributes
    ----------
    channels
        The channels of its maps.
    blocks
        The number of residual blocks.

    Examples
    --------
    >>> from sngan.models import ConvNextStage
    >>> ConvNextStage(768)
    ConvNextStage(channels=768, blocks=2)
    """

    channels: int
    blocks: int = _BLOCKS


class ConvNextGenerator(Generator):
    """A basis of maps of size ``base_side``, then the stages, and a 1×1 convolution to images.

    A stage begins with bilinear upsampling, except the first. With ``num_classes`` a vector of the
    label, of ``latent_dim`` numbers, is appended to the noise.

    Source: Huang et al. 2024, arXiv:2501.05441.

    Parameters
    ----------
    latent_dim
        The dimension of the noise.
    base_side
        The side of the smallest maps, or their height and width.
    stages
        The stages, from the smallest maps to the largest.
    image_channels
        The channels of an image.
    num_classes
        The number of classes; 0 takes no labels.

    Raises
    ------
    ValueError
        If the labels of a call are missing, or given without classes.

    Examples
    --------
    >>> from sngan.models import ConvNextGenerator, ConvNextStage
    >>> stages = [ConvNextStage(8), ConvNextStage(8)]
    >>> generator = ConvNextGenerator(latent_dim=4, base_side=4, stages=stages, image_channels=3)
    >>> generator(torch.zeros(2, 4)).shape
    torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        base_side: int | Size,
        stages: Sequence[ConvNextStage],
        image_channels: int,
        num_classes: int = 0,
    ) -> None:
        super().__init__(latent_dim, num_classes)
        self.embedding = nn.Embedding(num_classes, latent_dim) if num_classes else None
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight, std=num_classes**-0.5)
        inputs = latent_dim * (2 if num_classes else 1)
        gain = _block_gain(stages)
        ends = [Basis(inputs, stages[0].channels, two_sides(base_side))]
        ends += [Upsampling(one.channels, two.channels) for one, two in pairwise(stages)]
        self.stages = nn.ModuleList(
            nn.Sequential(end, *_blocks(stage, gain))
            for end, stage in zip(ends, stages, strict=True)
        )
        self.output = he_normal(nn.Conv2d(stages[-1].channels, image_channels, 1, bias=False))

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images ``(N, image_channels, height, width)``; values may be outside [-1, 1]."""
        self.check_labels(labels)
        maps = noise
        if self.embedding is not None:
            maps = torch.cat([noise, self.embedding(labels).to(noise.dtype)], dim=1)
        for stage in self.stages:
            maps = stage(maps)
        return self.output(maps)


class ConvNextCritic(Critic):
    """A 1×1 convolution of images, the stages, and a basis that weighs the places of each map.

    A stage ends with bilinear downsampling, except the last. The basis is a depthwise convolution
    with a kernel as large as the maps, and a dense layer follows. With ``num_classes`` the dense
    layer makes as many features φ as the maps have channels, and the score is ``⟨e_y, φ⟩``.

    Source: Huang et al. 2024, arXiv:2501.05441.

    Parameters
    ----------
    image_channels, base_side
        The channels of an image, and the side of the smallest maps, or their height and width.
    stages
        The stages, from the largest maps to the smallest.
    num_classes
        The number of classes.
    minibatch_std
        The group size of :class:`~sngan.models.minibatch_std.MinibatchStd` before the last stage,
        and a 1×1 convolution that mixes its map into the others; 0 means none.

    Examples
    --------
    >>> from sngan.models import ConvNextCritic, ConvNextStage
    >>> stages = [ConvNextStage(8), ConvNextStage(8)]
    >>> critic = ConvNextCritic(image_channels=3, base_side=4, stages=stages)
    >>> critic(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2])
    """

    def __init__(
        self,
        *,
        image_channels: int,
        base_side: int | Size,
        stages: Sequence[ConvNextStage],
        num_classes: int = 0,
        minibatch_std: int = 0,
    ) -> None:
        channels, size = stages[-1].channels, two_sides(base_side)
        super().__init__(features=channels, num_classes=num_classes)
        gain = _block_gain(stages)
        self.input = he_normal(nn.Conv2d(image_channels, stages[0].channels, 1, bias=False))
        parts = [
            nn.Sequential(*_blocks(one, gain), Downsampling(one.channels, two.channels))
            for one, two in pairwise(stages)
        ]
        if minibatch_std:
            mixing = he_normal(nn.Conv2d(channels + 1, channels, 1, bias=False))
            parts.append(nn.Sequential(MinibatchStd(minibatch_std), mixing))
        self.stages = nn.Sequential(*parts, nn.Sequential(*_blocks(stages[-1], gain)))
        self.basis = he_normal(nn.Conv2d(channels, channels, size, groups=channels, bias=False))
        self.dense = he_normal(nn.Linear(channels, channels if num_classes else 1, bias=False))
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight, std=(channels * num_classes) ** -0.5)

    @property
    @override
    def blocks(self) -> list[tuple[nn.Module, ...]]:
        """The layers of each block; the convolution of images belongs to the first one."""
        (first,), *others = super().blocks
        return [(self.input, first), *others]

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return scores ``(N,)``."""
        features = self.dense(self.basis(self.stages(self.input(images))).flatten(1))
        return features.squeeze(1) if self.embedding is None else self.class_part(features, labels)


def convnext(
    sample_shape: tuple[int, ...],
    *,
    latent_dim: int,
    width: float,
    num_classes: int = 0,
    attention: int = 0,
    pack: int = 1,
    minibatch_std: int = 0,
) -> tuple[ConvNextGenerator, ConvNextCritic]:
    """Build both networks for images.

    Each stage doubles or halves both sides, and the smallest maps are at least 4×4. At 32², 64²,
    128² and 256² they are the networks of the paper: 768 channels in the four stages with the
    smallest maps, then half as many in each further stage. Smaller images of side s have ``¾·s²``
    channels, which is 768 at 32² and 48 at 8²; s is the shorter side of a rectangle. All counts are
    multiplied by ``width`` and rounded to multiples of 8, because the 3×3 convolutions have groups
    of 16 channels.

    Parameters
    ----------
    sample_shape, latent_dim, width, num_classes, attention, pack, minibatch_std
        See :func:`sngan.models.build`.

    Raises
    ------
    ValueError
        If the samples are not images of 1, 3 or 4 channels with even sides of at least 8, or if
        ``attention`` is not 0.
    """
    require_attention_side(attention, (), model="convnext")
    image_channels, size = image_size(sample_shape, model="convnext")
    stages = [ConvNextStage(_rounded(count * width)) for count in _channels(size)]
    base_side = halved(size, len(stages) - 1)
    generator = ConvNextGenerator(
        latent_dim=latent_dim,
        base_side=base_side,
        stages=stages,
        image_channels=image_channels,
        num_classes=num_classes,
    )
    critic = ConvNextCritic(
        image_channels=image_channels * pack,
        base_side=base_side,
        stages=stages[::-1],
        num_classes=num_classes,
        minibatch_std=minibatch_std,
    )
    return generator, critic


def _channels(size: Size) -> list[float]:
    """Return the channels at full width, from the smallest maps to the largest."""
    largest = min(_LARGEST, 0.75 * min(size) ** 2)
    return [largest / 2 ** max(0, stage - 3) for stage in range(halvings(size, smallest=4) + 1)]


def _rounded(channels: float) -> int:
    return max(8, 8 * round(channels / 8))


def _blocks(stage: ConvNextStage, gain: float) -> list[Block]:
    return [Block(stage.channels, gain) for _ in range(stage.blocks)]


def _block_gain(stages: Sequence[ConvNextStage]) -> float:
    """Return the gain of leaky ReLU, times ``L^(-1/(2m-2))`` for L blocks of m = 3 layers."""
    blocks = sum(stage.blocks for stage in stages)
    return math.sqrt(2 / (1 + SLOPE**2)) * blocks**-0.25
