"""Base classes of generators and critics, conditional batch norm, and checks of sizes."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sngan.models.coordinates import Coordinates
from sngan.utils.checks import require

Size = tuple[int, int]
"""Height and width of maps or images."""


class Generator(nn.Module):
    """A map from noise ``(N, latent_dim)`` to images ``(N, C, H, W)`` in [-1, 1] or to points.

    A generator whose last layer is linear may leave [-1, 1]; its images are clamped where a run
    draws samples.

    With ``num_classes`` it also takes int64 ``labels`` ``(N,)``. A generator of points may have
    ``coordinates``, those of its data.

    Examples
    --------
    >>> from sngan.models import Generator, build
    >>> generator, _ = build("mlp", (2,), latent_dim=3, width=0.1)
    >>> isinstance(generator, Generator), generator.latent_dim, generator(torch.zeros(5, 3)).shape
    (True, 3, torch.Size([5, 2]))
    """

    def __init__(self, latent_dim: int, num_classes: int = 0) -> None:
        super().__init__()
        self.coordinates: Coordinates | None = None
        self.latent_dim = latent_dim
        self.num_classes = num_classes

    def check_labels(self, labels: Tensor | None) -> None:
        """Raise ``ValueError`` if labels are missing, or given to a network without classes."""
        expected = "class indices (N,)" if self.num_classes else "none for this generator"
        got = "none" if labels is None else "labels"
        require((labels is None) == (self.num_classes == 0), "labels", expected=expected, got=got)


class Critic(nn.Module):
    """A map from images ``(N, C, H, W)`` or points ``(N, dim)`` to scores ``(N,)``.

    No sample changes the score of another one, unless the critic has batch norm or minibatch
    standard deviation. A critic of packs takes ``pack`` samples as one, joined along dimension 1
    (:func:`sngan.models.packing.packed`). With ``num_classes`` the critic also takes int64
    ``labels`` ``(N,)`` and is the projection critic of Miyato, Koyama 2018, arXiv:1802.05637:
    ``D(x, y) = ψ(φ(x)) + ⟨e_y, φ(x)⟩``, with the features φ before the last layer ψ and a vector e
    for each class. Without labels it scores all samples as members of class 0.

    Examples
    --------
    >>> from sngan.models import Critic, build
    >>> _, critic = build("mlp", (2,), width=0.1)
    >>> isinstance(critic, Critic), critic(torch.zeros(5, 2)).shape, len(critic.blocks)
    (True, torch.Size([5]), 3)
    """

    embedding: nn.Embedding | None
    pack: int = 1

    def __init__(self, *, features: int, num_classes: int) -> None:
        super().__init__()
        self.coordinates: Coordinates | None = None
        self.embedding = nn.Embedding(num_classes, features) if num_classes else None
        if num_classes:
            self.register_buffer("first", torch.zeros(1, dtype=torch.int64), persistent=False)

    @property
    def blocks(self) -> list[tuple[nn.Module, ...]]:
        """The layers of each block, from the finest maps on; other layers belong to no block."""
        stages = getattr(self, "stages", ())
        return [(stage,) for stage in stages if any(True for _ in stage.parameters())]

    def projected(self, scores: Tensor, features: Tensor, labels: Tensor | None) -> Tensor:
        """Return ``scores`` ``(N, 1)`` as ``(N,)``, plus ``⟨e_y, φ⟩`` if there are classes.

        Parameters
        ----------
        scores
            ψ of the features, ``(N, 1)``.
        features
            φ, ``(N, features)``.
        labels
            int64 classes ``(N,)``; None stands for class 0.
        """
        if self.embedding is None:
            return scores.squeeze(1)
        return scores.squeeze(1) + self.class_part(features, labels)

    def class_part(self, features: Tensor, labels: Tensor | None) -> Tensor:
        """Return ``⟨e_y, φ⟩`` of features φ ``(N, features)``; labels None stand for class 0."""
        assert self.embedding is not None
        if labels is None:
            return F.linear(features, self.embedding(self.first)).squeeze(1)
        return (self.embedding(labels) * features).sum(1)


class ConditionalBatchNorm(nn.Module):
    """Batch norm with a scale and a shift for each class.

    Sources: Dumoulin et al. 2016, arXiv:1610.07629; de Vries et al. 2017, arXiv:1707.00683.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale = nn.Parameter(torch.ones(num_classes, channels))
        self.shift = nn.Parameter(torch.zeros(num_classes, channels))

    def forward(self, maps: Tensor, labels: Tensor) -> Tensor:
        """Normalize maps ``(N, C, H, W)``, with the scale and the shift of each label."""
        scale, shift = (F.embedding(labels, table) for table in (self.scale, self.shift))
        return torch.addcmul(shift[:, :, None, None], scale[:, :, None, None], self.norm(maps))


def batch_norm(channels: int, num_classes: int) -> nn.Module:
    """Return a batch norm, which is conditional if there are classes."""
    return ConditionalBatchNorm(channels, num_classes) if num_classes else nn.BatchNorm2d(channels)


def normalized(norm: nn.Module, maps: Tensor, labels: Tensor | None) -> Tensor:
    """Call a layer of :func:`batch_norm`, which takes labels only if there are classes."""
    return norm(maps) if labels is None else norm(maps, labels)


def scaled(channels: int, width: float) -> int:
    """Return ``channels · width``, rounded to an integer of at least 8."""
    return max(8, round(channels * width))


def image_size(sample_shape: tuple[int, ...], *, model: str) -> tuple[int, Size]:
    """Return the channels, and the height and width, of the images of a model.

    Raises
    ------
    ValueError
        If the samples are not images of 1, 3 or 4 channels with even sides of at least 8.
    """
    require(
        len(sample_shape) == 3,
        "model.name",
        expected=f"mlp for points {sample_shape}",
        got=repr(model),
    )
    channels, height, width = sample_shape
    require(channels in (1, 3, 4), "data.channels", expected="1, 3 or 4", got=channels)
    near = "x".join(str(max(side - side % 2, 8)) for side in (height, width))
    require(
        all(side % 2 == 0 and side >= 8 for side in (height, width)),
        "data.resolution",
        expected=f"an even side of at least 8 in height and width, such as {near}, for {model}",
        got=f"{height}×{width}",
    )
    return channels, (height, width)


def halvings(size: Size, *, smallest: int) -> int:
    """Return the largest k for which both sides / 2**k are integers of at least ``smallest``."""
    both, side = math.gcd(*size), min(size)
    return max(k for k in range(side.bit_length()) if both % 2**k == 0 and side >> k >= smallest)


def halved(size: Size, times: int) -> Size:
    """Return a size whose two sides are divided by ``2**times``."""
    return size[0] >> times, size[1] >> times


def two_sides(size: int | Size) -> Size:
    """Return height and width; one number is the side of a square."""
    return (size, size) if isinstance(size, int) else size
