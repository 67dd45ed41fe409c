"""CNN of Miyato et al. 2018, arXiv:1802.05957, table 3, for any resolution."""

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


class CNNGenerator(Generator):
    """A dense layer to ``channels[0]`` maps, an up-stage for each of ``channels[1:]``, an output.

    An up-stage is a 4×4 transposed convolution of stride 2, batch norm and ReLU. The output is a
    3×3 convolution and tanh.

    Source: Miyato et al. 2018, arXiv:1802.05957, table 3.

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

    Raises
    ------
    ValueError
        If the labels of a call are missing, or given without classes.

    Examples
    --------
    >>> from sngan.models import CNNGenerator
    >>> generator = CNNGenerator(latent_dim=4, base_side=4, channels=(8, 8), image_channels=3)
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
    ) -> None:
        super().__init__(latent_dim, num_classes)
        self.base = (channels[0], *two_sides(base_side))
        self.dense = nn.Linear(latent_dim, math.prod(self.base))
        self.stages = nn.ModuleList(_UpStage(*pair, num_classes) for pair in pairwise(channels))
        self.output = nn.Conv2d(channels[-1], image_channels, 3, padding=1)
        _initialize(self)

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images ``(N, image_channels, height, width)`` in [-1, 1]."""
        self.check_labels(labels)
        maps = self.dense(noise).unflatten(1, self.base)
        for stage in self.stages:
            maps = stage(maps, labels)
        return torch.tanh(self.output(maps))


class CNNCritic(Critic):
    """A down-stage for each of ``channels[:-1]``, a 3×3 convolution, and a dense layer.

    A down-stage is a 3×3 convolution and a 4×4 convolution of stride 2. A leaky ReLU of slope 0.1
    follows each convolution. With ``minibatch_std``, the standard deviation in groups of that size
    is appended as a map before the last convolution.

    Source: Miyato et al. 2018, arXiv:1802.05957, table 3.

    Parameters
    ----------
    image_channels
        The channels of an image.
    channels
        The channels of the maps, from the largest to the smallest.
    base_side
        The side of the smallest maps, or their height and width.
    num_classes
        The number of classes; 0 takes no labels.
    minibatch_std
        The group size of :class:`MinibatchStd`; 0 means none.

    Examples
    --------
    >>> from sngan.models import CNNCritic
    >>> critic = CNNCritic(image_channels=3, channels=(8, 8), base_side=4)
    >>> critic(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2])
    """

    def __init__(
        self,
        *,
        image_channels: int,
        channels: Sequence[int],
        base_side: int | Size,
        num_classes: int = 0,
        minibatch_std: int = 0,
    ) -> None:
        features = channels[-1] * math.prod(two_sides(base_side))
        super().__init__(features=features, num_classes=num_classes)
        ends = [image_channels, *channels[:-1]]
        spread = [MinibatchStd(minibatch_std)] if minibatch_std else []
        self.stages = nn.Sequential(*(_DownStage(*pair) for pair in pairwise(ends)), *spread)
        self.last = nn.Conv2d(ends[-1] + len(spread), channels[-1], 3, padding=1)
        self.dense = nn.Linear(features, 1)
        _initialize(self)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return scores ``(N,)``."""
        features = F.leaky_relu(self.last(self.stages(images)), 0.1).flatten(1)
        return self.projected(self.dense(features), features, labels)


def cnn(
    sample_shape: tuple[int, ...],
    *,
    latent_dim: int,
    width: float,
    num_classes: int = 0,
    attention: int = 0,
    pack: int = 1,
    minibatch_std: int = 0,
) -> tuple[CNNGenerator, CNNCritic]:
    """Build both networks for images.

    Each stage of the critic halves both sides, and each stage of the generator doubles them. The
    smallest maps are at least 4×4: images of 32² have the three stages of the paper and maps of
    4×4, images of 48² have maps of 6×6, and images of 32×96 maps of 4×12. Channels double from 64
    at full resolution, up to 1024.

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
    require_attention_side(attention, (), model="cnn")
    image_channels, size = image_size(sample_shape, model="cnn")
    stages = halvings(size, smallest=4)
    base = halved(size, stages)
    channels = [scaled(min(64 * 2**stage, 1024), width) for stage in range(stages + 1)]
    generator = CNNGenerator(
        latent_dim=latent_dim,
        base_side=base,
        channels=channels[::-1],
        image_channels=image_channels,
        num_classes=num_classes,
    )
    critic = CNNCritic(
        image_channels=image_channels * pack,
        channels=channels,
        base_side=base,
        num_classes=num_classes,
        minibatch_std=minibatch_std,
    )
    return generator, critic


class _UpStage(nn.Module):
    def __init__(self, inputs: int, outputs: int, num_classes: int) -> None:
        super().__init__()
        # no bias, because batch norm would remove it and adds its own
        self.conv = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
        self.norm = batch_norm(outputs, num_classes)

    def forward(self, maps: Tensor, labels: Tensor | None) -> Tensor:
        return F.relu(normalized(self.norm, self.conv(maps), labels))


class _DownStage(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 4, stride=2, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        maps = F.leaky_relu(self.conv1(maps), 0.1)
        return F.leaky_relu(self.conv2(maps), 0.1)


def _initialize(network: nn.Module) -> None:
    """Draw weights from N(0, 0.02²) and set biases to 0 (Radford et al. 2015, arXiv:1511.06434)."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.Embedding):
            nn.init.normal_(layer.weight, std=0.02)
            if not isinstance(layer, nn.Embedding) and layer.bias is not None:
                nn.init.zeros_(layer.bias)
