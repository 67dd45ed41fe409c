"""What the families share: the two kinds of network, labels, and sizes as counts of stages."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sngan.utils.checks import require


class Generator(nn.Module):
    """Noise ``(N, latent_dim)`` to images ``(N, C, H, W)`` in [-1, 1] or points ``(N, dim)``.

    With ``num_classes`` it also takes int64 ``labels`` ``(N,)``.
    """

    def __init__(self, latent_dim: int, num_classes: int = 0) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.num_classes = num_classes

    def check_labels(self, labels: Tensor | None) -> None:
        """Raise ``ValueError`` unless labels are there for a conditional network, and only then."""
        expected = "class indices (N,)" if self.num_classes else "none for this generator"
        got = "none" if labels is None else "labels"
        require((labels is None) == (self.num_classes == 0), "labels", expected=expected, got=got)


class Critic(nn.Module):
    """Images ``(N, C, H, W)`` or points ``(N, dim)`` to scores ``(N,)``, each by itself.

    With ``num_classes`` it also takes int64 ``labels`` ``(N,)`` and is the projection critic of
    Miyato, Koyama 2018, arXiv:1802.05637: ``D(x, y) = ψ(φ(x)) + ⟨e_y, φ(x)⟩``, for the
    features φ before the last layer ψ and a vector e of each class. Without labels it scores all
    samples as of class 0.
    """

    embedding: nn.Embedding | None

    def __init__(self, *, features: int, num_classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_classes, features) if num_classes else None
        if num_classes:
            self.register_buffer("first", torch.zeros(1, dtype=torch.int64), persistent=False)

    def projected(self, scores: Tensor, features: Tensor, labels: Tensor | None) -> Tensor:
        """Return scores ``(N,)``: those of ψ ``(N, 1)``, with the projection if there is one."""
        if self.embedding is None:
            return scores.squeeze(1)
        if labels is None:
            return (scores + F.linear(features, self.embedding(self.first))).squeeze(1)
        return scores.squeeze(1) + (self.embedding(labels) * features).sum(1)


class ConditionalBatchNorm(nn.Module):
    """Batch norm with a scale and a shift for each class.

    Dumoulin et al. 2016, arXiv:1610.07629; de Vries et al. 2017, arXiv:1707.00683.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale = nn.Parameter(torch.ones(num_classes, channels))
        self.shift = nn.Parameter(torch.zeros(num_classes, channels))

    def forward(self, maps: Tensor, labels: Tensor) -> Tensor:
        """Normalize maps ``(N, C, H, W)``, each with the scale and the shift of its label."""
        scale, shift = (F.embedding(labels, table) for table in (self.scale, self.shift))
        return torch.addcmul(shift[:, :, None, None], scale[:, :, None, None], self.norm(maps))


def batch_norm(channels: int, num_classes: int) -> nn.Module:
    """Batch norm, conditional where there are classes; :func:`normalized` calls it."""
    return ConditionalBatchNorm(channels, num_classes) if num_classes else nn.BatchNorm2d(channels)


def normalized(norm: nn.Module, maps: Tensor, labels: Tensor | None) -> Tensor:
    """Call a :func:`batch_norm`, which takes labels only where there are classes."""
    return norm(maps) if labels is None else norm(maps, labels)


def scaled(channels: int, width: float) -> int:
    """``channels · width`` rounded, at least 8."""
    return max(8, round(channels * width))


def image_size(sample_shape: tuple[int, ...], *, model: str) -> tuple[int, int]:
    """Return the channels and the side of the images that ``model`` shall make.

    Raises
    ------
    ValueError
        Points; images that are not square, of 1 or 3 channels, of an even side of at least 8.
    """
    require(
        len(sample_shape) == 3,
        "model.name",
        expected=f"mlp for points {sample_shape}",
        got=repr(model),
    )
    channels, height, side = sample_shape
    require(channels in (1, 3), "data.channels", expected="1 or 3", got=channels)
    require(
        height == side and side % 2 == 0 and side >= 8,
        "data.resolution",
        expected=f"square images of an even side of at least 8, for {model}",
        got=f"{height}×{side}",
    )
    return channels, side


def halvings(side: int, *, smallest: int) -> int:
    """The largest k for which ``side / 2**k`` is an integer of at least ``smallest``."""
    return max(k for k in range(side.bit_length()) if side % 2**k == 0 and side >> k >= smallest)
