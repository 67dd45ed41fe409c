"""Multilayer perceptrons for points."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from sngan.models.attention import require_attention_side
from sngan.models.common import Critic, Generator, scaled
from sngan.models.coordinates import Coordinates
from sngan.utils.checks import require


class MLPGenerator(Generator):
    """A map from noise ``(N, latent_dim)`` to points ``(N, dim)``, with ReLU between the layers.

    A label is appended to the noise as a unit vector (Mirza, Osindero 2014, arXiv:1411.1784).

    Parameters
    ----------
    latent_dim
        The dimension of the noise.
    hidden
        The widths of the hidden layers.
    dim
        The dimension of the points.
    num_classes
        The number of classes; 0 takes no labels.
    standardize
        Whether the layers compute in standard :class:`Coordinates`.

    Raises
    ------
    ValueError
        If the labels of a call are missing, or given without classes.

    Examples
    --------
    >>> from sngan.models import MLPGenerator
    >>> MLPGenerator(latent_dim=3, hidden=(16, 16), dim=2)(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        hidden: Sequence[int],
        dim: int,
        num_classes: int = 0,
        standardize: bool = False,
    ) -> None:
        super().__init__(latent_dim, num_classes)
        self.layers = _layers([latent_dim + num_classes, *hidden, dim], nn.ReLU)
        self.coordinates = Coordinates(dim) if standardize else None

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return points ``(N, dim)``, unbounded."""
        self.check_labels(labels)
        if labels is not None:
            # F.one_hot would wait for the device to check the labels
            classes = torch.arange(self.num_classes, device=labels.device)
            noise = torch.cat([noise, (labels[:, None] == classes).to(noise)], dim=1)
        points = self.layers(noise)
        return points if self.coordinates is None else self.coordinates.original(points)


class MLPCritic(Critic):
    """A map from points ``(N, dim)`` to scores, with leaky ReLU of slope 0.1 between the layers.

    Parameters
    ----------
    dim
        The dimension of the points.
    hidden
        The widths of the hidden layers.
    num_classes
        The number of classes; 0 takes no labels.
    standardize
        Whether the layers compute in standard :class:`Coordinates`.

    Examples
    --------
    >>> from sngan.models import MLPCritic
    >>> MLPCritic(dim=2, hidden=(16, 16))(torch.zeros(5, 2)).shape
    torch.Size([5])
    """

    def __init__(
        self, *, dim: int, hidden: Sequence[int], num_classes: int = 0, standardize: bool = False
    ) -> None:
        super().__init__(features=hidden[-1], num_classes=num_classes)
        self.layers = _layers([dim, *hidden, 1], lambda: nn.LeakyReLU(0.1))
        self.coordinates = Coordinates(dim) if standardize else None
        if self.embedding is not None:
            nn.init.kaiming_uniform_(self.embedding.weight, nonlinearity="relu")

    @property
    @override
    def blocks(self) -> list[tuple[nn.Module, ...]]:
        """Each hidden layer by itself."""
        *hidden, _ = self.layers
        return [(layer,) for layer in hidden if isinstance(layer, nn.Linear)]

    def forward(self, points: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return scores ``(N,)``."""
        *hidden, last = self.layers
        features = points if self.coordinates is None else self.coordinates.standard(points)
        for layer in hidden:
            features = layer(features)
        return self.projected(last(features), features, labels)


def mlp(
    sample_shape: tuple[int, ...],
    *,
    latent_dim: int,
    width: float,
    num_classes: int = 0,
    attention: int = 0,
    pack: int = 1,
    minibatch_std: int = 0,
    standardize: bool = False,
) -> tuple[MLPGenerator, MLPCritic]:
    """Build both networks for points ``(dim,)``: three hidden layers of ``256·width``.

    This is the architecture of Gulrajani et al. 2017, arXiv:1704.00028, for points in the plane.

    Parameters
    ----------
    sample_shape, latent_dim, width, num_classes, attention, pack, minibatch_std, standardize
        See :func:`sngan.models.build`.

    Raises
    ------
    ValueError
        If the samples are images, or if ``attention`` or ``minibatch_std`` is not 0.
    """
    require_attention_side(attention, (), model="mlp")
    require(
        len(sample_shape) == 1,
        "model.name",
        expected=f"cnn, resnet or convnext for images {sample_shape}",
        got="'mlp'",
    )
    require(minibatch_std == 0, "model.minibatch_std", expected="none for mlp", got=minibatch_std)
    (dim,) = sample_shape
    hidden = 3 * [scaled(256, width)]
    shared: Any = {"hidden": hidden, "num_classes": num_classes, "standardize": standardize}
    generator = MLPGenerator(latent_dim=latent_dim, dim=dim, **shared)
    return generator, MLPCritic(dim=dim * pack, **shared)


def _layers(sizes: Sequence[int], activation: Callable[[], nn.Module]) -> nn.Sequential:
    """Return linear layers of these sizes, initialized as in He et al. 2015, arXiv:1502.01852."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        linear = nn.Linear(inputs, outputs)
        nn.init.kaiming_uniform_(linear.weight, nonlinearity="relu")
        nn.init.zeros_(linear.bias)
        layers += [linear, activation()]
    return nn.Sequential(*layers[:-1])
